"""All connections to one origin: as many as the load needs, spread over its addresses, through restarts of the peer."""

import asyncio
import random
import ssl
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp.abc import AbstractResolver

from clarion.ports import HttpBatch, HttpResponse
from clarion.transport.http import RefusedAddress
from clarion.transport.http2.call import Call, why_unsendable
from clarion.transport.http2.connection import Connection
from clarion.transport.http2.dialer import Dialer, NotHttp2, Origin
from clarion.transport.http2.limits import Limits
from clarion.transport.http2.tls import client_context

SLICE: Final = 250
"""Requests written in one turn of the loop, about half a millisecond."""

_CLOSED: Final = "not sent: the transport is closed"
_IDLE: Final = "idle"

_log = structlog.get_logger(__name__)


class Pool:
    """`ports.Transport` to a single origin.

    A request is sent again only when the peer says that it did not look at it. An error that begins with `refused: ` is
    about the request, the address, the certificate or the protocol: nothing was sent, and trying again is of no use.

    `tls` must offer `h2` (`tls.for_http2`);
    without one the certificate is checked against the system's authorities. `resolver` says where a name leads to, and
    may refuse; `jitter` gives numbers from 0 to 1. `speaks_http2` is what was found at the last attempt to connect.
    """

    def __init__(
        self,
        origin: str,
        *,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
        limits: Limits | None = None,
        cautious: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._origin = Origin.of(origin)
        self._limits = limits or Limits()
        if tls is None and self._origin.scheme == "https":
            tls = client_context()
        self._dialer = Dialer(self._origin, tls, resolver, self._limits.connect_s)
        self._cautious = cautious
        self._jitter = jitter
        self._queue: deque[Call] = deque()
        self._connections: dict[Connection, str] = {}  # and the address of each
        self._opening: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._trouble = "no connection"
        self.speaks_http2 = True
        self._moved_at = 0.0
        self._waking: asyncio.Handle | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._closed = False

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        """Returns when every request has its answer."""
        if reason := why_unsendable((*batch.headers, *((name, "") for name in batch.varying))):
            return [HttpResponse(0, error=f"refused: {reason}")] * len(batch)
        if self._closed:
            return [HttpResponse(0, error=_CLOSED)] * len(batch)
        if not len(batch):
            return []
        loop = asyncio.get_running_loop()
        call = Call(batch, loop.create_future(), loop.time())
        if call.pending:
            if not self._queue:
                self._moved_at = call.begun
            self._queue.append(call)
            self._wake()
        self._start_ticking()
        try:
            await call.done
        finally:
            call.pending.clear()  # who gave up waiting wants nothing more to be sent
        return call.answers  # type: ignore[return-value] # all are there when the call is done

    async def close(self) -> None:
        """What is unsent stays so, what is under way is cut off."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        self._give_up(_CLOSED)
        for connection in list(self._connections):
            connection.close("closed by us")
        for handle in (self._waking, self._ticking):
            if handle is not None:
                handle.cancel()

    # --- what the connections tell ------------------------------------------------------------------------------------

    def refill(self, connection: Connection) -> None:
        if connection.answered:
            self._failures = 0
        if self._queue:
            self._fill(connection, SLICE)
        if self._queue:
            self._wake() if connection.room() else self._grow()

    def returned(self, call: Call) -> None:
        if call.pending and call not in self._queue:
            self._queue.appendleft(call)
        self._wake()

    def lost(self, connection: Connection, reason: str) -> None:
        address = self._connections.pop(connection, None)
        if address is None:
            return  # not open yet: the dialer tells
        _log.info("http2_connection_ended", origin=self._origin.host, address=address, reason=reason)
        if not connection.answered and reason != _IDLE and not self._closed:
            self._failed(reason)
        self._wake()

    # --- sending ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Calls of one turn of the loop go out together in the next."""
        if self._waking is None and not self._closed:
            self._waking = asyncio.get_running_loop().call_soon(self._feed)

    def _feed(self) -> None:
        self._waking = None
        left = SLICE
        for connection in list(self._connections):
            left = self._fill(connection, left)
            connection.flush()
        if self._queue:
            self._grow() if left else self._wake()

    def _fill(self, connection: Connection, most: int) -> int:
        """Send up to so many requests, of each waiting batch in turn; how many more might have been sent."""
        queue = self._queue
        while queue and (room := min(connection.room(), most)) > 0:
            call = queue.popleft()
            most -= connection.send(call, room)
            self._moved_at = connection.used_at
            if call.pending:
                queue.append(call)
        return most

    # --- opening ------------------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """One more connection, one at a time, while requests wait."""
        usable = sum(not connection.draining for connection in self._connections)
        if self._opening is None and not self._closed and usable < self._limits.connections:
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._not_before - loop.time())
            address, connection = await self._dialer.open(self._make, Counter(self._connections.values()))
        except (RefusedAddress, NotHttp2, ssl.SSLCertVerificationError) as error:
            self.speaks_http2 = not isinstance(error, NotHttp2)
            self._give_up(f"refused: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and told if it lasts
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._opened(connection, address)
        finally:
            self._opening = None
            self._wake()

    def _opened(self, connection: Connection, address: str) -> None:
        if connection.ended:  # at once, and perhaps with requests that it was given
            self._failed("the connection ended at once")
            return
        self._connections[connection] = address
        self.speaks_http2 = True
        self._start_ticking()

    def _make(self) -> Connection:
        return Connection(self, self._origin.pseudo, self._limits, cautious=self._cautious)

    def _failed(self, reason: str) -> None:
        """Wait before the next attempt, longer each time, and not at the same moment as everybody else."""
        first, longest = self._limits.backoff_s
        wait = min(longest, first * 2 ** min(self._failures, 30)) * (0.5 + self._jitter() / 2)
        self._failures += 1
        self._not_before = asyncio.get_running_loop().time() + wait
        self._trouble = reason
        _log.warning("http2_not_connected", origin=self._origin.host, reason=reason, again_in_s=round(wait, 3))

    def _give_up(self, reason: str) -> None:
        while self._queue:
            self._queue.popleft().give_up(reason)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _start_ticking(self) -> None:
        if self._ticking is None and not self._closed:
            self._ticking = asyncio.get_running_loop().call_later(self._limits.tick_s, self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            connection.look(now)
            if not connection.open_streams and now - connection.used_at >= self._limits.idle_s:
                connection.close(_IDLE)
        for call in self._queue:
            if now - call.begun >= self._limits.batch_s:
                call.give_up(f"not sent within {self._limits.batch_s:g} s: the service is slow")
        if self._queue:
            if any(connection.room() for connection in self._connections):
                self._wake()
            elif now - self._moved_at >= self._limits.patience_s:
                self._give_up(f"not sent within {self._limits.patience_s:g} s: {self._trouble}")
        self._ticking = None
        if self._connections or self._queue:
            self._start_ticking()
