"""One HTTP/2 connection (RFC 9113) on a socket: its life, from the first SETTINGS to the last goodbye."""

import asyncio
from typing import Final, Protocol, cast

from clarion.transport.http2 import frames
from clarion.transport.http2.call import Call
from clarion.transport.http2.exchanges import Exchanges
from clarion.transport.http2.frames import Code, ConnectionFault, Setting
from clarion.transport.http2.headers_out import Headers
from clarion.transport.http2.inbound import LARGEST_BLOCK, OUR_WINDOW, Inbound
from clarion.transport.http2.limits import Limits
from clarion.transport.http2.outbound import Outbound

_BUFFER: Final = 65_536
"""Bytes read in one turn of the loop; no more than 7,000 frames fit."""
_HELLO: Final = (
    frames.PREFACE
    + frames.settings_frame(
        {Setting.HEADER_TABLE_SIZE: 0, Setting.ENABLE_PUSH: 0, Setting.MAX_HEADER_LIST_SIZE: LARGEST_BLOCK}
    )
    + frames.window_update(0, OUR_WINDOW - frames.DEFAULT_WINDOW)
)


class Owner(Protocol):
    """Who opened the connection and has requests for it."""

    def refill(self, connection: "Connection") -> None:
        """There may be room."""
        ...

    def returned(self, call: Call) -> None:
        """Requests of this batch must be sent again."""
        ...

    def lost(self, connection: "Connection", reason: str) -> None:
        """It ended; all its requests are answered or given back."""
        ...


class Connection(asyncio.BufferedProtocol):
    """Takes requests by `send`, as many as there is `room` for, and writes them at `flush`.

    `settled` is done when it takes requests, `ended` set when it never will again. `heard_at` and `used_at`, of the
    last bytes read and requests sent, are times of the loop in seconds.
    """

    def __init__(self, owner: Owner, pseudo: Headers, limits: Limits, *, cautious: bool = False) -> None:
        self._owner = owner
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._exchanges = Exchanges(limits.answer_bytes)
        self._outbound = Outbound(self._exchanges, pseudo, limits, cautious=cautious)
        self._inbound = Inbound(self._outbound, limits, owner.returned)
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(_BUFFER))
        self._filled = 0
        self._paused = False
        self._pinged = False
        self.settled: asyncio.Future[None] = self._loop.create_future()
        self.ended = False
        self.heard_at = self.used_at = self._loop.time()

    @property
    def answered(self) -> bool:
        """Whether the peer has ever ended a request."""
        return self._inbound.answered

    @property
    def open_streams(self) -> int:
        """Requests under way."""
        return len(self._exchanges.open)

    @property
    def draining(self) -> bool:
        """Whether it will take no new requests."""
        return self.ended or self._outbound.draining

    # --- writing ------------------------------------------------------------------------------------------------------

    def room(self) -> int:
        """How many more requests may be under way now."""
        if self.ended or self._paused or not self._inbound.settled:
            return 0
        return self._outbound.room()

    def send(self, call: Call, most: int) -> int:
        """Begin up to `most` of the batch's waiting requests, no more than there is room; how many they are."""
        self.used_at = self._loop.time()
        return self._outbound.send(call, most, self.used_at)

    def flush(self) -> None:
        """Everything that waits, in one write."""
        data = self._outbound.take()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._owner.refill(self)
        self.flush()

    # --- reading ------------------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Never empty: what is left unread is less than a frame, and the buffer holds four."""
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self.ended:
            return
        self.heard_at = self._loop.time()
        self._pinged = False
        filled = self._filled + nbytes
        try:
            taken = self._inbound.read(self._buffer[:filled])
        except ConnectionFault as fault:
            self.close(f"{fault.code.name}: {fault.reason}", fault.code)
            return
        self._filled = filled - taken
        self._buffer[: self._filled] = self._buffer[taken:filled]
        if self._outbound.draining and not self._exchanges.open:
            self.close(self._inbound.end)
            return
        if self._inbound.settled and not self.settled.done():
            self.settled.set_result(None)
        self._owner.refill(self)
        self.flush()

    # --- life ---------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, of the same shape
        self._transport.write(_HELLO)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(f"{self._inbound.end}: {exc}" if exc else self._inbound.end)

    def look(self, now: float) -> None:
        """To be called from time to time: ends what takes too long."""
        for stream in self._exchanges.overdue(now - self._limits.request_s):
            self._outbound.cancel(stream, f"no answer within {self._limits.request_s:g} s")
        silence = now - self.heard_at
        if self._pinged and silence >= 2 * self._limits.ping_s:
            self.close("no sign of life from the peer")
        elif not self._pinged and silence >= self._limits.ping_s:
            self._pinged = True
            self._outbound.put(frames.frame(frames.PING, 0, 0, bytes(8)))
        self.flush()

    def close(self, reason: str, code: Code = Code.NO_ERROR) -> None:
        """Say goodbye (§5.4.1) and end; what is under way is cut off."""
        self._outbound.put(frames.goaway(code, "" if code is Code.NO_ERROR else reason))
        self.flush()
        if self._transport is not None:
            # A peer that does not read would never see the end.
            self._transport.abort() if self._paused else self._transport.close()
        self._finish(reason)

    def _finish(self, reason: str) -> None:
        if self.ended:
            return
        self.ended = True
        if not self.settled.done():
            self.settled.set_exception(ConnectionResetError(reason))
            self.settled.exception()  # seen, should nobody wait for it any more
        self._exchanges.cut_off_all(reason)
        self._owner.lost(self, reason)
