"""Clients that send one request a call: as many calls at once as there are streams."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

C = TypeVar("C")


async def send_each(clients: list[C], streams: int, ids: list[str], send: Callable[[C, str], Awaitable[bool]]) -> int:
    """How many of `ids` were sent well; `streams` tasks on each client."""

    async def work_off(client: C, waiting: Iterator[str]) -> int:
        well = 0
        for id in waiting:
            well += await send(client, id)
        return well

    waiting = iter(ids)
    return sum(await asyncio.gather(*(work_off(client, waiting) for client in clients for _ in range(streams))))
