"""What arrives one by one goes to work in batches, and each gets its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from clarion.gateway.gathering import Gathering
from clarion.gateway.tasks import Tasks


class Work:
    """Doubles, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if 0 in items:
            raise ZeroDivisionError
        return [2 * item for item in items]


async def test_who_comes_in_one_moment_shares_a_batch_and_has_an_own_result() -> None:
    work = Work()
    gathering = Gathering(work, Tasks(), pause_s=0)
    assert await asyncio.gather(*(gathering.join(item) for item in (1, 2, 3))) == [2, 4, 6]
    assert await gathering.join(4) == 8
    assert work.batches == [[1, 2, 3], [4]]


async def test_who_comes_during_the_pause_after_a_crowd_goes_with_the_next_batch() -> None:
    work = Work()
    gathering = Gathering(work, Tasks(), pause_s=0.5)
    await asyncio.gather(gathering.join(1), gathering.join(2))
    late = [gathering.join(3)]
    await asyncio.sleep(0)
    late.append(gathering.join(4))
    assert await asyncio.gather(*late) == [6, 8]
    assert work.batches == [[1, 2], [3, 4]]


async def test_who_comes_alone_waits_for_nobody() -> None:
    gathering = Gathering(Work(), Tasks(), pause_s=3600)
    for item in (1, 2, 3):
        assert await asyncio.wait_for(gathering.join(item), 60) == 2 * item


async def test_an_error_is_told_to_all_of_its_batch_and_to_nobody_else() -> None:
    gathering = Gathering(Work(), Tasks(), pause_s=0)
    results = await asyncio.gather(gathering.join(0), gathering.join(1), return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError] * 2
    assert await gathering.join(2) == 4


async def test_who_stops_waiting_does_not_disturb_the_others() -> None:
    gathering = Gathering(Work(), Tasks(), pause_s=0)
    impatient, patient = gathering.join(1), gathering.join(2)
    impatient.cancel()
    assert await patient == 4
    with pytest.raises(asyncio.CancelledError):
        await impatient
