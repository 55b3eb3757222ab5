"""Joins what concurrent callers want written: the calls that arrive during one commit share the next as one batch."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from clarion.errors import Unavailable

I = TypeVar("I")  # noqa: E741 - an item that is written
R = TypeVar("R")


class _Call(NamedTuple, Generic[I, R]):
    items: Sequence[I]
    future: asyncio.Future[list[R]]


class Coalescer(Generic[I, R]):
    """One commit at a time for each group of callers; `write` gives a result for every item, in order.

    A joined batch that fails is written again call by call, so that only the caller with the bad item hears of it.
    """

    def __init__(self, write: Callable[[Hashable, Sequence[I]], Awaitable[list[R]]], limit: int = 4_000) -> None:
        self._write = write
        self._limit = limit
        self._waiting: dict[Hashable, list[_Call[I, R]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, group: Hashable, items: Sequence[I]) -> list[R]:
        """Write the items together with those of others in the same group; the results of these items."""
        if not items:
            return []
        future: asyncio.Future[list[R]] = asyncio.get_running_loop().create_future()
        call = _Call(items, future)
        waiting = self._waiting.get(group)
        if waiting is not None:
            waiting.append(call)
        else:
            self._waiting[group] = [call]
            task = asyncio.create_task(self._drain(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _drain(self, group: Hashable) -> None:
        while calls := self._take(group):
            await self._together(group, calls)
        del self._waiting[group]

    def _take(self, group: Hashable) -> list[_Call[I, R]]:
        """The next calls, up to the limit of items but at least one."""
        waiting = self._waiting[group]
        size = count = 0
        for call in waiting:
            size += len(call.items)
            if count and size > self._limit:
                break
            count += 1
        taken = waiting[:count]
        del waiting[:count]
        return taken

    async def _together(self, group: Hashable, calls: list[_Call[I, R]]) -> None:
        try:
            results = await self._write(group, [item for call in calls for item in call.items])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            if len(calls) == 1 or isinstance(error, Unavailable):
                for call in calls:
                    _fail(call.future, error)
            else:
                for call in calls:
                    await self._together(group, [call])
            return
        start = 0
        for call in calls:
            end = start + len(call.items)
            if not call.future.done():
                call.future.set_result(results[start:end])
            start = end


def _fail(future: "asyncio.Future[list[R]]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
