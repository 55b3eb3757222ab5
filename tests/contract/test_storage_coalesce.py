"""Concurrent callers share a commit: what arrives during one goes together into the next."""

import asyncio
from collections.abc import Hashable, Sequence

import pytest

from clarion.errors import Unavailable
from clarion.storage.coalesce import Coalescer
from contract.support import soon


class Disk:
    """Takes batches of numbers when it is told to; doubles them; refuses negative ones."""

    def __init__(self) -> None:
        self.batches: list[tuple[Hashable, list[int]]] = []
        self.ready = asyncio.Event()
        self.away = False

    async def write(self, group: Hashable, numbers: Sequence[int]) -> list[int]:
        self.batches.append((group, list(numbers)))
        await self.ready.wait()
        if self.away:
            raise Unavailable("no disk")
        if any(number < 0 for number in numbers):
            raise ValueError("negative")
        return [2 * number for number in numbers]


@pytest.fixture
def disk() -> Disk:
    return Disk()


async def started(*calls) -> list[asyncio.Task[list[int]]]:
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_callers_of_one_moment_and_those_during_a_commit_share_batches(disk: Disk) -> None:
    together = Coalescer(disk.write)
    first = await started(together("a", [1]), together("a", [2, 3]))
    later = await started(together("a", [4]), together("a", [5]))
    disk.ready.set()
    assert await soon(asyncio.gather(*first, *later)) == [[2], [4, 6], [8], [10]]
    assert disk.batches == [("a", [1, 2, 3]), ("a", [4, 5])]


async def test_groups_do_not_wait_for_each_other(disk: Disk) -> None:
    together = Coalescer(disk.write)
    tasks = await started(together("a", [1]), together("b", [2]))
    assert sorted(disk.batches) == [("a", [1]), ("b", [2])]
    disk.ready.set()
    assert await soon(asyncio.gather(*tasks)) == [[2], [4]]


async def test_a_batch_has_a_limit_but_a_call_is_never_cut(disk: Disk) -> None:
    together = Coalescer(disk.write, limit=3)
    disk.ready.set()
    calls = ([1, 2], [3], [4], [5, 6, 7, 8], [9])
    answers = await soon(asyncio.gather(*(together("a", call) for call in calls)))
    assert answers == [[2 * number for number in call] for call in calls]
    assert [numbers for _, numbers in disk.batches] == [[1, 2, 3], [4], [5, 6, 7, 8], [9]]


async def test_a_bad_item_fails_its_own_caller_only(disk: Disk) -> None:
    together = Coalescer(disk.write)
    disk.ready.set()
    calls = (together("a", numbers) for numbers in ([1], [-1], [2]))
    answers = await soon(asyncio.gather(*calls, return_exceptions=True))
    assert (answers[0], answers[2]) == ([2], [4])
    assert isinstance(answers[1], ValueError)


async def test_when_the_disk_is_away_all_hear_of_it_at_once(disk: Disk) -> None:
    together = Coalescer(disk.write)
    disk.away = True
    disk.ready.set()
    answers = await soon(asyncio.gather(*(together("a", [n]) for n in range(5)), return_exceptions=True))
    assert [type(answer) for answer in answers] == [Unavailable] * 5
    assert len(disk.batches) == 1
    disk.away = False
    assert await soon(together("a", [1])) == [2]


async def test_a_caller_that_gives_up_disturbs_nobody(disk: Disk) -> None:
    together = Coalescer(disk.write)
    impatient, patient = await started(together("a", [1]), together("a", [2]))
    impatient.cancel()
    disk.ready.set()
    assert await soon(patient) == [4]
    assert await soon(together("a", [3])) == [6]


async def test_nothing_is_written_for_nothing(disk: Disk) -> None:
    assert await Coalescer(disk.write)("a", []) == []
    assert disk.batches == []
