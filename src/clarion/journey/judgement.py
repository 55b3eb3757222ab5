"""Deciding and composing joined over one batch, in slices that leave the event loop room to breathe."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

import msgspec

from clarion.journey.candidate import Candidate, Decided
from clarion.journey.compose import Composer, Scene
from clarion.journey.decide import Decider, Law, after
from clarion.journey.rules import content_hash
from clarion.model import Decision, Delivery, DeviceKind, Key, Millis, Reason, Verdict, verdict_of
from clarion.ports import DeliverWork, Effects, Facts, NewWork, PairsWork, Ready, Slot, Target, sole

# Recipients per turn of the event loop: a turn stays under 3 ms.
SLICE = 200
# Messages in one delivery job; somebody with many devices does not make a job without end.
MESSAGES_A_JOB = 1000


class Judgement(msgspec.Struct, frozen=True):
    """What became of a batch of candidates, and the messages of those that are sent."""

    decided: list[Decided]
    ready: list[tuple[Target, Ready]]


async def judge(candidates: Iterable[Candidate], facts: Facts, law: Law, scene: Scene) -> Judgement:
    """Decide and compose, in the order of the candidates."""
    decider, composer = Decider(law), Composer(scene)
    judgement = Judgement([], [])
    waiting = iter(candidates)
    seen = facts
    noted = 0  # how many of the decided the facts that we have seen know of
    while batch := list(islice(waiting, SLICE)):
        first = judgement.decided[0].notification if judgement.decided else batch[0].notification
        if any(candidate.notification.key != first.key for candidate in batch) or noted:
            seen, noted = after(seen, judgement.decided[noted:], law), len(judgement.decided)
        final, ready = composer.compose(decider.decide(batch, seen))
        judgement.decided.extend(final)
        judgement.ready.extend(ready)
        await asyncio.sleep(0)
    return judgement


class Foresight:
    """Judges one notification at one moment, batch by batch, with nothing to be sent."""

    def __init__(self, law: Law, scene: Scene) -> None:
        self._law, self._composer = law, Composer(scene)

    async def judge(self, candidates: Sequence[Candidate], facts: Facts) -> list[Decided]:
        """As `judge` decides, in the order of the candidates."""
        decided: list[Decided] = []
        decider = Decider(self._law)
        for first in range(0, len(candidates), SLICE):
            batch = candidates[first : first + SLICE]
            decided += self._composer.foresee(decider.decide(batch, facts))
            await asyncio.sleep(0)
        return decided


def _sent_content(decided: Sequence[Decided]) -> list[tuple[Key, int]]:
    return [
        (one.recipient.key, content_hash(one.notification.message.content_key))
        for one in decided
        if one.reason is Reason.SEND and one.notification.message.content_key is not None
    ]


def effects(
    judgement: Judgement,
    project: Key,
    now: Millis,
    *,
    held_before: bool,
    slots: Sequence[Slot] = (),
    further: Sequence[NewWork] = (),
) -> Effects:
    """What is written of a judgement: decisions, deliveries, and the jobs that carry on, `further` ones included.

    `slots`: the places under caps that it takes.
    """
    decisions = [
        Decision(one.notification.key, one.recipient.key, one.reason, one.until, one.gates, now)
        for one in judgement.decided
    ]
    armed = {one.notification.key for one in judgement.decided if one.notification.is_armed}
    return Effects(
        decisions=() if held_before else decisions,
        revised=decisions if held_before else (),
        # What is armed has no delivery before its fire: the decision alone says that it will be sent.
        deliveries=[
            Delivery(ready.notification, ready.user, ready.device, target.kind)
            for target, ready in judgement.ready
            if ready.notification not in armed
        ],
        sent_content=_sent_content(judgement.decided),
        slots=slots,
        work=[*_deliver_work(judgement, armed, project, now), *_held_work(judgement, project), *further],
    )


def without(judgement: Judgement, begun: Collection[tuple[Key, Key]]) -> Judgement:
    """The same decisions, without messages to devices that have theirs already: (notification, device)."""
    if not begun:
        return judgement
    ready = [pair for pair in judgement.ready if (pair[1].notification, pair[1].device) not in begun]
    return Judgement(judgement.decided, ready)


def _deliver_work(judgement: Judgement, armed: Collection[Key], project: Key, now: Millis) -> list[NewWork]:
    by_way: dict[tuple[DeviceKind, str, bool], list[Ready]] = {}
    for target, ready in judgement.ready:
        by_way.setdefault((target.kind, target.lane, ready.notification in armed), []).append(ready)
    # The first of all: a look too many costs little, and mostly all has left long before.
    quiet_from = min((one.quiet_from for one in judgement.decided if one.quiet_from is not None), default=None)
    return [
        NewWork(
            project=project,
            job=DeliverWork(kind=kind, decided_at=now, messages=chunk, lane=lane, arm=arm, quiet_from=quiet_from),
            due_at=now,
            notification=sole(ready.notification for ready in chunk),
        )
        for (kind, lane, arm), messages in by_way.items()
        for chunk in (messages[at : at + MESSAGES_A_JOB] for at in range(0, len(messages), MESSAGES_A_JOB))
    ]


def _held_work(judgement: Judgement, project: Key) -> list[NewWork]:
    by_time: dict[Millis, list[tuple[Key, Key]]] = {}
    for one in judgement.decided:
        if verdict_of(one.reason) is Verdict.HOLD and one.until is not None:
            by_time.setdefault(one.until, []).append((one.notification.key, one.recipient.key))
    return [
        NewWork(
            project=project,
            job=PairsWork(pairs=pairs, held=True),
            due_at=until,
            notification=sole(notification for notification, _ in pairs),
        )
        for until, pairs in by_time.items()
    ]
