"""A rate with a backlog, on every engine: workers claim about what may leave, and the rest is left alone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from clarion.journey.pipeline import WAKE
from clarion.model import DeliveryState, DeviceKind, Notification
from clarion.ports import Store
from clarion.testing import ManualClock, SeededChance
from clarion.workers import delivery
from clarion.workers.delivery import Workers
from contract.test_rates import check
from story.world import World

RATE = 10
SIZE = 5
JOBS = 24
TICK_MS = 50


class Processes:
    """Workers on the manual clock: time goes on when all that may be done in a moment is done.

    `asked` counts the calls of the queue, `claimed` the jobs that were.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: Counter[str] = Counter()
        self.claimed = 0
        self._busy = 0
        self._pauses: dict[asyncio.Event, int] = {}
        self._workers: list[Workers] = []
        world.pause = self._pause
        for name in ("claim", "release", "waiting"):
            setattr(world.store.work, name, self._counted(name, getattr(world.store.work, name)))

    def start(self) -> None:
        pipeline = self.world.another_pipeline()
        step = self._counted("step", pipeline.step)
        world = self.world
        workers = Workers({"decide": 2}, step, world.store.work, world.clock, world.bus, pipeline.throttle)
        workers.start(WAKE)
        self._workers.append(workers)

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._workers))

    async def run(self, seconds: float) -> None:
        end = self.world.clock.now() + round(seconds * 1000)
        while self.world.clock.now() < end:
            now = self.world.clock.advance(TICK_MS)
            for over in [each for each in self._pauses if self._pauses[each] <= now]:
                del self._pauses[over]
                self._busy += 1
                over.set()
            await self.world.bus.publish(WAKE)
            await self._still()

    async def _still(self) -> None:
        """Nobody does anything, for as long as one thing may take to lead to the next."""
        quiet = 0
        while quiet < 20:
            await asyncio.sleep(0 if self._busy == 0 else 0.001)
            quiet = quiet + 1 if self._busy == 0 else 0

    async def _pause(self, seconds: float) -> None:
        over = asyncio.Event()
        self._pauses[over] = self.world.clock.now() + round(seconds * 1000)
        self._busy -= 1
        await over.wait()

    def _counted(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.asked[name] += 1
            self._busy += 1
            try:
                answer = await call(*args, **kwargs)
            finally:
                self._busy -= 1
            self.claimed += len(answer) if name == "claim" else 0
            return answer

        return counted


@pytest.fixture
async def world(store: Store, clock: ManualClock, chance: SeededChance) -> World:
    """Its browsers get RATE messages a second."""
    world = await World(store, clock, chance).begin()
    await limit(world, RATE)
    for number in range(SIZE):
        await world.subscribe(f"u{number}")
    return world


@pytest.fixture
async def processes(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    monkeypatch.setattr(delivery, "IDLE_S", 3600.0)
    monkeypatch.setattr(delivery, "FINISHING_S", 0.0)
    found = Processes(world)
    yield found
    await found.stop()


async def limit(world: World, rate: int | None) -> None:
    [known] = await world.store.projects.credentials(world.project.key, DeviceKind.WEBPUSH)
    assert await world.store.projects.replace_credential(msgspec.structs.replace(known, rate=rate))
    await world.catalog.changed()


async def backlog(world: World) -> list[Notification]:
    people = [f"u{number}" for number in range(SIZE)]
    return [await world.notify(*people) for _ in range(JOBS)]


async def accepted(world: World, sent: list[Notification]) -> int:
    states = [state for one in sent for state in await world.states(one)]
    return states.count(DeliveryState.ACCEPTED)


@pytest.mark.parametrize("count", [1, 3])
async def test_a_backlog_is_claimed_as_it_may_leave(world: World, processes: Processes, count: int) -> None:
    sent = await backlog(world)
    for _ in range(count):
        processes.start()
    await processes.run(JOBS * SIZE / RATE / 2)
    assert await accepted(world, sent) >= JOBS * SIZE / 2
    await processes.run(JOBS * SIZE / RATE / 2)
    assert await accepted(world, sent) == JOBS * SIZE, "no slower than it may be"
    check([(call.now, len(call.batch)) for call in world.browser.calls], RATE)
    decided_and_sent = 2 * JOBS
    assert processes.claimed - decided_and_sent <= count * JOBS, "what was claimed and given back"
    assert processes.asked["claim"] <= processes.claimed + count * JOBS


async def test_what_is_cancelled_behind_a_backlog_is_dropped_within_a_second(
    world: World, processes: Processes
) -> None:
    *_, last = await backlog(world)
    processes.start()
    await processes.run(2)
    await world.pipeline.cancel(world.project, last.id)
    await processes.run(1)
    assert set(await world.states(last)) == {DeliveryState.FAILED}
    assert set((await world.reasons(last)).values()) == {"cancelled"}


async def test_a_rate_holds_up_nobody_elses_messages(
    world: World, processes: Processes, store: Store, clock: ManualClock, chance: SeededChance
) -> None:
    await backlog(world)
    processes.start()
    await processes.run(2)
    club = await World(store, clock, chance).begin("Club")
    await club.subscribe("ada")
    notification = await club.notify("ada")
    await processes.run(TICK_MS / 1000)
    assert await club.states(notification) == [DeliveryState.ACCEPTED]


async def test_a_higher_rate_counts_from_the_next_second_on(world: World, processes: Processes) -> None:
    sent = await backlog(world)
    processes.start()
    await processes.run(2)
    assert await accepted(world, sent) < JOBS * SIZE / 2
    await limit(world, 1_000)
    await processes.run(2)
    assert await accepted(world, sent) == JOBS * SIZE
