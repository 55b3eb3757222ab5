"""Requests to origins that other people chose: over HTTP/2 where it is spoken, else by the transport for HTTP/1.1."""

import asyncio
import ssl
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from clarion.ports import BatchRequest, HttpBatch, HttpRequest, HttpResponse, Transport
from clarion.transport.http import GuardedResolver
from clarion.transport.http2.headers_out import Headers
from clarion.transport.http2.limits import Limits
from clarion.transport.http2.pool import Pool
from clarion.transport.http2.tls import client_context

MOST_ORIGINS: Final = 256
"""Origins with connections at once; others wait until one of these is not in use."""
_LIMITS: Final = Limits(connections=4)
_WANTED: Final = frozenset({"location"})
"""Of a success: the name that a push service gives a message (RFC 8030 §5)."""


class Http2Transport:
    """`ports.Transport`: https only, to public addresses only, no redirects, no proxies.

    What HTTP/2 cannot carry goes to `fallback`: other methods than POST, http, and origins that do not speak it, which
    it must guard in the same way. Requests of one batch to one origin share its connections, and say once what they
    have in common. Of a success only `location` is read. `allow_private` and `resolver` as those of `HttpTransport`.
    """

    def __init__(
        self,
        fallback: Transport,
        *,
        allow_private: bool = False,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits = _LIMITS,
        most_origins: int = MOST_ORIGINS,
    ) -> None:
        self._fallback = fallback
        self._allow_private = allow_private
        self._inner = resolver
        self._resolver: GuardedResolver | None = None
        self._tls = tls
        self._limits = limits
        self._most_origins = most_origins
        self._places = asyncio.Semaphore(most_origins)
        self._pools: OrderedDict[str, Pool] = OrderedDict()  # the one used last at the end
        self._without: OrderedDict[str, None] = OrderedDict()  # origins that do not speak HTTP/2
        self._users: defaultdict[str, int] = defaultdict(int)

    async def send(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            origin = _origin(request.url)
            fits = request.method == "POST" and origin.startswith("https://") and origin not in self._without
            groups[origin if fits else ""].append(number)
        sent = [
            self._to(origin, [requests[number] for number in numbers])
            if origin
            else self._fallback.send([requests[number] for number in numbers])
            for origin, numbers in groups.items()
        ]
        answers: list[HttpResponse | None] = [None] * len(requests)
        for numbers, group in zip(groups.values(), await asyncio.gather(*sent), strict=True):
            for number, answer in zip(numbers, group, strict=True):
                answers[number] = answer
        return answers  # type: ignore[return-value] # every request is in a group

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()), self._fallback.close())
        self._pools.clear()

    async def _to(self, origin: str, requests: list[HttpRequest]) -> list[HttpResponse]:
        async with self._places:
            self._users[origin] += 1
            try:
                pool = await self._pool(origin)
                answers = await pool.send_batch(_batch(origin, requests))
            except ValueError as error:
                return [HttpResponse(0, error=f"refused: {error}")] * len(requests)
            finally:
                self._users[origin] -= 1
                if not self._users[origin]:
                    del self._users[origin]
        if pool.speaks_http2:
            return answers
        self._remember_without(origin)
        return await self._again(requests, answers)

    async def _again(self, requests: list[HttpRequest], answers: list[HttpResponse]) -> list[HttpResponse]:
        """What could not be sent, since the origin does not speak HTTP/2."""
        unsent = [number for number, answer in enumerate(answers) if not answer.status and not answer.unknown]
        for number, answer in zip(unsent, await self._fallback.send([requests[n] for n in unsent]), strict=True):
            answers[number] = answer
        return answers

    async def _pool(self, origin: str) -> Pool:
        pool = self._pools.get(origin)
        if pool is None:
            # Looked up and checked here also when the host is an address: there is no way around the resolver.
            if self._resolver is None:
                inner = self._inner or ThreadedResolver()
                self._resolver = GuardedResolver(inner, allow_private=self._allow_private)
            self._tls = self._tls or client_context()
            pool = Pool(origin, tls=self._tls, resolver=self._resolver, limits=self._limits)
            self._pools[origin] = pool
            await self._make_room()
        self._pools.move_to_end(origin)
        return pool

    async def _make_room(self) -> None:
        while len(self._pools) > self._most_origins:
            unused = next((origin for origin in self._pools if origin not in self._users), None)
            if unused is None:
                return  # no more than there are places
            await self._pools.pop(unused).close()

    def _remember_without(self, origin: str) -> None:
        self._without[origin] = None
        while len(self._without) > self._most_origins:
            self._without.popitem(last=False)


def _origin(url: str) -> str:
    """Everything before the path; whether it is an origin at all is seen when a pool is made for it."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.partition('/')[0]}"


def _batch(origin: str, requests: list[HttpRequest]) -> HttpBatch:
    """With the headers that all have in common told once."""
    each = [{name.lower(): value for name, value in request.headers.items()} for request in requests]
    shared: Headers = tuple(set(each[0].items()).intersection(*(headers.items() for headers in each[1:])))
    same = {name for name, _ in shared}
    return HttpBatch(
        origin,
        shared,
        [
            BatchRequest(
                request.url[len(origin) :].partition("#")[0] or "/",
                tuple(pair for pair in headers.items() if pair[0] not in same),
                request.body,
            )
            for request, headers in zip(requests, each, strict=True)
        ],
        _WANTED,
    )
