"""Batches of requests to services whose URLs other people chose, over HTTP/1.1 and with the guard that this needs."""

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from clarion.ports import HttpBatch, HttpResponse
from clarion.transport.addresses import why_refused

TIMEOUT_S: Final = 20.0
"""From the first look-up to the last byte; waiting for a free connection does not count."""
PATIENCE_S: Final = 20.0
"""How long a request waits for a free connection; with the time-out, no batch takes longer than both."""
MAX_ANSWER: Final = 4_096
"""Bytes of a response's body that are kept; the rest is not read."""
_CONNECTIONS = 256
_AT_FIRST: Final = 4
_AT_MOST: Final = 32
_HEADERS = {"User-Agent": "Clarion", "Accept-Encoding": "identity"}


class RefusedAddress(OSError):
    """A name leads to where we do not connect to."""


def checked_url(text: str, *, allow_private: bool) -> URL:
    """The URL, if its parts are such as we connect to; a name in it is checked when it is looked up.

    Raises RefusedAddress, or ValueError when it is no URL.
    """
    url = URL(text)
    if url.scheme != "https" and not (allow_private and url.scheme == "http"):
        raise RefusedAddress("the URL must begin with https://")
    host = url.raw_host
    if not host:
        raise RefusedAddress("the URL has no host")
    if url.raw_user is not None or url.raw_password is not None:
        raise RefusedAddress("the URL must not have a user name or password")
    # aiohttp asks no resolver for what looks like an address to it.
    literal = ":" in host or host.replace(".", "").isdigit()
    reason = why_refused(host, allow_private=allow_private) if literal else None
    if reason:
        raise RefusedAddress(f"{host}: {reason}")
    return url


class _Lane(asyncio.Semaphore):
    """How many requests one origin may have under way: few at first, one more for each answer, one less for silence.

    So an origin that never answers holds a few connections, and all others have the rest.
    """

    def __init__(self) -> None:
        super().__init__(_AT_FIRST)
        self.users = 0
        self._width = _AT_FIRST
        self._owed = 0

    def release(self) -> None:
        if self._owed:
            self._owed -= 1
        else:
            super().release()

    def widen(self) -> None:
        if self._width < _AT_MOST:
            self._width += 1
            self.release()

    def narrow(self) -> None:
        if self._width > 1:
            self._width -= 1
            self._owed += 1


class HttpTransport:
    """`ports.Transport` on aiohttp: https only, to public addresses only, no redirects, no proxies.

    A name is looked up once, every address that it has is checked, and the connection goes to one of those. What is
    not sent for these reasons is answered with status 0 and `refused: …`. `allow_private` permits private networks and
    plain http. `resolver` and `tls` replace the system's. One origin that is slow leaves room for the others.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        connections: int = _CONNECTIONS,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._timeout = timeout_s
        self._patience = patience_s
        self._places = asyncio.Semaphore(connections)
        self._lanes: dict[str, _Lane] = {}
        self._resolver = resolver
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        shared = dict(batch.headers)
        asked = (
            self._one(batch.origin, batch.origin + each.path, shared | dict(each.headers), each.body)
            for each in batch.requests
        )
        return list(await asyncio.gather(*asked))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _one(self, origin: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        with self._lane(origin) as lane:
            try:
                async with asyncio.timeout(self._patience) as waiting, lane, self._places:
                    waiting.reschedule(None)
                    response = await self._answer(url, headers, body)
                    lane.widen() if response.status else lane.narrow()
                    return response
            except TimeoutError:
                return HttpResponse(0, error=f"not sent within {self._patience:g} s: the service is slow")

    @contextmanager
    def _lane(self, origin: str) -> Iterator[_Lane]:
        """The origin's, which is forgotten when nobody is in it."""
        lane = self._lanes.setdefault(origin, _Lane())
        lane.users += 1
        try:
            yield lane
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[origin]

    async def _answer(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        try:
            return await self._exchange(url, headers, body)
        except RefusedAddress as error:
            return HttpResponse(0, error=f"refused: {error}")
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, RefusedAddress)
            return HttpResponse(0, error=f"refused: {error.os_error}" if refused else f"not reached: {error}")
        except TimeoutError:
            return HttpResponse(0, error=f"no answer within {self._timeout:g} s", unknown=True)
        except Exception as error:  # noqa: BLE001 - one bad URL or peer must not fail the batch
            unknown = not isinstance(error, (ValueError, TypeError))  # those are about the request itself
            return HttpResponse(0, error=f"{type(error).__name__}: {error}", unknown=unknown)

    async def _exchange(self, text: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        url = checked_url(text, allow_private=self._allow_private)
        sending = self._open().request("POST", url, headers=headers, data=body, allow_redirects=False)
        async with sending as response:
            body = await _beginning(response.content)
            if not response.content.at_eof():
                response.close()
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpResponse(response.status, headers, body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = GuardedResolver(self._resolver or aiohttp.ThreadedResolver(), allow_private=self._allow_private)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, resolver=resolver, ssl=self._tls or True),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                auto_decompress=False,  # a small answer may unpack to a large one
                trust_env=False,
            )
        return self._session


class GuardedResolver(AbstractResolver):
    """Names to addresses that may be connected to. A name with a single bad address is refused as a whole."""

    def __init__(self, inner: AbstractResolver, *, allow_private: bool) -> None:
        self._inner = inner
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for each in found:
            reason = why_refused(each["host"], allow_private=self._allow_private)
            if reason:
                raise RefusedAddress(f"{host}: {reason}")
        return found

    async def close(self) -> None:
        await self._inner.close()


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while len(body) < MAX_ANSWER and not content.at_eof():
        body += await content.read(MAX_ANSWER - len(body))
    return body
