"""Workers of two processes over one store: they take jobs, do them whenever they like, and die in between."""

import contextlib
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from clarion.journey.pipeline import Pipeline
from clarion.model import Key
from clarion.ports import Accepted, ArmedWork, DeliverWork, Effects, Gone, Lease, Outgoing, PairsWork, ProviderOutcome
from invariants.oracle import Book
from invariants.platform import AnyClock, Died, Fragile
from story.world import World

LEASE_MS = 15_000
PATIENCE = 5_000
"""Steps until the end of all that waits: more than any story needs."""


class Workers(RuleBasedStateMachine):
    """What is done to jobs; `hands`: the leases of those who took one and have not begun yet."""

    clock: AnyClock
    world: World
    fragile: Fragile
    book: Book
    pipelines: list[Pipeline]

    def __init__(self) -> None:
        super().__init__()
        self.hands: list[Lease] = []
        self.answers: list[ProviderOutcome] = []
        self._leaving: list[tuple[Any, int]] = []
        self._gone: list[Key] = []
        self._at_work: Lease | None = None

    async def _claim(self, number: int) -> None:
        now = self.clock.now()
        queues = sorted(queue for queue, due in (await self.world.store.work.waiting()).items() if due <= now)
        if queues:
            taken = await self.world.store.work.claim(queues[number % len(queues)], 1, now, LEASE_MS)
            self.hands += [lease for lease in taken if await self._is_ours(lease)]

    async def _work(self) -> int:
        done = 0
        while leases := await self.world.due():
            for lease in leases:
                if await self._is_ours(lease):
                    await self._step(lease, done % 2)
                done += 1
                assert done < PATIENCE, "work without end"
        return done

    async def _is_ours(self, lease: Lease) -> bool:
        """What a story before left behind is thrown away."""
        ours = lease.project == self.world.project.key
        return ours or not await self.world.store.steps.commit(Effects(), lease)

    async def _step(self, lease: Lease, process: int, *, dies: bool = False) -> None:
        if isinstance(lease.job, ArmedWork):
            self.clock.advance(101)  # what a process knows of a fired one may be so old
        self._at_work, self._leaving, self._gone, self.fragile.dies = lease, [], [], dies
        with contextlib.suppress(Died):
            await self.pipelines[process].step(lease)
        self.fragile.dies = False
        written = (lease.key, lease.token) in self.fragile.written
        for ready, place in self._leaving:
            self.book.taken(ready, place, self.clock.now(), written=written)
        if written:
            await self._look_at_what_was_written(lease)

    async def _look_at_what_was_written(self, lease: Lease) -> None:
        if self._gone:
            for device in self._gone:
                for phone in self.book.phones:
                    phone.active = phone.active and phone.key != device
            self.book.look_at_zones(self.clock.now())
            self.clock.advance(1)
        for key in sorted(_notifications_of(lease)):
            if key in self.book.told:
                told = self.book.told[key]
                for decision in await self.world.decisions(told.notification):
                    self.book.decides(told, decision.user_id, str(decision.reason))

    def _answer(self, message: Outgoing) -> ProviderOutcome:
        """The push service, which sees all that leaves. What it took before it takes again."""
        assert self._at_work is not None
        job, ready, now = self._at_work.job, message.ready, self.clock.now()
        decided_at = job.decided_at if isinstance(job, DeliverWork) else None
        self.book.leaves_now(ready, message.address.address, decided_at, now)
        pair = (ready.notification, ready.device)
        answer = self.answers.pop(0) if self.answers and pair not in self.book.handed else Accepted()
        if isinstance(answer, Accepted):
            fired_at = self.book.told[ready.notification].fired_at
            self._leaving.append((ready, decided_at if decided_at is not None else fired_at))
        elif isinstance(answer, Gone):
            self._gone.append(ready.device)
        return answer


def _notifications_of(lease: Lease) -> set[Key]:
    job = lease.job
    if isinstance(job, PairsWork):
        return {key for key, _ in job.pairs}
    if isinstance(job, DeliverWork):
        return {ready.notification for ready in job.messages}
    key = getattr(job, "notification", None)
    return set() if key is None else {key}
