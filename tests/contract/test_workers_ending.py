"""Workers of one process: what is under way when they are told to end, and when the database goes away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clarion.errors import Unavailable
from clarion.model import Millis, Project
from clarion.ports import Effects, Lease, Store, Work
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus
from clarion.workers import delivery
from clarion.workers.delivery import Workers
from contract.support import LEASE_MS, claim, new_project, pairs_work, put_work, soon, stays_blocked


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[Store]:
    opened = MemoryStore(clock)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def project(store: Store) -> Project:
    return await new_project(store)


class Steps:
    """Steps that begin, and are done when they are told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.begun: asyncio.Queue[Lease] = asyncio.Queue()
        self.go_on = asyncio.Event()
        self.fails = False

    async def __call__(self, lease: Lease) -> None:
        self.begun.put_nowait(lease)
        await self.go_on.wait()
        if self.fails:
            raise Unavailable("the database is away")
        await self._store.steps.commit(Effects(), lease)


def workers(steps: Steps, work: Work, clock: ManualClock) -> Workers:
    started = Workers({"decide": 1}, steps, work, clock, LocalBus(), lambda _: None)
    started.start("wake")
    return started


async def test_told_to_end_they_finish_what_is_under_way_and_take_nothing_new(
    store: Store, project: Project, clock: ManualClock
) -> None:
    steps = Steps(store)
    for number in (1, 2):
        await put_work(store, project, pairs_work((number, 1)))
    ending = workers(steps, store.work, clock)
    first = await soon(steps.begun.get())
    stopping = asyncio.create_task(ending.stop())
    assert await stays_blocked(stopping)
    steps.go_on.set()
    await soon(stopping)
    assert steps.begun.empty()
    assert [lease.key for lease in await claim(store)] == [first.key + 1], "the other one is free"


async def test_what_is_not_finished_in_time_comes_back(
    store: Store, project: Project, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FINISHING_S", 0.01)
    steps = Steps(store)
    await put_work(store, project, pairs_work((1, 1)))
    ending = workers(steps, store.work, clock)
    held = await soon(steps.begun.get())
    await soon(ending.stop())
    assert [lease.key for lease in await claim(store, now=clock.now() + LEASE_MS)] == [held.key]


class AwayForAMoment:
    """A queue whose database cannot be reached the first time when a job is given back."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.refused = 0
        self.given_back = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)

    async def release(self, lease: Lease, due_at: Millis) -> None:
        if not self.refused:
            self.refused += 1
            raise Unavailable("the database is away")
        await self._work.release(lease, due_at)
        self.given_back.set()


async def test_a_job_that_failed_with_the_database_is_given_back_when_that_is_there_again(
    store: Store, project: Project, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "IDLE_S", 0.01)
    steps, work = Steps(store), AwayForAMoment(store.work)
    steps.fails = True
    steps.go_on.set()
    await put_work(store, project, pairs_work((1, 1)))
    running = workers(steps, work, clock)
    await soon(work.given_back.wait())
    await running.stop()
    assert work.refused == 1
    due = (await store.work.waiting())["decide"]
    assert due < clock.now() + LEASE_MS, "it does not wait until the lease has run out"
