"""Behind the sending: what was sent is written when there is time, held until then, and never more than fits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from clarion.model import DeliveryState, DeviceKind, Outcome
from clarion.ports import AudienceWork, Effects, Lease, Sent
from clarion.testing import ManualClock, MemoryStore
from clarion.workers.recording import BehindTheSending

LATER_S = 5.0


def lease(key: int) -> Lease:
    return Lease(key, key, 1, AudienceWork(notification=1), 1, 0, 0)


def sent(count: int) -> Effects:
    users = list(range(count))
    return Effects(sent=[Sent(1, DeviceKind.APNS, users, users, None, 0)])


class Books:
    """What was committed, in order; `failing` so many times before."""

    def __init__(self, failing: int = 0) -> None:
        self.written: list[tuple[int, list[int]]] = []
        self.failing = failing

    async def commit(self, lease: Lease, effects: Effects) -> None:
        if self.failing:
            self.failing -= 1
            raise OSError("the database is away")
        self.written.append((lease.key, [user for each in effects.sent for user in each.users]))

    async def until(self, count: int) -> None:
        async with asyncio.timeout(LATER_S):
            while len(self.written) < count:  # noqa: ASYNC110 - what is waited for is no event of ours
                await asyncio.sleep(0.005)


@pytest.fixture
async def recorder() -> AsyncIterator[BehindTheSending]:
    clock = ManualClock()
    recorder = BehindTheSending(MemoryStore(clock).work, clock, most=100)
    recorder.start()
    yield recorder
    await recorder.stop()


async def test_it_is_written_when_nothing_is_being_sent(recorder: BehindTheSending) -> None:
    books = Books()
    with recorder.sending():
        await recorder.record(lease(1), sent(3), books.commit)
        await recorder.record(lease(2), sent(2), books.commit)
        await asyncio.sleep(0.02)
        assert (books.written, recorder.waiting) == ([], 5)
    await books.until(2)
    assert books.written == [(1, [0, 1, 2]), (2, [0, 1])]


async def test_who_would_be_too_many_waits_until_others_are_written(recorder: BehindTheSending) -> None:
    books = Books()
    with recorder.sending():
        await recorder.record(lease(1), sent(100), books.commit)
        async with asyncio.timeout(LATER_S):
            await recorder.record(lease(2), sent(100), books.commit)
        assert [key for key, _ in books.written] == [1]


async def test_what_is_more_than_a_success_is_written_at_once(recorder: BehindTheSending) -> None:
    books = Books()
    failed = Outcome(1, 1, 1, DeliveryState.FAILED, None, None, 1)
    with recorder.sending():
        await recorder.record(lease(1), Effects(outcomes=[failed]), books.commit)
        assert [key for key, _ in books.written] == [1]


async def test_a_database_that_is_away_is_waited_for(recorder: BehindTheSending) -> None:
    books = Books(failing=1)
    await recorder.record(lease(1), sent(1), books.commit)
    await books.until(1)
    assert books.written == [(1, [0])]


async def test_at_the_end_everything_is_written(recorder: BehindTheSending) -> None:
    books = Books()
    with ExitStack() as stack:
        stack.enter_context(recorder.sending())
        await recorder.record(lease(1), sent(1), books.commit)
        await recorder.stop()
    assert [key for key, _ in books.written] == [1]
