"""Workers of two processes over one store: they take jobs, do them whenever they like, and die in between."""

import contextlib
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from clarion.journey.pipeline import Pipeline
from clarion.model import Key, Millis
from clarion.ports import (
    DELIVERIES,
    Accepted,
    ArmedWork,
    DecisionRecord,
    DeliverWork,
    Effects,
    Gone,
    Lease,
    Outgoing,
    ProviderOutcome,
)
from invariants.nouns import Person, Told
from invariants.oracle import Book
from invariants.platform import AnyClock, Died, Fragile
from invariants.reasons import Reasons
from story.world import World

LEASE_MS = 15_000
FAR_MS = 30 * 86_400_000
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

    async def _work(self, *, leaving: bool = True) -> int:
        """All that is due; not `leaving`: what was decided waits for its turn."""
        done = 0
        while leases := await self._due(leaving=leaving):
            for lease in leases:
                if await self._is_ours(lease):
                    await self._step(lease, done % 2)
                done += 1
                assert done < PATIENCE, "work without end"
        return done

    async def _due(self, *, leaving: bool) -> list[Lease]:
        work, now = self.world.store.work, self.clock.now()
        due = [queue for queue, at in (await work.waiting()).items() if at <= now]
        taken = [queue for queue in due if leaving or not queue.startswith(DELIVERIES)]
        return [lease for queue in taken for lease in await work.claim(queue, 10, now, LEASE_MS)]

    async def _next_due(self) -> Millis:
        """When something waits for next, what is paused aside; now, if nothing does."""
        now = self.clock.now()
        times = (await self.world.store.work.waiting()).values()
        return min((due for due in times if now < due < now + FAR_MS), default=now)

    async def _is_ours(self, lease: Lease) -> bool:
        """What a story before left behind is thrown away."""
        ours = lease.project == self.world.project.key
        return ours or not await self.world.store.steps.commit(Effects(), lease)

    async def _step(self, lease: Lease, process: int, *, dies: bool = False) -> None:
        if isinstance(lease.job, ArmedWork):
            self.clock.advance(101)  # what a process knows of a fired one may be so old
        self._at_work, self._leaving, self._gone, self.fragile.dies = lease, [], [], dies
        begun = self.clock.now()
        is_theirs = begun < lease.until
        with contextlib.suppress(Died):
            await self.pipelines[process].step(lease)
        self.fragile.dies = False
        effects = self.fragile.written.get((lease.key, lease.token))
        for ready, place in self._leaving:
            self.book.taken(ready, place, self.clock.now(), written=effects is not None, is_theirs=is_theirs)
        if effects is not None:
            await self._look_at_what_was_written(effects, begun)

    async def _look_at_what_was_written(self, effects: Effects, begun: Millis) -> None:
        for made in effects.notifications:
            receiver = self.book.called((made.to.users or [""])[0])
            assert made.digest_of, "a notification that nobody asked for"
            assert receiver is not None
            self.book.told[made.key] = Told(made, [receiver], [], [self.book.told[key] for key in made.digest_of])
        keys = sorted({one.notification for one in (*effects.decisions, *effects.revised)})
        news = [one for key in keys for one in await self._decided(self.book.told[key])]
        for told, person, decision in news:
            if decision.at >= begun:
                Reasons(self.book, told, person, decision.at).check(str(decision.reason))
        if self._gone:
            self.clock.advance(1)
            for device in self._gone:
                for phone in self.book.phones:
                    phone.active = phone.active and phone.key != device
            self.book.look_at_zones(self.clock.now())
            self.clock.advance(1)

    async def _decided(self, told: Told) -> list[tuple[Told, Person, DecisionRecord]]:
        """What is new, once the book has it."""
        every = await self.world.decisions(told.notification)
        news = [one for one in every if self.book.decides(told, one.user_id, str(one.reason), one.at)]
        return [(told, person, one) for one in news if (person := self.book.called(one.user_id)) is not None]

    def _answer(self, message: Outgoing) -> ProviderOutcome:
        """The push service, which sees all that leaves. What it took before it takes again."""
        assert self._at_work is not None
        job, ready, now = self._at_work.job, message.ready, self.clock.now()
        decided_at = job.decided_at if isinstance(job, DeliverWork) else None
        self.book.leaves_now(message, decided_at, now)
        pair = (ready.notification, ready.device)
        answer = self.answers.pop(0) if self.answers and pair not in self.book.handed else Accepted()
        if isinstance(answer, Accepted):
            told, person = self.book.told[ready.notification], self.book.person(ready.user).present
            since = decided_at if decided_at is not None else told.fired_at
            assert since is not None
            self._leaving.append((ready, self.book.place(told, person, since)))
        elif isinstance(answer, Gone):
            self._gone.append(ready.device)
        return answer
