"""Clarion: batches of a thousand, as its workers hand them over."""

import asyncio

from clarion.ports import HttpBatch
from clarion.transport.http2 import Limits, Pool, client_context
from http2_peers.target import BODY, PATH, SHARED, Target

_BATCH = 1_000


class ClarionClient:
    """As many batches at once as keep all streams busy."""

    async def open(self, target: Target) -> None:
        self._target = target
        self._pool = Pool(
            target.origin,
            tls=client_context(authority=target.authority),
            limits=Limits(streams=target.streams, connections=target.connections),
        )

    async def send(self, ids: list[str]) -> int:
        waiting = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
        senders = 2 + 2 * self._target.at_once // _BATCH
        return sum(await asyncio.gather(*(self._work_off(waiting) for _ in range(senders))))

    async def close(self) -> None:
        await self._pool.close()

    async def _work_off(self, waiting: list[list[str]]) -> int:
        well = 0
        while waiting:
            some = waiting.pop()
            paths, bodies, ids = [PATH] * len(some), [BODY] * len(some), {"apns-id": some}
            batch = HttpBatch(self._target.origin, tuple(SHARED.items()), paths, bodies, ids)
            answers = await self._pool.send_batch(batch)
            well += sum(answer.status == 200 for answer in answers)
        return well
