"""Decide: send, hold or drop, for each candidate, with the gates it passed written down."""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from clarion.journey import rules
from clarion.journey.candidate import Candidate, Decided
from clarion.journey.conditions import NOTHING_AROUND, Around, Conditions, is_conditional
from clarion.model import Category, Channel, DeviceKind, Key, Millis, Notification, ProjectSettings, Reason
from clarion.ports import Facts, Recipient


class Law(NamedTuple):
    """What holds for the whole batch: the project's rules, the kinds that can be reached, the time, what texts see."""

    settings: ProjectSettings
    categories: Mapping[str, Category]
    reachable: Collection[DeviceKind]
    now: Millis
    around: Around = NOTHING_AROUND


class _Judged(NamedTuple):
    """What the gates came to, and what they said."""

    reason: Reason
    until: Millis | None
    gates: str


class _Spares(NamedTuple):
    """What may spare people the message: looked at one by one, unless it is exempt. `known`: as `_Common.judged`."""

    conditions: Conditions | None
    groups: tuple[rules.Group, ...]
    exempt: bool
    known: dict[tuple[str, rules.Ruling | None, rules.Ruling | None], _Judged]


class _Common(NamedTuple):
    """The gates that look at the notification alone, passed once for all its candidates.

    `judged`: by what the other gates said. Most candidates hear the same, which is written down once for all of them.
    `rested`: the same for the gate of quiet hours, by what was written before it.
    """

    written: str
    stop: rules.Ruling | None
    category: Category | None
    quiet: rules.Quiet | None
    judged: dict[tuple[rules.Ruling, ...], _Judged]
    rested: dict[tuple[str, rules.Ruling], _Judged]
    spares: _Spares | None = None


_ASKED = ("consent", "device", "permission", "duplicate")
_SPARING = ("condition", "holdout")
_RESTING = ("quiet_hours",)


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
        verdict = _personal(candidate, shared, facts, sent, law)
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
        ("category", rules.category(notification, law.categories)),
    ):
        written.append(rules.record(gate, ruling.reason, ruling.because))
        if ruling.reason is not None:
            return _Common(",".join(written), ruling, None, None, {}, {})
    worn = law.categories[notification.message.category]
    quiet = rules.Quiet(notification, worn, law.settings, law.now)
    return _Common(",".join(written), None, worn, quiet, {}, {}, _spares(notification, worn, law))


def _personal(
    candidate: Candidate, shared: _Common, facts: Facts, sent: Mapping[tuple[Key, int], Millis], law: Law
) -> Decided:
    notification, recipient, only = candidate
    if shared.stop is not None or shared.category is None or shared.quiet is None:
        reason = shared.stop.reason if shared.stop and shared.stop.reason else Reason.CATEGORY_MISMATCH
        until = shared.stop.until if shared.stop else None
        return Decided(notification, recipient, reason, until, f"[{shared.written}]", [])
    targets = recipient.targets
    targets = [target for target in targets if target.kind in law.reachable and (only is None or target.key in only)]
    allowed = rules.permitted(targets)
    rulings = (
        rules.consent(recipient, shared.category, Channel.PUSH, law.settings, law.now),
        rules.device(targets),
        rules.permission(targets, allowed),
        rules.duplicate(notification.message, recipient.key, sent, law.now),
    )
    judged = shared.judged.get(rulings)
    if judged is None:
        judged = shared.judged[rulings] = _judged(shared.written, _ASKED, rulings)
    if shared.spares is not None and judged.reason is Reason.SEND:
        judged = _spared(judged, recipient, shared.spares, facts)
    quiet_from = None
    if judged.reason is Reason.SEND:
        judged, quiet_from = _rested(judged, recipient, shared.quiet, shared.rested)
    if judged.reason is not Reason.SEND:
        return Decided(notification, recipient, judged.reason, judged.until, judged.gates, [])
    return Decided(notification, recipient, Reason.SEND, None, judged.gates, allowed, quiet_from)


def _spares(notification: Notification, category: Category, law: Law) -> _Spares | None:
    message = notification.message
    groups = rules.groups(law.around.project.get("id", ""), law.settings, message)
    conditions = Conditions(notification, law.around) if is_conditional(message) else None
    return _Spares(conditions, groups, rules.exempt(category), {}) if conditions or groups else None


def _spared(judged: _Judged, recipient: Recipient, spares: _Spares, facts: Facts) -> _Judged:
    """The gates that only spare people something, once all others let the candidate pass."""
    conditions, groups, exempt, known = spares
    condition = holdout = None
    if conditions is not None:
        condition = rules.EXEMPT if exempt else conditions.ruling(recipient, facts.events)
    if groups:
        holdout = rules.EXEMPT if exempt else rules.holdout(groups, recipient.user_id)
    said = (judged.gates, condition, holdout)
    found = known.get(said)
    if found is None:
        found = known[said] = _judged(judged.gates[1:-1], _SPARING, (condition, holdout))
    return found


def _rested(
    judged: _Judged, recipient: Recipient, quiet: rules.Quiet, known: dict[tuple[str, rules.Ruling], _Judged]
) -> tuple[_Judged, Millis | None]:
    """The gate of quiet hours, and from when on they may be."""
    ruling, quiet_from = quiet.usual, None
    if ruling is None or recipient.preferences is not None:
        rest = quiet.rest(recipient.zone, recipient.preferences)
        ruling, quiet_from = rest.ruling(recipient.key), rest.quiet_from
    said = (judged.gates, ruling)
    found = known.get(said)
    if found is None:
        found = known[said] = _judged(judged.gates[1:-1], _RESTING, (ruling,))
    return found, quiet_from


@lru_cache(maxsize=4096)
def _judged(written: str, gates: tuple[str, ...], rulings: tuple[rules.Ruling | None, ...]) -> _Judged:
    """The first gate that stops it decides; what comes after it, or was not asked, is not written down."""
    for gate, ruling in zip(gates, rulings, strict=True):
        if ruling is None:
            continue
        written += "," + rules.record(gate, ruling.reason, ruling.because)
        if ruling.reason is not None:
            return _Judged(ruling.reason, ruling.until, f"[{written}]")
    return _Judged(Reason.SEND, None, f"[{written}]")
