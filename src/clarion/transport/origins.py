"""Requests to URLs that other people chose, over HTTP/2 where their service offers it and over HTTP/1.1 where not."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from clarion.ports import BatchRequest, HttpBatch, HttpRequest, HttpResponse, Transport
from clarion.transport.http import GuardedResolver, RefusedAddress, checked_url
from clarion.transport.http2 import Limits, Pool, client_context

MOST_ORIGINS: Final = 200
"""Of which connections are kept. Anybody may name an origin; those beyond are served over HTTP/1.1."""
ASK_AGAIN_S: Final = 3_600.0
"""After so long a service that had no HTTP/2 is asked again."""
LIMITS: Final = Limits(connections=4, connect_s=5.0, patience_s=10.0)
_HEADERS: Final = (("user-agent", "Clarion"), ("accept-encoding", "identity"))
_WANTED: Final = frozenset({"location"})
_Numbered = tuple[int, HttpRequest]


class _Origin:
    """What is known of one: its pool, unless it speaks HTTP/1.1 only, as it was found at `plain_since`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.plain_since: float | None = None
        self.under_way = 0


class OriginsTransport:
    """`ports.Transport`. Where a name leads to is looked up once, checked and connected to, as `HttpTransport` does.

    `plain` is that transport: it serves what HTTP/2 cannot, plain http among it, and has the last word about what
    may not be sent at all. No redirect is followed.
    """

    def __init__(
        self,
        plain: Transport,
        *,
        allow_private: bool = False,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
        most_origins: int = MOST_ORIGINS,
        time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plain = plain
        self._allow_private = allow_private
        self._tls = tls
        self._resolver = resolver
        self._most = most_origins
        self._time = time
        self._origins: dict[str, _Origin] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        groups: dict[str | None, list[_Numbered]] = {}
        for numbered in enumerate(requests):
            groups.setdefault(self._origin_of(numbered[1]), []).append(numbered)
        done = await asyncio.gather(*(self._to(origin, group) for origin, group in groups.items()))
        answers: dict[int, HttpResponse] = {}
        for part in done:
            answers |= part
        return [answers[number] for number in range(len(requests))]

    async def close(self) -> None:
        await asyncio.gather(*(origin.pool.close() for origin in self._origins.values()), *self._closing)
        self._origins.clear()
        await self._plain.close()

    def _origin_of(self, request: HttpRequest) -> str | None:
        """Where it may go over HTTP/2; None where it may not."""
        beginning, path = _parted(request.url)
        if request.method != "POST" or not path or "#" in request.url:
            return None
        return _https_origin(beginning, self._allow_private)

    async def _to(self, name: str | None, group: Sequence[_Numbered]) -> dict[int, HttpResponse]:
        origin = self._known(name) if name is not None else None
        if origin is None or name is None:
            return await self._over_http1(group)
        origin.under_way += 1
        try:
            answers = await self._over_http2(name, origin.pool, group)
        finally:
            origin.under_way -= 1
        # Not sent at all, for whatever reason: HTTP/1.1 finds out, with the same guard, whether it can be.
        refused = [one for one in group if (answers[one[0]].error or "").startswith("refused:")]
        if refused:
            again = await self._over_http1(refused)
            if any(answer.status for answer in again.values()):
                origin.plain_since = self._time()
            answers |= again
        return answers

    async def _over_http1(self, group: Sequence[_Numbered]) -> dict[int, HttpResponse]:
        answers = await self._plain.send([request for _, request in group])
        return dict(zip((number for number, _ in group), answers, strict=True))

    async def _over_http2(self, name: str, pool: Pool, group: Sequence[_Numbered]) -> dict[int, HttpResponse]:
        """Requests with the same headers are one batch: most of them, where the text goes to many."""
        alike: dict[tuple[tuple[str, str], ...], list[_Numbered]] = {}
        for numbered in group:
            alike.setdefault(tuple(numbered[1].headers.items()), []).append(numbered)
        done = await asyncio.gather(
            *(
                pool.send_batch(HttpBatch(name, (*_HEADERS, *headers), [_batched(one) for _, one in part], _WANTED))
                for headers, part in alike.items()
            )
        )
        numbers = [number for part in alike.values() for number, _ in part]
        return dict(zip(numbers, (answer for answers in done for answer in answers), strict=True))

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
        return Pool(name, tls=self._tls, resolver=guard, limits=LIMITS)

    def _forget_one(self) -> bool:
        """Make room: the one that was unused for the longest time goes."""
        idle = next((name for name, origin in self._origins.items() if not origin.under_way), None)
        if idle is None:
            return False
        closing = asyncio.create_task(self._origins.pop(idle).pool.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return True


def _parted(url: str) -> tuple[str, str]:
    """What leads to the service, and what is asked there, which is empty in URLs that are not written out."""
    slash = url.find("/", len("https://"))
    return (url[:slash], url[slash:]) if slash >= 0 else (url, "")


@lru_cache(maxsize=4_096)
def _https_origin(beginning: str, allow_private: bool) -> str | None:
    """The origin of all URLs that begin so, if we may connect to it with TLS."""
    try:
        url = checked_url(beginning, allow_private=allow_private)
    except (RefusedAddress, ValueError):
        return None
    return str(url.origin()) if url.scheme == "https" and not url.raw_query_string else None


def _batched(request: HttpRequest) -> BatchRequest:
    return BatchRequest(_parted(request.url)[1], (), request.body)
