"""Decide: send, hold or drop, for each candidate, with the gates it passed written down."""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from clarion.journey import rules
from clarion.journey.candidate import Candidate, Decided
from clarion.journey.conditions import NOTHING_AROUND, Around, Conditions, is_conditional
from clarion.model import Category, Channel, DeviceKind, Key, Millis, Notification, ProjectSettings, Reason
from clarion.ports import CapsQuery, Facts, Recipient, Slot, Taken, Waiting


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


class _Capping(NamedTuple):
    """The gate of the caps; `known`: as `_Common.judged`."""

    gate: rules.CapGate
    known: dict[tuple[str, str, Millis | None], _Judged]


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
    capping: _Capping | None = None


_ASKED = ("consent", "device", "permission", "duplicate")
_SPARING = ("condition", "holdout")
_RESTING = ("quiet_hours",)


def decide(candidates: Iterable[Candidate], facts: Facts, law: Law) -> list[Decided]:
    """One decision per candidate, in order. What this batch itself sends counts for the candidates after it."""
    batch = list(candidates)
    # Of one notification nobody is a candidate twice: what it does to one person tells nothing of the next.
    several = len({candidate.notification.key for candidate in batch}) > 1
    seen = _Seen.of(facts) if several else _Seen(facts.sent_content, facts.taken, facts.waiting)
    common: dict[Key, _Common] = {}
    decided = []
    for candidate in batch:
        notification = candidate.notification
        shared = common.get(notification.key)
        if shared is None:
            shared = common[notification.key] = _common(notification, law)
        verdict = _personal(candidate, shared, facts, seen, law)
        decided.append(verdict)
        if several:
            _note(seen, verdict, law)
    return decided


def capping(law: Law, notifications: Iterable[Notification]) -> CapsQuery | None:
    """What must be known of caps to decide these; None when none of them is counted."""
    worn = (one.message.category for one in notifications)
    return rules.caps_query(law.settings, law.categories, worn, law.now) if law.settings.caps else None


def after(facts: Facts, decided: Iterable[Decided], law: Law) -> Facts:
    """The facts for who is decided next: with what was sent, and who waits, by the final word on these."""
    seen = _Seen.of(facts)
    for verdict in decided:
        _note(seen, verdict, law)
    return msgspec.structs.replace(facts, sent_content=seen.content, taken=seen.taken, waiting=seen.waiting)


def slots(decided: Iterable[Decided], law: Law) -> list[Slot]:
    """The places under caps that are taken; none while the project has no caps."""
    if not law.settings.caps:
        return []
    sent = [_slot(one, law) for one in decided if one.reason is Reason.SEND]
    return [slot for slot in sent if slot is not None]


class _Seen(NamedTuple):
    """The facts that a batch itself changes, in copies."""

    content: dict[tuple[Key, int], Millis]
    taken: dict[Key, list[Taken]]
    waiting: dict[Key, list[Waiting]]

    @classmethod
    def of(cls, facts: Facts) -> "_Seen":
        return cls(dict(facts.sent_content), dict(facts.taken), dict(facts.waiting))


def _note(seen: _Seen, verdict: Decided, law: Law) -> None:
    """What a decision means for those after it."""
    notification, user, sends = verdict.notification, verdict.recipient.key, verdict.reason is Reason.SEND
    if sends and notification.message.content_key is not None:
        seen.content[user, rules.content_hash(notification.message.content_key)] = law.now
    if not law.settings.caps:
        return
    slot = _slot(verdict, law) if sends else None
    if slot is not None:
        others = [place for place in seen.taken.get(user, ()) if place.notification != notification.key]
        seen.taken[user] = [*others, rules.place(slot)]
    if user in seen.waiting:
        seen.waiting[user] = [one for one in seen.waiting[user] if one.notification != notification.key]
    if verdict.reason is Reason.CAP_WAIT and verdict.until is not None:
        seen.waiting[user] = [*seen.waiting.get(user, ()), rules.turn(notification, verdict.until)]


def _slot(sent: Decided, law: Law) -> Slot | None:
    category = law.categories[sent.notification.message.category]
    return rules.slot(sent.notification, sent.recipient.key, category, law.now)


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
    caps = rules.CapGate(notification, law.settings, law.categories, law.now) if law.settings.caps else None
    capping = _Capping(caps, {}) if caps is not None else None
    return _Common(",".join(written), None, worn, quiet, {}, {}, _spares(notification, worn, law), capping)


def _personal(candidate: Candidate, shared: _Common, facts: Facts, seen: _Seen, law: Law) -> Decided:
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
        rules.duplicate(notification.message, recipient.key, seen.content, law.now),
    )
    judged = shared.judged.get(rulings)
    if judged is None:
        judged = shared.judged[rulings] = _judged(shared.written, _ASKED, rulings)
    if shared.spares is not None and judged.reason is Reason.SEND:
        judged = _spared(judged, recipient, shared.spares, facts)
    quiet_from = None
    if judged.reason is Reason.SEND:
        judged, quiet_from = _rested(judged, recipient, shared.quiet, shared.rested)
    if shared.capping is not None and judged.reason is Reason.SEND:
        judged = _capped(judged, shared.capping, recipient, seen)
    if judged.reason is not Reason.SEND:
        return Decided(notification, recipient, judged.reason, judged.until, judged.gates, [])
    return Decided(notification, recipient, Reason.SEND, None, judged.gates, allowed, quiet_from)


def _capped(judged: _Judged, capping: _Capping, recipient: Recipient, seen: _Seen) -> _Judged:
    """The last gate, since it takes a place for what really leaves. Only for those whom all others let pass."""
    gate, known = capping
    ruling = gate(recipient, seen.taken.get(recipient.key, ()), seen.waiting.get(recipient.key, ()))
    key = (judged.gates, ruling.because, ruling.until)
    capped = known.get(key)
    if capped is None:
        gates = f"{judged.gates[:-1]},{rules.record('caps', ruling.reason, ruling.because)}]"
        capped = known[key] = _Judged(ruling.reason or Reason.SEND, ruling.until, gates)
    return capped


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
