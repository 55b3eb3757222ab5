"""Deciding and composing joined over one batch, in slices that leave the event loop room to breathe."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

import msgspec

from clarion.journey.candidate import Candidate, Decided
from clarion.journey.compose import Composer, Scene
from clarion.journey.decide import Decider, Law, after
from clarion.journey.digests.settling import Settling
from clarion.journey.experiments.variants import Assigner
from clarion.journey.rules import content_hash
from clarion.model import Decision, Delivery, DeviceKind, Key, Millis, Reason, Verdict, verdict_of
from clarion.ports import (
    Collected,
    DeliverWork,
    Effects,
    Facts,
    NewWork,
    PairsWork,
    Ready,
    Released,
    Slot,
    SpanWork,
    Target,
    sole,
)

# Recipients per turn of the event loop: a turn stays under 3 ms.
SLICE = 200
# Messages in one delivery job; somebody with many devices does not make a job without end.
MESSAGES_A_JOB = 1000
# Each of them brings along what it was collected with.
COLLECTED_A_JOB = 100


class Judgement(msgspec.Struct, frozen=True):
    """What became of a batch of candidates, and the messages of those that are sent.

    `digests` are sent in place of those of `decided` that are in one: `within` is (notification, user) → its digest.
    """

    decided: list[Decided]
    ready: list[tuple[Target, Ready]]
    digests: list[Decided] = []
    within: dict[tuple[Key, Key], Key] = {}


async def judge(
    candidates: Iterable[Candidate], facts: Facts, law: Law, scene: Scene, keys: Sequence[Key] = ()
) -> Judgement:
    """Decide and compose, in the order of the candidates; `keys` are for digests, as many as there may be."""
    judgement, seen = await _judge(candidates, facts, law, scene)
    due = [one for one in judgement.decided if one.due]
    if not due:
        return judgement
    settling = Settling(due, law, scene, keys)
    again, _ = await _judge(settling.candidates, settling.facts(seen), law, settling.scene)
    settled = settling.told(again.decided)
    finals = [one for one in judgement.decided if not one.due] + settled.decided
    return Judgement(finals, judgement.ready + again.ready, settled.digests, settled.within)


async def _judge(candidates: Iterable[Candidate], facts: Facts, law: Law, scene: Scene) -> tuple[Judgement, Facts]:
    """What is due for a digest is still to be settled; and the facts for who is decided next."""
    decider, composer = Decider(law), Composer(scene)
    assigner = Assigner(scene.project_facts.get("id", ""), scene.winners)
    judgement = Judgement([], [])
    waiting = iter(candidates)
    seen = facts
    noted = 0  # how many of the decided the facts that we have seen know of
    while batch := list(islice(waiting, SLICE)):
        first = judgement.decided[0].notification if judgement.decided else batch[0].notification
        if any(candidate.notification.key != first.key for candidate in batch) or noted:
            seen, noted = after(seen, judgement.decided[noted:], law), len(judgement.decided)
        final, ready = composer.compose(assigner.assign(decider.decide(batch, seen)))
        judgement.decided.extend(final)
        judgement.ready.extend(ready)
        await asyncio.sleep(0)
    return judgement, seen if len(judgement.decided) == noted else after(seen, judgement.decided[noted:], law)


class Foresight:
    """Judges one notification at one moment, batch by batch, with nothing to be sent."""

    def __init__(self, law: Law, scene: Scene) -> None:
        self._law, self._composer = law, Composer(scene)
        self._assigner = Assigner(scene.project_facts.get("id", ""), scene.winners)

    async def judge(self, candidates: Sequence[Candidate], facts: Facts) -> list[Decided]:
        """As `judge` decides, in the order of the candidates."""
        decided: list[Decided] = []
        decider = Decider(self._law)
        for first in range(0, len(candidates), SLICE):
            batch = candidates[first : first + SLICE]
            decided += self._composer.foresee(self._assigner.assign(decider.decide(batch, facts)))
            await asyncio.sleep(0)
        return decided


def _sent_content(decided: Sequence[Decided]) -> list[tuple[Key, int]]:
    """What counts as sent: content keys, also of what is in a digest, and that something of a digest's group was."""
    content = [
        (one.recipient.key, content_hash(one.notification.message.content_key))
        for one in decided
        if one.notification.message.content_key is not None and verdict_of(one.reason) is Verdict.SEND
    ]
    groups = [(one.recipient.key, one.group) for one in decided if one.group is not None and one.reason is Reason.SEND]
    return content + groups


def _unsent_content(
    decided: Sequence[Decided], chosen: Mapping[tuple[Key, Key], Millis]
) -> list[tuple[Key, int, Millis]]:
    """What was reserved for those who should get it, as it was armed, and do not, or not yet."""
    return [
        (one.recipient.key, content_hash(one.notification.message.content_key), chosen[about])
        for one in decided
        if one.notification.message.content_key is not None
        and verdict_of(one.reason) is not Verdict.SEND
        and (about := (one.notification.key, one.recipient.key)) in chosen
    ]


