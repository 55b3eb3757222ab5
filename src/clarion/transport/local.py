"""Messages to devices of our own push service stay in the process: no HTTP between the sender and the endpoint."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from clarion.ports import HttpRequest, HttpResponse, Transport

log = structlog.get_logger(__name__)


class LocalTransport:
    """`ports.Transport`: requests under `origin` go to `accept`, all others to `other`; answers in order.

    `origin` is that of our own push endpoints, without a trailing slash; `issued` says which addresses elsewhere are
    ours as well. A request's `id` makes sending it again a no-op that is answered as the first time.
    """

    def __init__(
        self,
        origin: str,
        accept: Callable[[Sequence[HttpRequest]], Awaitable[list[HttpResponse]]],
        other: Transport,
        issued: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._prefix = origin + "/"
        self._accept = accept
        self._other = other
        self._issued = issued

    async def send(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        ours = [request.url.startswith(self._prefix) or self._issued(request.url) for request in requests]
        local = [request for request, own in zip(requests, ours, strict=True) if own]
        remote = [request for request, own in zip(requests, ours, strict=True) if not own]
        answers = await asyncio.gather(self._accepted(local), self._sent(remote))
        of_local, of_remote = map(iter, answers)
        return [next(of_local if own else of_remote) for own in ours]

    async def close(self) -> None:
        await self._other.close()

    async def _accepted(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        if not requests:
            return []
        try:
            return await self._accept(requests)
        except Exception:
            log.exception("local_push_failed", count=len(requests))
            return [HttpResponse(0, error="our own push service failed")] * len(requests)

    async def _sent(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        return await self._other.send(requests) if requests else []
