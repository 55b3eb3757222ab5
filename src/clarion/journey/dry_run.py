"""Dry run: what would become of a notification now, told over its whole audience with nothing sent or written."""

from collections.abc import AsyncIterator, Sequence

import msgspec

from clarion.journey import audience
from clarion.journey.candidate import Candidate, facts_about, with_wishes
from clarion.journey.compose import Scene
from clarion.journey.decide import Law, capping
from clarion.journey.judgement import Judgement, judge
from clarion.model import Key, Millis, Notification, Reason, Verdict, verdict_of
from clarion.ports import FactsQuery, Recipient, Store

# Decisions that are shown, however many there are.
SAMPLE = 1000


class DecisionView(msgspec.Struct, frozen=True):
    """A decision as callers see it."""

    user_id: str
    decision: Verdict
    reason: Reason
    until: Millis | None
    gates: list[list[str]]
    at: Millis


class DryRun:
    """What would become of a notification: counts by reason, and a sample of the decisions."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.decisions: list[DecisionView] = []

    def add(self, judgement: Judgement, now: Millis) -> None:
        """One more batch."""
        for one in judgement.decided:
            self.counts[one.reason] = self.counts.get(one.reason, 0) + 1
        for one in judgement.decided[: SAMPLE - len(self.decisions)]:
            gates = msgspec.json.decode(one.gates)
            self.decisions.append(
                DecisionView(one.recipient.user_id, verdict_of(one.reason), one.reason, one.until, gates, now)
            )


async def dry_run(store: Store, notification: Notification, law: Law, scene: Scene) -> DryRun:
    """Decide and compose for everybody in the audience, a batch at a time."""
    result = DryRun()
    only = await _only(store, notification)
    async for query, strangers in _batches(store, notification, law):
        facts = await store.steps.facts(notification.project, query)
        people = [*facts.recipients, *strangers]
        judged = await judge((Candidate(notification, person, only) for person in people), facts, law, scene)
        result.add(judged, law.now)
    return result


async def _only(store: Store, notification: Notification) -> frozenset[Key] | None:
    if notification.to.devices is None:
        return None
    return frozenset(device.key for device in await store.devices.find(notification.project, notification.to.devices))


async def _batches(
    store: Store, notification: Notification, law: Law
) -> AsyncIterator[tuple[FactsQuery, Sequence[Recipient]]]:
    """The audience in batches: whom to load, and those of whom we have never heard."""
    project, to = notification.project, notification.to
    about = facts_about([notification], {}, capping(law, [notification]))
    query = with_wishes(about, law.categories, law.settings)
    if to.everyone:
        cursor = 0
        while spans := await store.steps.user_span(project, cursor, audience.BATCH, audience.SPANS_A_STEP):
            for span in spans:
                yield msgspec.structs.replace(query, span=span), ()
            cursor = spans[-1][1]
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


def _stranger(user_id: str) -> Recipient:
    return Recipient(0, user_id, None, None, "{}", [], {})
