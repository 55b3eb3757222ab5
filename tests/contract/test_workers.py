"""Workers on every engine: what one push service holds back, however many of them, is its own deliveries only."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import pytest

from clarion.errors import Unavailable
from clarion.model import Project
from clarion.ports import Effects, Lease, NewWork, Store, Throttle, queue_of
from clarion.testing import ManualClock
from clarion.transport.bus import LocalBus
from clarion.workers import delivery
from clarion.workers.delivery import Workers
from contract.support import LEASE_MS, claim, deliver_work, new_project, pairs_work

STAGES = {"decide": 2}
TOPIC = "work"
FULL = delivery.LANE_FIRST


class Services:
    """What the workers' step meets: by lane, a push service that takes everything or one that never answers.

    `done` are the keys of the jobs that were finished, `most` the most jobs of a lane that ran at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.silent: set[str] = set()
        self.before: Callable[[Lease], Awaitable[object]] | None = None
        self.throttles: dict[str, Throttle] = {}
        self.done: list[int] = []
        self.order: list[str] = []
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def step(self, lease: Lease) -> None:
        lane = getattr(lease.job, "lane", "decide")
        self.running[lane] += 1
        self.most[lane] = max(self.most[lane], self.running[lane])
        try:
            if lane in self.silent:
                await asyncio.Event().wait()
            if self.before is not None:
                await self.before(lease)
            if await self._store.steps.commit(Effects(), lease):
                self.done.append(lease.key)
                self.order.append(lane)
        finally:
            self.running[lane] -= 1

    async def finished(self, jobs: int) -> None:
        await until(lambda: len(self.done) >= jobs)


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while True:
            held = holds()
            if held is True or (held is not False and await held):
                return
            await asyncio.sleep(0.005)


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def services(store: Store) -> Services:
    return Services(store)


@pytest.fixture
async def process(
    store: Store, services: Services, clock: ManualClock, bus: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Workers]]:
    """Starts one more process; their workers look only when they are told to, unless a test says otherwise."""
    monkeypatch.setattr(delivery, "IDLE_S", 3600.0)
    started: list[Workers] = []

    def start(its_store: Store = store) -> Workers:
        workers = Workers(STAGES, services.step, its_store.work, clock, bus, services.throttles.get)
        workers.start(TOPIC)
        started.append(workers)
        return workers

    yield start
    await asyncio.gather(*(workers.stop() for workers in started))


async def put(
    store: Store, clock: ManualClock, project: Project, lanes: Iterable[str], jobs: int, size: int = 1
) -> None:
    work = [NewWork(project.key, deliver_work(lane, messages=size), clock.now()) for lane in lanes for _ in range(jobs)]
    await store.steps.commit(Effects(work=work))


async def left(store: Store) -> dict[str, int]:
    """Jobs by lane."""
    counted: Counter[str] = Counter()
    for queue, jobs in (await store.work.backlog()).items():
        counted[queue.split(".", 3)[-1]] += jobs
    return dict(counted)


async def test_a_service_that_never_answers_holds_back_only_its_own(
    store: Store, services: Services, process: Callable[[], Workers], clock: ManualClock
) -> None:
    shop, club = await new_project(store, "shop"), await new_project(store, "club")
    services.silent.add("silent")
    await put(store, clock, shop, ["silent"], 3_000)
    others = [f"other-{number}" for number in range(8)]
    for project in (shop, club):
        await put(store, clock, project, others, 10)
    await store.steps.commit(Effects(work=[NewWork(shop.key, pairs_work((1, 1)), clock.now())]))
    process()
    await services.finished(161)
    assert await left(store) == {"silent": 3_000}
    assert services.running == {"silent": delivery.LANE_JOBS} | dict.fromkeys([*others, "decide"], 0)