def effects(
    judgement: Judgement,
    project: Key,
    now: Millis,
    *,
    held_before: bool,
    chosen: Mapping[tuple[Key, Key], Millis] = MappingProxyType({}),
    waiting: Mapping[Key, Sequence[Collected]] = MappingProxyType({}),
    slots: Sequence[Slot] = (),
    further: Sequence[NewWork] = (),
) -> Effects:
    """What is written of a judgement: decisions, deliveries, and the jobs that carry on, `further` ones included.

    `slots`: the places under caps that it takes; `waiting`: who was collected before, by user;
    `chosen`: when they were to be sent, of those that are decided anew.
    """
    decisions, digests = ([_decision(one, now) for one in part] for part in (judgement.decided, judgement.digests))
    armed = {one.notification.key for one in judgement.decided if one.notification.is_armed}
    return Effects(
        notifications=[one.notification for one in judgement.digests],
        decisions=digests if held_before else decisions,
        revised=decisions if held_before else (),
        # What is armed has no delivery before its fire: the decision alone says that it will be sent.
        deliveries=[
            Delivery(ready.notification, ready.user, ready.device, target.kind)
            for target, ready in judgement.ready
            if ready.notification not in armed
        ],
        sent_content=_sent_content([*judgement.decided, *judgement.digests]),
        unsent_content=_unsent_content(judgement.decided, chosen) if chosen else (),
        slots=slots,
        collected=_collected(judgement, now),
        released=_released(judgement, waiting),
        work=[*_deliver_work(judgement, armed, project, now), *_held_work(judgement, project), *further],
    )


def _decision(one: Decided, now: Millis) -> Decision:
    return Decision(one.notification.key, one.recipient.key, one.reason, one.until, one.gates, now)


def _collected(judgement: Judgement, now: Millis) -> list[Collected]:
    """Who waits for a digest, whatever holds them: who does already is known since when."""
    return [
        Collected(one.recipient.key, one.notification.key, one.group, now)
        for one in judgement.decided
        if one.group is not None and verdict_of(one.reason) is Verdict.HOLD
    ]


def _released(judgement: Judgement, waiting: Mapping[Key, Sequence[Collected]]) -> list[Released]:
    """Who was collected and is so no more, with the digest that they are in."""
    if not waiting:
        return []
    before = {(one.notification, one.user) for rows in waiting.values() for one in rows}
    ended = [
        (one.notification.key, one.recipient.key)
        for one in judgement.decided
        if one.group is None or verdict_of(one.reason) is not Verdict.HOLD
    ]
    return [Released(pair[1], pair[0], judgement.within.get(pair)) for pair in ended if pair in before]


def only_news(judgement: Judgement, job: SpanWork | PairsWork) -> Judgement:
    """Without those who came along to a digest that does not leave yet: they have a job of their own."""
    if not isinstance(job, PairsWork) or not job.collected:
        return judgement
    own = set(job.pairs)
    kept = [
        one
        for one in judgement.decided
        if verdict_of(one.reason) is not Verdict.HOLD or (one.notification.key, one.recipient.key) in own
    ]
    return msgspec.structs.replace(judgement, decided=kept)


def without(judgement: Judgement, begun: Collection[tuple[Key, Key, Key]]) -> Judgement:
    """The same, without messages to devices that have theirs already: (notification, user, device).

    Whose message is on its way is not decided otherwise: it gets a last look of its own.
    """
    if not begun:
        return judgement
    going = {(notification, user) for notification, user, _ in begun}
    decided = [
        one
        for one in judgement.decided
        if verdict_of(one.reason) is Verdict.SEND or (one.notification.key, one.recipient.key) not in going
    ]
    ready = [(to, one) for to, one in judgement.ready if (one.notification, one.user, one.device) not in begun]
    return msgspec.structs.replace(judgement, decided=decided, ready=ready)


def _deliver_work(judgement: Judgement, armed: Collection[Key], project: Key, now: Millis) -> list[NewWork]:
    by_way: dict[tuple[DeviceKind, str, bool], list[Ready]] = {}
    for target, ready in judgement.ready:
        by_way.setdefault((target.kind, target.lane, ready.notification in armed), []).append(ready)
    # The first of all: a look too many costs little, and mostly all has left long before.
    quiet_from = min(
        (one.quiet_from for one in [*judgement.decided, *judgement.digests] if one.quiet_from is not None), default=None
    )
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


def _parted(pairs: list[tuple[Key, Key]], size: int) -> list[list[tuple[Key, Key]]]:
    return [pairs[at : at + size] for at in range(0, len(pairs), size)]


def _held_work(judgement: Judgement, project: Key) -> list[NewWork]:
    by_time: dict[tuple[Millis, bool], list[tuple[Key, Key]]] = {}
    for one in judgement.decided:
        if verdict_of(one.reason) is Verdict.HOLD and one.until is not None:
            about = one.until, one.group is not None
            by_time.setdefault(about, []).append((one.notification.key, one.recipient.key))
    return [
        NewWork(
            project=project,
            job=PairsWork(pairs=part, held=True, collected=collected),
            due_at=until,
            notification=sole(notification for notification, _ in part),
        )
        for (until, collected), pairs in by_time.items()
        for part in _parted(pairs, COLLECTED_A_JOB if collected else len(pairs))
    ]
