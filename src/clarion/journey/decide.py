"""Decide: send, hold or drop, for each candidate, with the gates it passed written down."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from clarion.journey import rules
from clarion.journey.candidate import Candidate, Decided
from clarion.model import Category, Channel, DeviceKind, Key, Millis, Notification, ProjectSettings, Reason
from clarion.ports import Facts


class Law(NamedTuple):
    """What holds for the whole batch: the project's rules, the kinds that can be reached, the time."""

    settings: ProjectSettings
    categories: Mapping[str, Category]
    reachable: Collection[DeviceKind]
    now: Millis


class _Judged(NamedTuple):
    """What the gates came to, and what they said."""

    reason: Reason
    until: Millis | None
    gates: str


class _Common(NamedTuple):
    """The gates that look at the notification alone, passed once for all its candidates.

    `judged`: by what the other gates said. Most candidates hear the same, which is written down once for all of them.
    """

    written: str
    stop: rules.Ruling | None
    category: Category | None
    quiet: rules.Quiet | None
    judged: dict[tuple[rules.Ruling, ...], _Judged]


_PERSONAL = ("consent", "device", "permission", "duplicate", "quiet_hours")


def decide(candidates: Iterable[Candidate], facts: Facts, law: Law) -> list[Decided]:
    """One decision per candidate, in order. Content that this batch itself sends counts for the candidates after it."""
    sent = dict(facts.sent_content)
    common: dict[Key, _Common] = {}
    decided = []
    for candidate in candidates:
        notification = candidate.notification
        shared = common.get(notification.key)
        if shared is None:
            shared = common[notification.key] = _common(notification, law)
        verdict = _personal(candidate, shared, sent, law)
        decided.append(verdict)
        if verdict.reason is Reason.SEND and notification.message.content_key is not None:
            sent[verdict.recipient.key, rules.content_hash(notification.message.content_key)] = law.now
    return decided


def _common(notification: Notification, law: Law) -> _Common:
    written = []
    for gate, ruling in (
        ("cancelled", rules.cancelled(notification)),
        ("expiry", rules.expiry(notification, law.now)),
        ("schedule", rules.schedule(notification, law.now)),
        ("category", rules.category(notification.message, law.categories)),
    ):
        written.append(rules.record(gate, ruling.reason, ruling.because))
        if ruling.reason is not None:
            return _Common(",".join(written), ruling, None, None, {})
    category = law.categories[notification.message.category]
    quiet = rules.Quiet(category, law.settings, notification.expires_at, law.now)
    return _Common(",".join(written), None, category, quiet, {})


def _personal(candidate: Candidate, shared: _Common, sent: Mapping[tuple[Key, int], Millis], law: Law) -> Decided:
    notification, recipient, only = candidate
    if shared.stop is not None or shared.category is None or shared.quiet is None:
        reason = shared.stop.reason if shared.stop and shared.stop.reason else Reason.CATEGORY_MISMATCH
        until = shared.stop.until if shared.stop else None
        return Decided(notification, recipient, reason, until, f"[{shared.written}]", [])
    targets = recipient.targets
    targets = [target for target in targets if target.kind in law.reachable and (only is None or target.key in only)]
    allowed = rules.permitted(targets)
    rest = shared.quiet.rest(recipient.zone, recipient.preferences)
    rulings = (
        rules.consent(recipient, shared.category, Channel.PUSH, law.settings, law.now),
        rules.device(targets),
        rules.permission(targets, allowed),
        rules.duplicate(notification.message, recipient.key, sent, law.now),
        rest.ruling(recipient.key),
    )
    judged = shared.judged.get(rulings)
    if judged is None:
        judged = shared.judged[rulings] = _judged(shared.written, rulings)
    if judged.reason is not Reason.SEND:
        return Decided(notification, recipient, judged.reason, judged.until, judged.gates, [])
    return Decided(notification, recipient, Reason.SEND, None, judged.gates, allowed, rest.quiet_from)


def _judged(written: str, rulings: Sequence[rules.Ruling]) -> _Judged:
    """The first gate that stops it decides; what comes after it is not written down."""
    for gate, ruling in zip(_PERSONAL, rulings, strict=True):
        written += "," + rules.record(gate, ruling.reason, ruling.because)
        if ruling.reason is not None:
            return _Judged(ruling.reason, ruling.until, f"[{written}]")
    return _Judged(Reason.SEND, None, f"[{written}]")
