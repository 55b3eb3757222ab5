"""Opens connections to one origin: a name's addresses in turn, TLS, and HTTP/2 agreed on."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from clarion.transport.http2.connection import Connection
from clarion.transport.http2.headers_out import Headers

_DEFAULT_PORTS = {"https": 443, "http": 80}


class NotHttp2(OSError):
    """The service does not speak HTTP/2 (RFC 9113 §3.2)."""


class Origin(NamedTuple):
    """Where a pool connects to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Origin":
        """Raises ValueError when it is no `https://host[:port]` (or `http://`, for tests without TLS)."""
        parts = urlsplit(url)
        bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not bare:
            raise ValueError(f"no origin: {url!r}; it must be https://host or https://host:port")
        return cls(parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme])

    @property
    def pseudo(self) -> Headers:
        """What all its requests begin with (RFC 9113 §8.3.1)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"
        return ((":method", "POST"), (":scheme", self.scheme), (":authority", authority))


class Dialer:
    """Where `resolver` says that a name leads to, and nowhere else."""

    def __init__(
        self, origin: Origin, tls: ssl.SSLContext | None, resolver: AbstractResolver | None, connect_s: float
    ) -> None:
        self._origin = origin
        self._tls = tls
        self._resolver = resolver
        self._connect_s = connect_s
        self._failed: set[str] = set()

    async def open(self, make: Callable[[], Connection], used: Mapping[str, int]) -> tuple[str, Connection]:
        """A connection that takes requests, and its address: one that worked lately and is `used` least.

        Raises:
            OSError: no address could be reached; the error of the last one tried.
            TimeoutError: of an address that did not answer.
            NotHttp2: the service does not speak it.
        """
        addresses = await self._addresses()
        addresses.sort(key=lambda address: (address in self._failed, used.get(address, 0)))
        error: OSError = OSError(f"{self._origin.host} has no address")
        for address in addresses:
            try:
                connection = await self._connect(address, make)
            except NotHttp2:
                raise
            except OSError as refused:  # a TimeoutError is one too
                self._failed.add(address)
                error = refused
            else:
                self._failed.discard(address)
                return address, connection
        raise error

    async def _addresses(self) -> list[str]:
        if self._resolver is None:
            self._resolver = ThreadedResolver()
        async with asyncio.timeout(self._connect_s):
            found = await self._resolver.resolve(self._origin.host, self._origin.port, socket.AF_UNSPEC)
        return list(dict.fromkeys(each["host"] for each in found))

    async def _connect(self, address: str, make: Callable[[], Connection]) -> Connection:
        try:
            async with asyncio.timeout(self._connect_s):
                transport, connection = await asyncio.get_running_loop().create_connection(
                    make,
                    address,
                    self._origin.port,
                    ssl=self._tls,
                    server_hostname=self._origin.host if self._tls else None,
                    ssl_shutdown_timeout=1.0 if self._tls else None,
                )
                await _is_ready(transport, connection)
        except ssl.SSLError as error:
            if error.reason == "TLSV1_ALERT_NO_APPLICATION_PROTOCOL":
                raise NotHttp2(f"{self._origin.host} does not speak HTTP/2") from error
            raise
        except TimeoutError:
            raise TimeoutError(f"{address} did not answer within {self._connect_s:g} s") from None
        else:
            return connection


async def _is_ready(transport: asyncio.Transport, connection: Connection) -> None:
    with ExitStack() as undo:
        undo.callback(transport.abort)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            raise NotHttp2("the service does not speak HTTP/2")
        await connection.settled
        undo.pop_all()
