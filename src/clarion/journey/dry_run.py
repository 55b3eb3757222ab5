"""Dry run: what would become of a notification now, told over its whole audience with nothing sent or written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from clarion.journey import audience
from clarion.journey.candidate import Candidate, Decided, facts_about, with_digests, with_wishes
from clarion.journey.compose import Scene
from clarion.journey.decide import Law, capping
from clarion.journey.digests import digest
from clarion.journey.judgement import Foresight
from clarion.model import Key, Millis, Notification, Reason, Variant, Verdict, verdict_of
from clarion.ports import Crowd, Facts, FactsQuery, Recipient, Store

# Decisions that are shown, however many there are.
SAMPLE = 1000


class DecisionView(msgspec.Struct, frozen=True):
    """A decision as callers see it."""

    user_id: str
    decision: Verdict
    reason: Reason
    until: Millis | None
    variant: str | None
    gates: list[list[str]]
    at: Millis


class DryRun:
    """What would become of a notification: counts by reason and by variant, and a sample of the decisions."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self.counts: dict[str, int] = {}
        self.variants = {one.key: 0 for one in variants}
        self.decisions: list[DecisionView] = []

    def add(self, decided: Sequence[Decided], now: Millis) -> None:
        """One more batch."""
        for one in decided:
            self.counts[one.reason] = self.counts.get(one.reason, 0) + 1
            if one.variant is not None and one.reason is Reason.SEND:
                self.variants[one.variant] += 1
        for one in decided[: SAMPLE - len(self.decisions)]:
            gates = msgspec.json.decode(one.gates)
            self.decisions.append(
                DecisionView(
                    one.recipient.user_id, verdict_of(one.reason), one.reason, one.until, one.variant, gates, now
                )
            )


async def dry_run(
    store: Store, notification: Notification, law: Law, scene: Scene, crowd: Crowd | None = None
) -> DryRun:
    """Decide and compose for everybody in the audience, a batch at a time; `crowd`: who that is, by a rule."""
    result, foresight = DryRun(notification.message.variants), Foresight(law, scene)
    only = await _only(store, notification)
    async with aclosing(_loaded(store, notification, law, crowd)) as batches:
        async for facts, strangers in batches:
            people = [*facts.recipients, *strangers]
            result.add(await foresight.judge([Candidate(notification, one, only) for one in people], facts), law.now)
    return result


async def _loaded(
    store: Store, notification: Notification, law: Law, crowd: Crowd | None
) -> AsyncGenerator[tuple[Facts, Sequence[Recipient]], None]:
    """The facts of each batch, loaded while the one before is judged, and those of whom we have never heard."""
    ahead: tuple[asyncio.Task[Facts], Sequence[Recipient]] | None = None
    try:
        async for query, strangers in _batches(store, notification, law, crowd):
            loaded, ahead = ahead, (asyncio.create_task(store.steps.facts(notification.project, query)), strangers)
            if loaded is not None:
                yield await loaded[0], loaded[1]
        if ahead is not None:
            yield await ahead[0], ahead[1]
    finally:
        if ahead is not None:
            ahead[0].cancel()


async def _only(store: Store, notification: Notification) -> frozenset[Key] | None:
    if notification.to.devices is None:
        return None
    return frozenset(device.key for device in await store.devices.find(notification.project, notification.to.devices))


async def _batches(
    store: Store, notification: Notification, law: Law, crowd: Crowd | None
) -> AsyncIterator[tuple[FactsQuery, Sequence[Recipient]]]:
    """The audience in batches: whom to load, and those of whom we have never heard."""
    project, to = notification.project, notification.to
    about = facts_about([notification], {}, capping(law, [notification]))
    query = with_wishes(about, law.categories, law.settings)
    marks = digest.marks({notification.key: notification}, law.categories, law.around)
    query = with_digests(query, None, law.categories, marks)
    if to.everyone:
        cursor = 0
        while spans := await store.steps.user_span(project, cursor, audience.BATCH, audience.SPANS_A_STEP):
            for span in spans:
                yield msgspec.structs.replace(query, span=span), ()
            cursor = spans[-1][1]
    elif crowd is not None:
        query = msgspec.structs.replace(query, crowds=[crowd])
        async for found in _found(store, project, crowd):
            yield msgspec.structs.replace(query, users=found), ()
    elif to.devices is not None:
        devices = await store.devices.find(project, to.devices)
        yield msgspec.structs.replace(query, users=sorted({device.user for device in devices})), ()
    else:
        names = audience.people(to)
        for start in range(0, len(names), audience.BATCH):
            part = names[start : start + audience.BATCH]
            keys = await store.users.resolve(project, part, law.now, create=False)
            strangers = [_stranger(name) for name in part if name not in keys]
            yield msgspec.structs.replace(query, users=sorted(keys.values())), strangers


async def _found(store: Store, project: Key, crowd: Crowd) -> AsyncIterator[list[Key]]:
    cursor = 0
    while found := await store.audiences.keys(project, crowd, cursor, audience.FOUND_A_STEP):
        for start in range(0, len(found), audience.BATCH):
            yield found[start : start + audience.BATCH]
        cursor = found[-1]


def _stranger(user_id: str) -> Recipient:
    return Recipient(0, user_id, None, None, "{}", [], {})
