"""Decide: send, hold or drop, for each candidate, with the gates it passed written down."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from clarion.journey import rules
from clarion.journey.candidate import Candidate, Decided
from clarion.journey.conditions import NOTHING_AROUND, Around, Conditions, is_conditional
from clarion.journey.digests.digest import group_of
from clarion.journey.passed import MOST_STEPS, Passed, begun_with
from clarion.model import (
    Category,
    CategoryClass,
    Channel,
    DeviceKind,
    Key,
    Millis,
    Notification,
    ProjectSettings,
    Reason,
    Verdict,
    verdict_of,
)
from clarion.ports import CapsQuery, Collected, Facts, Recipient, Slot, Taken, Target, Waiting


class Law(NamedTuple):
    """What holds for the whole batch: the project's rules, the kinds that can be reached, the time, what texts see."""

    settings: ProjectSettings
    categories: Mapping[str, Category]
    reachable: Collection[DeviceKind]
    now: Millis
    around: Around = NOTHING_AROUND


class _Common(NamedTuple):
    """What one notification's gates need, worked out once for all its candidates.

    `written`: what the gates said that look at the notification alone; if one of them stops it, there are no others.
    `in_place`: the gates of those who had what it updates on its way, and of those on whose screens it may be.
    """

    written: Passed
    personal: "_Personal | None" = None
    in_place: "tuple[_Personal, _Personal] | None" = None


class _Personal(NamedTuple):
    """The gates that look at the person. Spares, digest and caps are there only if they have anything to say."""

    local_time: rules.LocalTimeGate | None
    consent: Callable[[Recipient], rules.Ruling]
    duplicate: Callable[[Key, Mapping[tuple[Key, int], Millis]], rules.Ruling]
    quiet: rules.Quiet
    spares: "_Spares | None"
    digest: rules.DigestGate | None
    caps: rules.CapGate | None


class _Spares(NamedTuple):
    """What may spare people the message: looked at one by one, unless it is exempt (from all but the audience)."""

    membership: rules.Membership | None
    conditions: Conditions | None
    groups: tuple[rules.Group, ...]
    exempt: bool
    trial: rules.Trial | None


_LOCALLY = ("local_time",)
_ASKED = ("consent", "device", "permission", "duplicate")
_SPARING = ("condition", "holdout", "experiment")
_RESTING = ("quiet_hours",)
_DIGESTING = ("digest",)
_CAPPING = ("caps",)


class Decider:
    """Decides one slice of a batch after the other; what its candidates have in common is kept for the next."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._common: dict[Key, _Common] = {}

    def decide(self, candidates: Iterable[Candidate], facts: Facts) -> list[Decided]:
        """One decision per candidate, in order. What this slice itself sends counts for the candidates after it."""
        batch, law = list(candidates), self._law
        # Of one notification nobody is a candidate twice: what it does to one person tells nothing of the next.
        several = len({candidate.notification.key for candidate in batch}) > 1
        seen = _Seen.of(facts) if several else _Seen(facts.sent_content, facts.taken, facts.waiting, facts.collected)
        decided = []
        for candidate in batch:
            notification = candidate.notification
            common = self._common.get(notification.key)
            if common is None:
                common = self._common[notification.key] = _common(notification, law)
            verdict = _decided(candidate, common, facts, seen, law)
            decided.append(verdict)
            if several:
                _note(seen, verdict, law)
        return decided


def decide(candidates: Iterable[Candidate], facts: Facts, law: Law) -> list[Decided]:
    """The same for a batch that is decided at once."""
    return Decider(law).decide(candidates, facts)


def capping(law: Law, notifications: Iterable[Notification]) -> CapsQuery | None:
    """What must be known of caps to decide these; None when none of them is counted."""
    worn = (one.message.category for one in notifications)
    return rules.caps_query(law.settings, law.categories, worn, law.now) if law.settings.caps else None


def after(facts: Facts, decided: Iterable[Decided], law: Law) -> Facts:
    """The facts for who is decided next: with what was sent, and who waits, by the final word on these."""
    seen = _Seen.of(facts)
    for verdict in decided:
        _note(seen, verdict, law)
    return msgspec.structs.replace(
        facts, sent_content=seen.content, taken=seen.taken, waiting=seen.waiting, collected=seen.collected
    )


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
    collected: dict[Key, list[Collected]]

    @classmethod
    def of(cls, facts: Facts) -> "_Seen":
        return cls(dict(facts.sent_content), dict(facts.taken), dict(facts.waiting), dict(facts.collected))


def _note(seen: _Seen, verdict: Decided, law: Law) -> None:
    """What a decision means for those after it."""
    notification, user, sends = verdict.notification, verdict.recipient.key, verdict.reason is Reason.SEND
    if (sends or verdict.due) and notification.message.content_key is not None:
        seen.content[user, rules.content_hash(notification.message.content_key)] = law.now
    if verdict.group is not None and not verdict.due:
        _note_group(seen, verdict, verdict.group, law.now)
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


def _note_group(seen: _Seen, verdict: Decided, group: int, now: Millis) -> None:
    """What was sent of a digest's group, or is collected for it."""
    user, notification = verdict.recipient.key, verdict.notification.key
    if verdict.reason is Reason.SEND:
        seen.content[user, group] = now
    elif all(one.notification != notification for one in seen.collected.get(user, ())):
        seen.collected[user] = [*seen.collected.get(user, ()), Collected(user, notification, group, now)]


