"""Messages to devices of our own push service stay in the process: no HTTP between the sender and the endpoint."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from clarion.ports import HttpBatch, HttpRequest, HttpResponse, Transport

log = structlog.get_logger(__name__)

_Accept = Callable[[Sequence[HttpRequest]], Awaitable[list[HttpResponse]]]


def _nowhere_else(_origin: str, _path: str) -> bool:
    return False


class LocalTransport:
    """`ports.Transport`: requests to `origin` go to `accept`, all others to `other`.

    `origin` is that of our own push endpoints, without a trailing slash; `issued` says by origin and path which
    addresses elsewhere are ours as well. A request's `id` makes sending it again a no-op that is answered as the
    first time.
    """

    def __init__(
        self,
        origin: str,
        accept: _Accept,
        other: Transport,
        issued: Callable[[str, str], bool] = _nowhere_else,
    ) -> None:
        self._origin = origin
        self._accept = accept
        self._other = other
        self._issued = issued

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        if batch.origin == self._origin:
            return await self._accepted(batch)
        ours = [self._issued(batch.origin, path) for path in batch.paths]
        if not any(ours):
            return await self._other.send_batch(batch)
        local, remote = (batch.part([at for at, own in enumerate(ours) if own is which]) for which in (True, False))
        answers = await asyncio.gather(self._accepted(local), self._other.send_batch(remote))
        of_local, of_remote = map(iter, answers)
        return [next(of_local if own else of_remote) for own in ours]

    async def close(self) -> None:
        await self._other.close()

    async def _accepted(self, batch: HttpBatch) -> list[HttpResponse]:
        shared = dict(batch.headers)
        asked = [
            HttpRequest("POST", batch.origin + each.path, shared | dict(each.headers), each.body, each.id)
            for each in batch.requests
        ]
        try:
            return await self._accept(asked)
        except Exception:
            log.exception("local_push_failed", count=len(asked))
            return [HttpResponse(0, error="our own push service failed", unknown=True)] * len(asked)
