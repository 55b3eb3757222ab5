"""Requests to URLs that other people chose, over HTTP/2 where their service offers it and over HTTP/1.1 where not."""

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec
from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from clarion.crypto.bounded import Bounded
from clarion.ports import HttpBatch, HttpResponse, Transport
from clarion.transport.http import GuardedResolver, RefusedAddress, checked_url
from clarion.transport.http2 import Limits, Pool, client_context

MOST_ORIGINS: Final = 200
"""Of which connections are kept. Anybody may name an origin; those beyond are served over HTTP/1.1."""
ASK_AGAIN_S: Final = 3_600.0
"""After so long a service that had no HTTP/2 is asked again."""
SLOW_S: Final = 5.0
"""Who leaves a whole batch without an answer for so long, and answers nobody else meanwhile, is left alone ..."""
REST_S: Final = 30.0
"""... for so long: every batch with a message for it would wait again."""
LIMITS: Final = Limits(connections=4, connect_s=5.0, patience_s=10.0)
_HEADERS: Final = (("user-agent", "Clarion"), ("accept-encoding", "identity"))
_REMEMBERED: Final = 10_000
_NEVER: Final = float("-inf")
RESTING: Final = "not sent: the service has left everything unanswered just now"


class _Origin:
    """What is known of one: its pool, unless it speaks HTTP/1.1 only, as it was found at `plain_since`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.plain_since: float | None = None
        self.under_way = 0


class OriginsTransport:
    """`ports.Transport`. Where a name leads to is looked up once, checked and connected to, as `HttpTransport` does.

    `plain` is that transport: it serves what HTTP/2 cannot, plain http among it, and has the last word about what
    may not be sent at all. No redirect is followed. Each origin has connections of its own; one that never answers is
    left alone for a while.
    """

    def __init__(
        self,
        plain: Transport,
        *,
        allow_private: bool = False,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
        limits: Limits = LIMITS,
        most_origins: int = MOST_ORIGINS,
        time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plain = plain
        self._allow_private = allow_private
        self._tls = tls
        self._resolver = resolver
        self._limits = limits
        self._most = most_origins
        self._time = time
        self._origins: dict[str, _Origin] = {}
        self._heard: Bounded[str, float] = Bounded(_REMEMBERED)
        self._resting: Bounded[str, float] = Bounded(_REMEMBERED)
        self._closing: set[asyncio.Task[None]] = set()

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        name, began = batch.origin, self._time()
        if began < (self._resting.get(name) or _NEVER):
            return [HttpResponse(0, error=RESTING)] * len(batch)
        answers = await self._send(batch)
        now = self._time()
        if any(answer.status for answer in answers):
            self._heard.put(name, now)
        elif now - began >= SLOW_S and (self._heard.get(name) or _NEVER) < began:
            self._resting.put(name, now + REST_S)
        return answers

    async def close(self) -> None:
        await asyncio.gather(*(origin.pool.close() for origin in self._origins.values()), *self._closing)
        self._origins.clear()
        await self._plain.close()

    async def _send(self, batch: HttpBatch) -> list[HttpResponse]:
        name = _https_origin(batch.origin, self._allow_private)
        origin = self._known(name) if name is not None else None
        if origin is None or name is None:
            return await self._plain.send_batch(batch)
        origin.under_way += 1
        try:
            answers = await origin.pool.send_batch(
                msgspec.structs.replace(batch, origin=name, headers=(*_HEADERS, *batch.headers))
            )
        finally:
            origin.under_way -= 1
        # Not sent at all, for whatever reason: HTTP/1.1 finds out, with the same guard, whether it can be.
        refused = [number for number, each in enumerate(answers) if each.error and each.error.startswith("refused:")]
        if refused:
            again = await self._plain.send_batch(batch.part(refused))
            for number, answer in zip(refused, again, strict=True):
                answers[number] = answer
            if not origin.pool.speaks_http2 and any(answer.status for answer in again):
                origin.plain_since = self._time()
        return answers

    def _known(self, name: str) -> _Origin | None:
        """An origin that speaks HTTP/2, as far as we know; None for one that does not, or one too many."""
        origin = self._origins.pop(name, None)
        if origin is None:
            if len(self._origins) >= self._most and not self._forget_one():
                return None
            origin = _Origin(self._pool(name))
        self._origins[name] = origin  # the last one now
        if origin.plain_since is not None and self._time() - origin.plain_since < ASK_AGAIN_S:
            return None
        return origin

    def _pool(self, name: str) -> Pool:
        if self._tls is None:
            self._tls = client_context()
        guard = GuardedResolver(self._resolver or ThreadedResolver(), allow_private=self._allow_private)
        return Pool(name, tls=self._tls, resolver=guard, limits=self._limits)

    def _forget_one(self) -> bool:
        """Make room: the one that was unused for the longest time goes."""
        idle = next((name for name, origin in self._origins.items() if not origin.under_way), None)
        if idle is None:
            return False
        closing = asyncio.create_task(self._origins.pop(idle).pool.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return True


@lru_cache(maxsize=4_096)
def _https_origin(beginning: str, allow_private: bool) -> str | None:
    """The origin of all URLs that begin so, if we may connect to it with TLS."""
    try:
        url = checked_url(beginning, allow_private=allow_private)
    except (RefusedAddress, ValueError):
        return None
    return str(url.origin()) if url.scheme == "https" and not (url.raw_query_string or url.raw_fragment) else None