def _slot(sent: Decided, law: Law) -> Slot | None:
    if sent.shown is not None:
        return None  # it stands where a place was taken before
    category = law.categories[sent.notification.message.category]
    return rules.slot(sent.notification, sent.recipient.key, category, law.now)


def _common(notification: Notification, law: Law) -> _Common:
    written = []
    withdraws = rules.is_withdrawal(notification)
    known = notification.message.category in law.categories
    category = rules.WITHDRAWING if withdraws and known else rules.category(notification, law.categories)
    for gate, ruling in (
        ("cancelled", rules.cancelled(notification)),
        ("paused", rules.paused(notification, law.now)),
        ("superseded", rules.superseded(notification)),
        ("expiry", rules.expiry(notification, law.now)),
        ("schedule", rules.schedule(notification, law.now)),
        ("category", category),
    ):
        if ruling is None:
            continue
        written.append(rules.record(gate, ruling.reason, ruling.because))
        if ruling.reason is not None:
            return _Common(Passed(f"[{','.join(written)}]", ruling.reason, ruling.until))
    worn, settings, now = law.categories[notification.message.category], law.settings, law.now
    local = notification.local_time
    personal = _Personal(
        None if local is None else rules.LocalTimeGate(notification, local, settings.default_timezone, now),
        rules.Consent(worn, Channel.PUSH, settings, now),
        rules.Duplicate(notification.message, now),
        rules.Quiet(notification, worn, settings, now),
        _spares(notification, worn, law),
        _digesting(notification, worn, law),
        rules.CapGate(notification, settings, law.categories, now) if settings.caps else None,
    )
    begun = begun_with(",".join(written))
    if begun.steps[0] > MOST_STEPS:  # a wait for a cap ends at a moment of its own: that is nobody else's
        begun.steps[0] = 0
        begun.then.clear()
    if notification.update is None:
        return _Common(begun, personal)
    in_place = _in_place(notification, worn, law, shown=False), _in_place(notification, worn, law, shown=True)
    return _Common(begun, personal, in_place)


def _in_place(notification: Notification, worn: Category, law: Law, *, shown: bool) -> _Personal:
    """They were asked everything before: what counts is a no since then, and a sound at night."""
    asks, quietly = not rules.is_withdrawal(notification), shown and rules.is_quiet(notification)
    return _Personal(
        None,
        rules.Consent(worn, Channel.PUSH, law.settings, law.now) if asks else rules.no_consent_asked,
        rules.no_duplicate,
        rules.Quiet(notification, worn, law.settings, law.now, quietly=quietly),
        None,
        None,
        None,
    )


def _spares(notification: Notification, category: Category, law: Law) -> _Spares | None:
    message = notification.message
    project_id, exempt = law.around.project.get("id", ""), rules.exempt(category)
    groups = rules.groups(project_id, law.settings, message)
    conditions = Conditions(notification, law.around) if is_conditional(message) else None
    trial = rules.trial(project_id, notification, law.now)
    membership = rules.Membership.of(notification.to)
    spares = _Spares(membership, conditions, groups, exempt, trial)
    return spares if membership or conditions or groups or trial else None


def _digesting(notification: Notification, category: Category, law: Law) -> rules.DigestGate | None:
    if category.digest is None or category.class_ is not CategoryClass.INFORMATIONAL:
        return None
    group = group_of(notification, category.digest, law.around)
    return rules.DigestGate(notification, category.digest, group, law.settings, law.now)


