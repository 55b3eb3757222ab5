"""Joins what arrives one by one: the items of a few milliseconds are one batch, and each gets its own result."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from clarion.gateway.tasks import Tasks

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")


class Gathering(Generic[I, R]):
    """`work` gives a result for every item, in order.

    Who comes alone goes at once. After a batch of several the next one begins `pause_s` later at the soonest, so that a
    crowd makes a few large ones: a batch costs as much as twenty of its items.
    """

    def __init__(self, work: Callable[[Sequence[I]], Awaitable[Sequence[R]]], tasks: Tasks, pause_s: float) -> None:
        self._work = work
        self._pause_s = pause_s
        self._not_before = 0.0
        self._tasks = tasks
        self._arrived: list[tuple[I, asyncio.Future[R]]] = []

    def join(self, item: I) -> "asyncio.Future[R]":
        """The item's result, or the exception of its batch."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        if not self._arrived:
            # Not before this turn of the loop is over, even when there is no need to pause.
            loop.call_at(self._not_before, self._begin)
        self._arrived.append((item, future))
        return future

    def _begin(self) -> None:
        arrived, self._arrived = self._arrived, []
        if len(arrived) > 1:
            self._not_before = asyncio.get_running_loop().time() + self._pause_s
        self._tasks.start(self._finish(arrived))

    async def _finish(self, arrived: Sequence[tuple[I, "asyncio.Future[R]"]]) -> None:
        waiting = [future for _, future in arrived]
        try:
            results = await self._work([item for item, _ in arrived])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
        else:
            for future, result in zip(waiting, results, strict=True):
                if not future.done():
                    future.set_result(result)
