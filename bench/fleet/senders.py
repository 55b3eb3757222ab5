"""Application servers that POST to the push endpoint over kept connections, at a rate or as fast as they are answered.

At a rate, a message's clock starts when it was due, whether or not a connection was free: a server that stands still is
not forgiven. Each body begins with that time, so that the device knows how long the message was under way.
"""

import asyncio
import json
import os
import sys
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from fleet.control import percentile, reply

_CONNECTIONS = 64
_BODY = 240  # bytes: a short notification, encrypted
_FILLER = os.urandom(_BODY - 8)
_EVERY_S = 0.2
_TICK_S = 0.001


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, senders: "Senders") -> None:
        self._senders = senders
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._senders.idle(self)

    def send(self, path: str, due: int) -> None:
        """POST to a path; `due` in nanoseconds of the monotonic clock."""
        self._due = due
        self._transport.write(self._senders.head % path.encode() + due.to_bytes(8) + _FILLER)  # type: ignore[attr-defined] # a TCP transport is a write transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if b"\r\n\r\n" not in self._buffer:  # a 201 has no body
            return
        if not self._buffer.startswith(b"HTTP/1.1 201"):
            self._senders.failed(self._buffer)
            return
        self._buffer = b""
        self._senders.answered(time.monotonic_ns() - self._due)
        self._senders.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._senders.failed(repr(exc).encode())


class Senders:
    """`count` messages to the endpoints in turn, `rate` a second or, without one, as fast as they are answered."""

    def __init__(self, endpoints: list[str], authorization: str, count: int, rate: float | None) -> None:
        self._paths = [urlsplit(each).path for each in endpoints]
        self.head = (
            "POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nTTL: 86400\r\nUrgency: high\r\nContent-Encoding: aes128gcm\r\n"
            f"Authorization: {authorization}\r\nContent-Length: {_BODY}\r\n\r\n"
        ).encode()
        self._count, self._rate = count, rate
        self._idle: deque[Connection] = deque()
        self._sent = 0
        self._delays: list[float] = []
        self._begun = 0
        self._told_at = 0.0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int) -> None:
        """All of them; replies with rate and times to the answer."""
        loop = asyncio.get_running_loop()
        begin = [loop.create_connection(lambda: Connection(self), "127.0.0.1", port) for _ in range(_CONNECTIONS)]
        opened = [await connection for connection in begin]
        self._begun = time.monotonic_ns()
        while not self._done.done():
            self._send_due()
            await asyncio.sleep(_TICK_S if self._rate else _EVERY_S)
            self._progress()
        self._done.result()
        seconds = (time.monotonic_ns() - self._begun) / 1e9
        for transport, _ in opened:
            transport.abort()
        delays = sorted(self._delays)
        reply(
            count=self._count,
            per_s=self._count / seconds,
            **{f"p{share}_ms": percentile(delays, share / 100) for share in (50, 99)},
        )

    def idle(self, connection: Connection) -> None:
        """It may send."""
        self._idle.append(connection)
        if self._begun:
            self._send_due()

    def answered(self, nanoseconds: int) -> None:
        """A 201."""
        self._delays.append(nanoseconds / 1e6)
        if len(self._delays) == self._count and not self._done.done():
            self._done.set_result(None)

    def failed(self, words: bytes) -> None:
        """Anything else."""
        if not self._done.done():
            self._done.set_exception(RuntimeError(f"{words[:400]!r}"))

    def _send_due(self) -> None:
        now = time.monotonic_ns()
        while self._idle and self._sent < self._count:
            due = self._begun + int(self._sent / self._rate * 1e9) if self._rate else now
            if due > now:
                return
            self._idle.popleft().send(self._paths[self._sent % len(self._paths)], due)
            self._sent += 1

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._told_at > _EVERY_S:
            self._told_at = now
            reply(progress=len(self._delays))


async def post(endpoints: list[str], authorization: str, port: int, count: int, rate: float | None = None) -> None:
    """The command."""
    await Senders(endpoints, authorization, count, rate).run(port)


if __name__ == "__main__":
    reply(ready=True)
    for line in sys.stdin:
        command = json.loads(line)
        command.pop("do")
        command["endpoints"] = Path(command["endpoints"]).read_text("ascii").split()
        uvloop.run(post(**command))