async def test_however_many_services_are_silent_the_next_one_is_served_many_jobs_at_once(
    store: Store, services: Services, process: Callable[[], Workers], clock: ManualClock, bus: LocalBus
) -> None:
    """A small job waits for an answer over the network: one after the other would be a few in a second."""
    project = await new_project(store)
    services.silent = {f"silent-{number}" for number in range(24)}
    await put(store, clock, project, services.silent, 6, size=FULL)
    process()
    await until(lambda: sum(services.running.values()) >= delivery.ALL_MOST // FULL)
    together = asyncio.Barrier(delivery.LANE_JOBS)
    services.before = lambda _: together.wait()
    await put(store, clock, project, ["quick"], 2 * delivery.LANE_JOBS)
    await bus.publish(TOPIC, queue_of(deliver_work("quick"), project.key).encode())
    await services.finished(2 * delivery.LANE_JOBS)
    assert max(services.most[lane] for lane in services.silent) <= delivery.LANE_MOST // FULL
    assert sum(services.running.values()) <= 24 + delivery.ALL_MOST // FULL


async def test_what_a_process_holds_is_bounded_by_messages(
    store: Store, services: Services, process: Callable[[], Workers], clock: ManualClock
) -> None:
    project = await new_project(store)
    services.silent = {"full", "small"}
    await put(store, clock, project, ["full"], 20, size=FULL)
    await put(store, clock, project, ["small"], 200, size=50)
    process()
    await until(lambda: services.running == {"full": delivery.LANE_MOST // FULL, "small": delivery.LANE_JOBS})


async def test_more_lanes_than_a_process_serves_take_turns(
    store: Store,
    services: Services,
    process: Callable[[], Workers],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "LANES_AT_ONCE", 2)
    monkeypatch.setattr(delivery, "LANE_JOBS", 4)
    project = await new_project(store)
    lanes = [f"lane-{number}" for number in range(6)]
    await put(store, clock, project, lanes, 20)
    process()
    await services.finished(120)
    assert set(services.order[:40]) == set(lanes), "each had its turn before any was done"
    assert await left(store) == {}


async def test_two_processes_share_the_lanes_and_do_no_job_twice(
    store: Store, services: Services, process: Callable[..., Workers], clock: ManualClock, request, database
) -> None:
    project = await new_project(store)
    lanes = [f"lane-{number}" for number in range(10)]
    await put(store, clock, project, lanes, 30)
    other = store
    if "postgres" in request.node.name:
        other = database()
        await other.open()
    services.before = lambda _: asyncio.sleep(0)
    workers = [process(), process(other)]
    await services.finished(300)
    await asyncio.gather(*(each.stop() for each in workers))
    if other is not store:
        await other.close()
    assert len(set(services.done)) == len(services.done) == 300


async def test_a_lane_that_appears_later_is_served_at_once_when_the_bus_tells(
    store: Store, services: Services, process: Callable[[], Workers], clock: ManualClock, bus: LocalBus
) -> None:
    project = await new_project(store)
    process()
    for lane in ("first", "second"):
        await put(store, clock, project, [lane], 1)
        await bus.publish(TOPIC, queue_of(deliver_work(lane), project.key).encode())
        await services.finished(1 if lane == "first" else 2)
    await put(store, clock, project, ["third"], 1)
    await bus.publish(TOPIC)
    await services.finished(3)
    assert services.order == ["first", "second", "third"]


async def test_a_lane_of_which_nobody_told_is_found(
    store: Store,
    services: Services,
    process: Callable[[], Workers],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "IDLE_S", 0.01)
    project = await new_project(store)
    process()
    await put(store, clock, project, ["first"], 1)
    await services.finished(1)
    clock.advance(seconds=60)
    await put(store, clock, project, ["first", "second"], 2)
    await services.finished(5)


async def test_what_is_due_later_is_done_then(
    store: Store,
    services: Services,
    process: Callable[[], Workers],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "IDLE_S", 0.01)
    project = await new_project(store)
    work = [NewWork(project.key, deliver_work("lane"), clock.now() + late) for late in (0, 5_000)]
    await store.steps.commit(Effects(work=work))
    process()
    await services.finished(1)
    clock.advance(milliseconds=4_999)
    for _ in range(5):
        await asyncio.sleep(0.01)
    assert len(services.done) == 1
    clock.advance(milliseconds=1)
    await services.finished(2)


async def test_an_idle_process_asks_once_a_pause_however_many_lanes_wait(
    store: Store, services: Services, process: Callable[[], Workers], clock: ManualClock, bus: LocalBus, monkeypatch
) -> None:
    project = await new_project(store)
    work = [NewWork(project.key, deliver_work(f"lane-{n}"), clock.now() + 3_600_000) for n in range(50)]
    await store.steps.commit(Effects(work=work))
    asked: Counter[str] = Counter()
    for name in ("waiting", "claim"):
        monkeypatch.setattr(store.work, name, _counting(getattr(store.work, name), asked))
    process()
    for looks in range(1, 4):
        await until(lambda looks=looks: asked["waiting"] == looks)
        await bus.publish(TOPIC)
    await until(lambda: asked["waiting"] == 4)
    assert asked == {"waiting": 4}


def _counting(call: Callable[..., Awaitable[object]], asked: Counter[str]) -> Callable[..., Awaitable[object]]:
    async def counted(*args: object) -> object:
        asked[call.__name__] += 1
        return await call(*args)

    return counted


async def test_a_store_that_fails_for_a_while_is_asked_again(
    store: Store,
    services: Services,
    process: Callable[[], Workers],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "IDLE_S", 0.01)
    project = await new_project(store)
    await put(store, clock, project, ["a", "b"], 5)
    failing = {"waiting": 2, "claim": 3}

    def away(name: str) -> Callable[..., Awaitable[object]]:
        call = getattr(store.work, name)

        async def sometimes(*args: object) -> object:
            if failing[name] > 0:
                failing[name] -= 1
                raise Unavailable("the database is away")
            return await call(*args)

        return sometimes

    for name in failing:
        monkeypatch.setattr(store.work, name, away(name))
    workers = process()
    await services.finished(10)
    await workers.check()
    assert max(failing.values()) == 0


async def test_a_step_that_fails_is_tried_again_later_and_holds_back_nobody(
    store: Store, services: Services, process: Callable[[], Workers], clock: ManualClock, bus: LocalBus
) -> None:
    project = await new_project(store)
    await put(store, clock, project, ["lane"], 5)
    failed: list[int] = []

    async def first_fails(lease: Lease) -> None:
        if not failed:
            failed.append(lease.key)
            raise Unavailable("no way out of here")

    services.before = first_fails
    process()
    await services.finished(4)
    assert failed[0] not in services.done
    queue = queue_of(deliver_work("lane"), project.key)
    await until(lambda: _due(store, queue, clock.now() + 1_000))
    clock.advance(seconds=1)
    await bus.publish(TOPIC)
    await services.finished(5)


async def _due(store: Store, queue: str, at: int) -> bool:
    return (await store.work.waiting()).get(queue) == at


async def test_stopping_ends_at_once_and_what_was_begun_comes_back(
    store: Store, services: Services, process: Callable[[], Workers], clock: ManualClock, bus: LocalBus
) -> None:
    project = await new_project(store)
    services.silent = {"silent"}
    await put(store, clock, project, ["silent"], 3, size=FULL)
    workers = process()
    await until(lambda: services.running["silent"] == 3)
    await workers.stop()
    assert services.running["silent"] == 0
    queue = queue_of(deliver_work("silent"), project.key)
    await bus.publish(TOPIC, queue.encode())
    await workers._told(queue.encode())
    assert await claim(store, queue, clock.now() + LEASE_MS - 1) == []
    assert len(await claim(store, queue, clock.now() + LEASE_MS)) == 3


async def test_a_job_that_takes_long_keeps_its_lease(
    store: Store,
    services: Services,
    process: Callable[[], Workers],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "RENEW_S", 0.01)
    project = await new_project(store)
    services.silent = {"silent"}
    await put(store, clock, project, ["silent"], 2, size=FULL)
    process()
    await until(lambda: services.running["silent"] == 2)
    queue = queue_of(deliver_work("silent"), project.key)
    for _ in range(3):
        clock.advance(milliseconds=LEASE_MS - 1)
        await until(lambda: _due(store, queue, clock.now() + LEASE_MS))
    assert await claim(store, queue, clock.now()) == []
