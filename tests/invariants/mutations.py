"""What could be wrong with the rules: each mutation breaks one of them, for as long as the patch lasts.

A rule that is looked at twice, when it is decided and just before it leaves, has a mutation for each.
"""

from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from pytest import MonkeyPatch  # noqa: PT013 - a type, named in every mutation

from clarion.journey import candidate, decide, deciding, deliver, delivering, judgement, rules
from clarion.journey.digests import settling
from clarion.journey.rules import caps, consent, duplicate, local_time, quiet, reach
from clarion.journey.rules.ruling import Ruling
from clarion.model import CategoryClass, Notification, Permission
from clarion.ports import PairsWork, Slot
from clarion.testing.memory import steps
from clarion.testing.memory.steps import MemorySteps
from clarion.testing.memory.work import MemoryWork

Mutation = Callable[[MonkeyPatch], None]
MUTATIONS: dict[str, Mutation] = {}


def breaks(rule: str) -> Callable[[Mutation], Mutation]:
    def named(mutation: Mutation) -> Mutation:
        MUTATIONS[rule] = mutation
        return mutation

    return named


def _around(patch: MonkeyPatch, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """`wrapper` is called in place of a function, with that as its first argument."""
    real = getattr(owner, name)
    patch.setattr(owner, name, lambda *given, **named: wrapper(real, *given, **named))


def _always(answer: Any) -> Callable[..., Any]:
    return lambda *_, **__: answer


def _found(answer: Any) -> Callable[..., Any]:
    async def found(*_: Any, **__: Any) -> Any:
        return answer

    return found


YES = Ruling(None, "nobody looked")
DAY_MS = 86_400_000


# --- caps ------------------------------------------------------------------------------------------------------------


def _with_rules(patch: MonkeyPatch, changed: Callable[[Any], Any]) -> None:
    def begun(real: Any, gate: Any, *given: Any) -> None:
        real(gate, *given)
        gate._caps = [changed(rule) for rule in gate._caps]

    _around(patch, caps.CapGate, "__init__", begun)


@breaks("a cap's window is three seconds short")
def _(patch: MonkeyPatch) -> None:
    _with_rules(patch, lambda rule: rule if rule.start is None else rule._replace(start=rule.start + 3_000))


def _with_limits(patch: MonkeyPatch, more: int) -> None:
    def changed(rule: Any) -> Any:
        cap = msgspec.structs.replace(rule.cap, limit=max(1, rule.limit + more))
        return rule._replace(cap=cap, limit=cap.limit)

    _with_rules(patch, changed)


@breaks("a cap lets one more pass")
def _(patch: MonkeyPatch) -> None:
    _with_limits(patch, 1)


@breaks("a cap lets one less pass")
def _(patch: MonkeyPatch) -> None:
    _with_limits(patch, -1)


@breaks("a calendar day is that of the project's zone")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(caps, "zone_there", lambda _, settings: ZoneInfo(settings.default_timezone))


@breaks("a week begins on Sunday")
def _(patch: MonkeyPatch) -> None:
    def week(real: Any, now: int, zone: ZoneInfo) -> Any:
        span = real(now + DAY_MS, zone)
        return span._replace(start=span.start - DAY_MS)

    _around(patch, caps, "calendar_week", week)


@breaks("mandatory messages are capped")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(caps, "applying", lambda settings, _: tuple(settings.caps))


@breaks("mandatory messages take places under caps")
def _(patch: MonkeyPatch) -> None:
    def slot(real: Any, notification: Notification, user: int, category: Any, now: int) -> Slot:
        return Slot(user, notification.key, now, category.name, category.class_.value, "push", False)

    _around(patch, rules, "slot", slot)


@breaks("what a batch sends does not count for those after it")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(decide, "_note", _always(None))


@breaks("places are not written down")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(deciding, "slots", _always([]))


# --- quiet hours ------------------------------------------------------------------------------------------------------


@breaks("mandatory messages have quiet hours")
def _(patch: MonkeyPatch) -> None:
    def begun(real: Any, gate: Any, notification: Any, category: Any, *given: Any, **named: Any) -> None:
        if category.class_ is CategoryClass.MANDATORY:
            category = msgspec.structs.replace(category, class_=CategoryClass.INFORMATIONAL)
        real(gate, notification, category, *given, **named)

    _around(patch, quiet.Quiet, "__init__", begun)


@breaks("quiet hours go by UTC")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(quiet, "_place", _always(("UTC", "UTC")))


def _with_end(patch: MonkeyPatch, later: int) -> None:
    _around(patch, quiet, "window_of", lambda real, hours: real(hours)._replace(end=real(hours).end + later))


@breaks("the last minute of quiet hours is not quiet")
def _(patch: MonkeyPatch) -> None:
    _with_end(patch, -1)


@breaks("the minute after quiet hours is quiet")
def _(patch: MonkeyPatch) -> None:
    _with_end(patch, 1)


@breaks("quiet hours of a person are not looked at")
def _(patch: MonkeyPatch) -> None:
    _around(patch, quiet.Quiet, "rest", lambda real, gate, zone, _: real(gate, zone, None))


@breaks("quiet hours are not looked at when it is decided")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(decide, "_rested", lambda passed, *_: (passed, None))


@breaks("quiet hours are not looked at again of what was late")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(deliver, "set_aside", lambda sifted, _: sifted)


# --- permission and consent -------------------------------------------------------------------------------------------


@breaks("the word for another channel counts")
def _(patch: MonkeyPatch) -> None:
    def begun(real: Any, gate: Any, category: Any, *given: Any) -> None:
        real(gate, category, *given)
        gate._about = category.name, "email"

    _around(patch, consent.Consent, "__init__", begun)


@breaks("the first word counts, not the last")
def _(patch: MonkeyPatch) -> None:
    _around(patch, steps, "last_words", lambda real, ledger, users: real(list(reversed(ledger)), users))


@breaks("a no since the decision does not count")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(MemorySteps, "refused_since", _found({}))


@breaks("a person's pause of marketing is not looked at when it is decided")
def _(patch: MonkeyPatch) -> None:
    def asked(real: Any, gate: Any, recipient: Any) -> Any:
        return real(gate, msgspec.structs.replace(recipient, preferences=None))

    _around(patch, consent.Consent, "__call__", asked)


@breaks("a person's pause of marketing since the decision does not count")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(delivering.Delivering, "_paused", _found({}))


@breaks("a permission that was denied is not looked at")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(reach, "_SHOWABLE", frozenset(Permission))


@breaks("a device that is somebody else's by now is sent to")
def _(patch: MonkeyPatch) -> None:
    def sift(real: Any, messages: Any, notifications: Any, addresses: Any, *given: Any) -> Any:
        owners = {one.device: one.user for one in messages}
        theirs = {key: msgspec.structs.replace(one, user=owners[key]) for key, one in addresses.items()}
        return real(messages, notifications, theirs, *given)

    _around(patch, deliver, "sift", sift)


# --- pauses, cancellations, updates -----------------------------------------------------------------------------------


@breaks("a paused campaign goes on")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(Notification, "is_paused", False)


@breaks("what is cancelled is decided to be sent")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(rules, "cancelled", _always(YES))


def _sifted_without(patch: MonkeyPatch, **changed: Any) -> None:
    def sift(real: Any, messages: Any, notifications: Any, *given: Any) -> Any:
        as_if = {key: msgspec.structs.replace(one, **changed) for key, one in notifications.items()}
        return real(messages, as_if, *given)

    _around(patch, deliver, "sift", sift)


@breaks("what was cancelled since the decision leaves")
def _(patch: MonkeyPatch) -> None:
    _sifted_without(patch, cancelled_at=None)


@breaks("what was replaced since the decision leaves")
def _(patch: MonkeyPatch) -> None:
    _sifted_without(patch, updated_by=None)


@breaks("what was replaced is decided to be sent")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(rules, "superseded", _always(None))


@breaks("a digest leaves though all that is in it was cancelled")
def _(patch: MonkeyPatch) -> None:
    async def as_they_are(store: Any, project: Any, notifications: Any) -> Any:
        return notifications

    patch.setattr(delivering, "called_off_with_all", as_they_are)


# --- what spares people a message -------------------------------------------------------------------------------------


@breaks("marketing goes to control groups")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(rules, "holdout", _always(YES))


@breaks("mandatory messages are held out, tried out and pointless")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(rules, "exempt", _always(False))


@breaks("conditions are not looked at when it is decided")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(decide, "is_conditional", _always(False))


@breaks("what has become pointless leaves, however late")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(delivering, "pointless", _found(frozenset()))


@breaks("the window of a content key is not looked at")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(duplicate.Duplicate, "__call__", _always(YES))


@breaks("the window of a content key is three seconds short")
def _(patch: MonkeyPatch) -> None:
    def begun(real: Any, gate: Any, message: Any, now: int) -> None:
        real(gate, message, now)
        gate._since += 3_000

    _around(patch, duplicate.Duplicate, "__init__", begun)


# --- holds, times and digests -----------------------------------------------------------------------------------------


@breaks("what was held is sent without another decision")
def _(patch: MonkeyPatch) -> None:
    held = [False]

    async def step(real: Any, steps: Any, lease: Any, job: Any) -> Any:
        held[0] = isinstance(job, PairsWork) and job.held
        return await real(steps, lease, job)

    def decided(real: Any, given: Any, common: Any, facts: Any, seen: Any, law: Any) -> Any:
        if held[0] and common.personal is not None:
            worn = law.categories[given.notification.message.category]
            open_ = decide._in_place(given.notification, worn, law, shown=True)
            common = common._replace(personal=open_._replace(consent=rules.no_consent_asked))
        return real(given, common, facts, seen, law)

    _around(patch, deciding.DecidingSteps, "step", step)
    _around(patch, decide, "_decided", decided)


@breaks("a local time is that of the project's zone")
def _(patch: MonkeyPatch) -> None:
    _around(patch, local_time.LocalTimeGate, "__call__", lambda real, gate, _: real(gate, None))


@breaks("a local time that is over today is at once, not tomorrow")
def _(patch: MonkeyPatch) -> None:
    def moment(real: Any, local: Any, *given: Any) -> Any:
        return real(msgspec.structs.replace(local, passed="at_once"), *given)

    _around(patch, local_time, "moment_of", moment)


@breaks("what is stale leaves")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(deliver, "is_over", _always(False))


@breaks("mandatory messages are collected for digests")
def _(patch: MonkeyPatch) -> None:
    def digesting(real: Any, notification: Any, category: Any, law: Any) -> Any:
        return real(notification, msgspec.structs.replace(category, class_=CategoryClass.INFORMATIONAL), law)

    _around(patch, decide, "_digesting", digesting)


@breaks("what is in a digest is sent by itself too")
def _(patch: MonkeyPatch) -> None:
    def candidates(real: Any, settling_: Any, group: int, waiting: Sequence[Any], keys: Any) -> list[Any]:
        found = real(settling_, group, waiting, keys)
        if any(one.notification.digest_of for one in found):
            found += [candidate.Candidate(one.notification, one.recipient, None, ("", group)) for one in waiting[:1]]
        return list(found)

    _around(patch, settling.Settling, "_candidates", candidates)


@breaks("what left in a digest is not known to have left")
def _(patch: MonkeyPatch) -> None:
    _around(patch, settling, "_sent", lambda real, digest, items, settled: real(digest, items[1:], settled))


@breaks("what was collected stays collected")
def _(patch: MonkeyPatch) -> None:
    patch.setattr(judgement, "_released", _always([]))


# --- crashes ----------------------------------------------------------------------------------------------------------


def _decided_again(patch: MonkeyPatch) -> None:
    def candidates(real: Any, job: Any, notifications: Any, facts: Any, *given: Any) -> Any:
        return real(job, notifications, msgspec.structs.replace(facts, decided=frozenset()), *given)

    _around(patch, deciding, "candidates", candidates)


@breaks("who is decided is decided again")
def _(patch: MonkeyPatch) -> None:
    _decided_again(patch)


@breaks("whoever lost their lease decides all the same")
def _(patch: MonkeyPatch) -> None:
    """Each is there to keep the other's faults from showing."""

    def finish(work: MemoryWork, lease: Any) -> bool:
        work._jobs.pop(lease.key, None)
        return True

    patch.setattr(MemoryWork, "finish", finish)
    _decided_again(patch)
