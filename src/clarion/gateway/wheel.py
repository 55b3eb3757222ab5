"""All timers of all sockets in one list: a timer of its own for each connection costs a hundred times as much."""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class TimerWheel(Generic[T]):
    """Items in buckets by the tick at which they are due. Nothing is cancelled: who is due sees whether it matters.

    `now` counts ticks; whoever drives the wheel calls `advance` once a tick. `size`, in ticks, is also how long an item
    that has no more business here may be kept.
    """

    def __init__(self, size: int = 64) -> None:
        self._buckets: list[list[T]] = [[] for _ in range(size)]
        self.now = 0

    def add(self, item: T, ticks: int) -> None:
        """Due in so many ticks, at least one. A wait longer than the wheel is due early, and to be added again."""
        size = len(self._buckets)
        wait = min(max(ticks, 1), size - 1)
        self._buckets[(self.now + wait) % size].append(item)

    def advance(self) -> list[T]:
        """Move one tick; what is due now."""
        self.now += 1
        place = self.now % len(self._buckets)
        due, self._buckets[place] = self._buckets[place], []
        return due

    def __iter__(self) -> Iterator[T]:
        """Everything that waits, in no order."""
        for bucket in self._buckets:
            yield from bucket
