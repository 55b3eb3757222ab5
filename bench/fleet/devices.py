"""Devices that hold a socket each and do what Firefox does: hello, register, acknowledge every message by itself.

One epoll over plain sockets and frames made by hand, because whoever makes the load must not be what is measured. Each
5,000 connections leave from another address of 127.0.0.0/8, so that the ports of one do not run out.
"""

import json
import os
import select
import socket
import sys
import time
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any
from uuid import uuid4

from fleet.control import percentile, reply

_A_SOURCE = 5_000  # connections
_AT_ONCE = 256  # handshakes
_CHUNK = 65_536
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: push-notification\r\n\r\n"
)
_STDIN = 0
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_NOTIFICATION = b'{"messageType":"notification"'
_VERSION, _CHANNEL, _DATA = b'"version":"', b'"channelID":"', b'"data":"'
_STAMP = 12  # characters of base64 that hold the first 8 bytes: when it was sent, nanoseconds of the monotonic clock
_EVERY_S = 0.2


def frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame: masked with zeros, which changes nothing (RFC 6455 section 5.3)."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


def frames(buffer: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames of a server in `buffer`, as opcode and payload, and what is left over."""
    found, at = [], 0
    while len(buffer) >= at + 2:
        size, start = buffer[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(buffer[at + 2 : at + 4]), at + 4
        elif size == 127:
            size, start = int.from_bytes(buffer[at + 2 : at + 10]), at + 10
        if len(buffer) < start + size:
            break
        found.append((buffer[at] & 15, buffer[start : start + size]))
        at = start + size
    return found, buffer[at:]


class Device:
    """`uaid` and `endpoint` are kept while it is not connected."""

    __slots__ = ("buffer", "channel", "endpoint", "ready", "socket", "uaid")

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.channel = str(uuid4())
        self.uaid: str | None = None
        self.endpoint: str | None = None
        self.buffer = b""
        self.ready = False


class Fleet:
    """All devices of this process."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._poll = select.epoll()
        self._poll.register(_STDIN, select.EPOLLIN)
        self._devices: list[Device] = []
        self._by_fd: dict[int, Device] = {}
        self._opened = os.getpid() * 7 % 200 * _A_SOURCE  # two fleets do not share their sources
        self._to_open: list[Device] = []
        self._unready = 0
        self._key: str | None = None
        self._goal: tuple[str, int] | None = None
        self._begun = self._told_at = 0.0
        self._received = 0
        self._delays: list[float] = []

    def run(self) -> None:
        """Until stdin ends."""
        reply(ready=True)
        while True:
            for fd, _ in self._poll.poll(_EVERY_S):
                if fd == _STDIN:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    command = json.loads(line)
                    getattr(self, command.pop("do"))(**command)
                else:
                    self._readable(fd)
            self._open_more()
            self._tell()

    # --- commands ---

    def connect(self, count: int, key: str | None = None, again: bool = False) -> None:
        """New devices, registered when there is a VAPID `key`; or those that were there before."""
        self._key = key
        fresh = [] if again else [Device() for _ in range(count)]
        self._devices += fresh
        self._to_open = [each for each in self._devices if each.socket is None][:count]
        self._unready = len(self._to_open)
        self._aim("connected", self._unready)

    def drop(self, count: int) -> None:
        """The first `count` devices go away."""
        for device in self._devices[:count]:
            self._close(device)
        reply(dropped=count)

    def endpoints(self, path: str, count: int) -> None:
        """Write the addresses of the first `count` devices to a file."""
        known = [each.endpoint for each in self._devices[:count] if each.endpoint]
        Path(path).write_text("\n".join(known), "ascii")
        reply(endpoints=len(known))

    def receive(self, count: int) -> None:
        """Answer when so many messages have come since the last `receive`."""
        self._aim("received", count)

    def _aim(self, what: str, count: int) -> None:
        self._goal = (what, count)
        self._begun = time.monotonic()

    def _tell(self) -> None:
        if self._goal is None:
            return
        what, goal = self._goal
        reached = self._received if what == "received" else goal - self._unready
        now = time.monotonic()
        if reached < goal:
            if now - self._told_at > _EVERY_S:
                self._told_at = now
                reply(progress=reached)
            return
        self._goal = None
        delays = sorted(self._delays)
        reply(
            count=reached,
            seconds=now - self._begun,
            **{f"p{share}_ms": percentile(delays, share / 100) for share in (50, 99)},
        )
        if what == "received":
            self._received, self._delays = 0, []

    # --- sockets ---

    def _open_more(self) -> None:
        while self._to_open and self._unready - len(self._to_open) < _AT_ONCE:
            self._open(self._to_open.pop())

    def _open(self, device: Device) -> None:
        sock = socket.socket()
        number = self._opened // _A_SOURCE
        self._opened += 1
        sock.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
        sock.connect(self._server)  # on this machine it is done at once
        sock.setblocking(False)
        sock.send(_UPGRADE)
        device.socket, device.buffer, device.ready = sock, b"", False
        self._by_fd[sock.fileno()] = device
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def _close(self, device: Device) -> None:
        if device.socket is not None:
            del self._by_fd[device.socket.fileno()]
            device.socket.close()
            device.socket = None

    def _readable(self, fd: int) -> None:
        device = self._by_fd.get(fd)
        if device is None or device.socket is None:
            return
        try:
            data = device.socket.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            raise SystemExit("the server cut a connection off")
        if device.buffer:
            data = device.buffer + data
        device.buffer = self._take(device, device.socket, data)

    def _take(self, device: Device, sock: socket.socket, data: bytes) -> bytes:
        """Answer what came; what is left over."""
        if data.startswith(b"HTTP/1.1 "):
            head, ended, data = data.partition(b"\r\n\r\n")
            if not ended:
                return head
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(f"the server refused the handshake: {head!r}")
            hello = {"messageType": "hello", "use_webpush": True, "broadcasts": {}}
            sock.send(frame(_TEXT, json.dumps(hello | ({"uaid": device.uaid} if device.uaid else {})).encode()))
        answers = []
        whole, rest = frames(data)
        for opcode, payload in whole:
            if opcode == _TEXT and payload.startswith(_NOTIFICATION):
                answers.append(self._acknowledge(payload))
            elif opcode == _TEXT:
                answers.append(self._on_message(device, json.loads(payload)))
            elif opcode == _PING:
                answers.append(frame(_PONG, payload))
            elif opcode == _CLOSE:
                raise SystemExit(f"the server closed a socket: {payload!r}")
        if answers:
            sock.send(b"".join(answers))
        return rest

    def _acknowledge(self, payload: bytes) -> bytes:
        self._received += 1
        version = payload[(at := payload.index(_VERSION) + len(_VERSION)) : payload.index(b'"', at)]
        channel = payload[(at := payload.index(_CHANNEL) + len(_CHANNEL)) : at + 36]
        at = payload.index(_DATA) + len(_DATA)
        sent_at = int.from_bytes(urlsafe_b64decode(payload[at : at + _STAMP])[:8])
        self._delays.append((time.monotonic_ns() - sent_at) / 1e6)
        update = b'{"messageType":"ack","updates":[{"channelID":"%b","version":"%b","code":100}]}'
        return frame(_TEXT, update % (channel, version))

    def _on_message(self, device: Device, message: dict[str, Any]) -> bytes:
        if message["messageType"] == "hello":
            device.uaid = message["uaid"]
            if self._key is not None and device.endpoint is None:
                register = {"messageType": "register", "channelID": device.channel, "key": self._key}
                return frame(_TEXT, json.dumps(register).encode())
        else:
            device.endpoint = message["pushEndpoint"]
        if not device.ready:
            device.ready = True
            self._unready -= 1
        return b""


if __name__ == "__main__":
    Fleet(sys.argv[1], int(sys.argv[2])).run()