def _decided(candidate: Candidate, common: _Common, facts: Facts, seen: _Seen, law: Law) -> Decided:
    notification, recipient, only, shown = candidate.notification, candidate.recipient, candidate.only, candidate.shown
    passed, personal, in_place = common
    if in_place is not None and shown is not None:
        personal = in_place[shown]
    allowed: list[Target] = []
    quiet_from = group = expires_at = None
    due = False
    if personal is not None and personal.local_time is not None:
        ruling, expires_at = personal.local_time(recipient.zone)
        passed = passed.then.get(ruling) or passed.on(ruling, _LOCALLY, (ruling,))
    if personal is not None and passed.reason is Reason.SEND:
        devices, allowed = rules.within_reach(recipient.targets, law.reachable, only)
        passed = _asked(passed, personal, recipient, devices, len(allowed), seen)
        if personal.spares is not None and passed.reason is Reason.SEND:
            passed = _spared(passed, personal.spares, recipient, facts)
        if passed.reason is Reason.SEND:
            passed, quiet_from = _rested(passed, personal.quiet, recipient)
        if personal.digest is not None:
            passed, group, due = _gathered(passed, personal.digest, candidate, seen)
        # Caps come last, since they take a place for what really leaves.
        if personal.caps is not None and passed.reason is Reason.SEND:
            passed = _capped(passed, personal.caps, recipient, seen)
    if passed.reason is not Reason.SEND:
        group = group if verdict_of(passed.reason) is Verdict.HOLD else None
        return Decided(notification, recipient, passed.reason, passed.until, passed.gates, [], None, group, due, only)
    if personal is None or personal.digest is None or not personal.digest.marks:
        group = None
    return Decided(
        notification,
        recipient,
        Reason.SEND,
        None,
        passed.gates,
        allowed,
        quiet_from,
        group,
        False,
        None,
        expires_at,
        shown,
    )


def _asked(
    passed: Passed,
    personal: _Personal,
    recipient: Recipient,
    devices: int,
    allowed: int,
    seen: _Seen,
) -> Passed:
    """Whether the person and a device of theirs want it, and did not have it."""
    consent, duplicate = personal.consent(recipient), personal.duplicate(recipient.key, seen.content)
    said = consent, devices, allowed, duplicate
    found = passed.then.get(said)
    if found is None:
        reach = rules.device(devices), rules.permission(allowed, devices)
        found = passed.on(said, _ASKED, (consent, *reach, duplicate))
    return found


def _spared(passed: Passed, spares: _Spares, recipient: Recipient, facts: Facts) -> Passed:
    """The gates that only spare people something, once all others let the candidate pass."""
    membership, conditions, groups, exempt, trial = spares
    audience = condition = holdout = experiment = None
    if membership is not None:
        audience = membership(recipient.key, facts)
    if conditions is not None:
        condition = rules.EXEMPT if exempt else conditions.ruling(recipient, facts.events)
    if groups:
        holdout = rules.EXEMPT if exempt else rules.holdout(groups, recipient.user_id)
    if trial is not None:
        experiment = rules.EXEMPT if exempt else trial(recipient.user_id)
    said = audience, condition, holdout, experiment
    return passed.then.get(said) or passed.on(said, (membership.gate if membership else "", *_SPARING), said)


def _rested(passed: Passed, quiet: rules.Quiet, recipient: Recipient) -> tuple[Passed, Millis | None]:
    """The gate of quiet hours, and from when on they may be."""
    ruling, quiet_from = quiet.usual, None
    if ruling is None or recipient.preferences is not None:
        rest = quiet.rest(recipient.zone, recipient.preferences)
        ruling, quiet_from = rest.ruling(recipient.key), rest.quiet_from
    return passed.then.get(ruling) or passed.on(ruling, _RESTING, (ruling,)), quiet_from


def _gathered(
    passed: Passed, digest: rules.DigestGate, candidate: Candidate, seen: _Seen
) -> tuple[Passed, int | None, bool]:
    """The gate of digests; the group that it is collected with, also while quiet hours hold it; whether all of it goes.

    What is due is not written down yet: how it goes is settled with all of its group.
    """
    recipient, released = candidate.recipient, candidate.released
    waiting = seen.collected.get(recipient.key, ())
    if passed.reason is Reason.QUIET_HOURS:
        return passed, digest.group(waiting), False
    if passed.reason is not Reason.SEND:
        return passed, None, False
    if released is not None:
        gathered = rules.Gathered(rules.Ruling(None, released[0]), released[1])
    else:
        gathered = digest(recipient, waiting, seen.content)
    ruling, group, due = gathered
    if due:
        return Passed(passed.gates, Reason.DIGEST, ruling.until), group, True
    return passed.then.get(ruling) or passed.on(ruling, _DIGESTING, (ruling,)), group, False


def _capped(passed: Passed, caps: rules.CapGate, recipient: Recipient, seen: _Seen) -> Passed:
    ruling = caps(recipient, seen.taken.get(recipient.key, ()), seen.waiting.get(recipient.key, ()))
    return passed.then.get(ruling) or passed.on(ruling, _CAPPING, (ruling,))
