"""A connection without a socket: what it writes is read as frames, what it is to read is fed to it."""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import hpack

from clarion.ports import BatchRequest, HttpBatch, HttpResponse
from clarion.transport.http2 import Limits
from clarion.transport.http2.call import Call
from clarion.transport.http2.connection import Connection
from clarion.transport.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Code,
    Setting,
    frame,
    settings_frame,
)

ORIGIN = "https://push.example"
PSEUDO = ((":method", "POST"), (":scheme", "https"), (":authority", "push.example"))
SHARED = (("authorization", "bearer " + "t" * 180), ("apns-topic", "com.example.shop"), ("apns-push-type", "alert"))
BODY = b'{"aps":{"alert":"Your order is on its way"}}'

ACKNOWLEDGED = frame(SETTINGS, ACK, 0)
OK = b"\x88"  # :status 200 out of the static table


def requests_of(count: int, body: bytes = BODY, prefix: str = "") -> list[BatchRequest]:
    """Every one is unlike the others: path, own header and body name its number."""
    return [
        BatchRequest(f"/3/device/{prefix}{number}", (("apns-id", f"{prefix}{number}"),), b"%d " % number + body)
        for number in range(count)
    ]


def batch_of(count: int, body: bytes = BODY, origin: str = ORIGIN) -> HttpBatch:
    return HttpBatch.of(origin, SHARED, requests_of(count, body))


class Frame(NamedTuple):
    """As it was on the wire."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Wire:
    """Stands where the socket was."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.writes = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data
        self.writes += 1

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class Rig:
    """A connection and everything that its owner hears of it. `settled` unless told otherwise."""

    def __init__(
        self, settings: Mapping[int, int] | None = None, limits: Limits | None = None, *, cautious: bool = False
    ) -> None:
        self.wire = Wire()
        self.back: list[Call] = []
        self.ended: str | None = None
        self.connection = Connection(self, PSEUDO, limits or Limits(), cautious=cautious)
        self.connection.connection_made(self.wire)  # type: ignore[arg-type] # of the shape that is used
        self._taken = 0
        self._table = hpack.Decoder()
        self.read_hello()
        if settings is not None:
            self.feed(settings_frame({Setting(key): value for key, value in settings.items()}), ACKNOWLEDGED)
            assert self.frames() == [Frame(SETTINGS, ACK, 0, b"")]

    # --- the owner ----------------------------------------------------------------------------------------------------

    def refill(self, connection: Connection) -> None:
        assert connection is self.connection

    def returned(self, call: Call) -> None:
        self.back.append(call)

    def lost(self, connection: Connection, reason: str) -> None:
        assert (connection, self.ended) == (self.connection, None)
        self.ended = reason

    # --- the peer -----------------------------------------------------------------------------------------------------

    def read_hello(self) -> None:
        assert self.wire.written.startswith(PREFACE)
        self._taken = len(PREFACE)
        [settings, widened] = self.frames()
        assert dict(struct.iter_unpack(">HI", settings.payload)) == {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.ENABLE_PUSH: 0,
            Setting.MAX_HEADER_LIST_SIZE: 16_384,
        }
        assert widened.stream == 0

    def feed(self, *parts: bytes, piece: int = 1 << 20) -> None:
        """Give these bytes to be read, no more than `piece` at a time."""
        data = b"".join(parts)
        while data:
            room = self.connection.get_buffer(-1)
            size = min(len(room), len(data), piece)
            room[:size] = data[:size]
            self.connection.buffer_updated(size)
            data = data[size:]

    def frames(self) -> list[Frame]:
        """What was written since the last call."""
        found = []
        data = bytes(self.wire.written)
        while self._taken < len(data):
            head, flags, stream = struct.unpack_from(">IBI", data, self._taken)
            start, self._taken = self._taken + 9, self._taken + 9 + (head >> 8)
            found.append(Frame(head & 0xFF, flags, stream, data[start : self._taken]))
        assert self._taken == len(data)
        return found

    def requests(self, written: Sequence[Frame] | None = None) -> dict[int, tuple[list[tuple[str, str]], bytes, bool]]:
        """Headers, body so far and whether it is whole, by stream, as a peer's HPACK decoder understands them."""
        found: dict[int, tuple[list[tuple[str, str]], bytes, bool]] = {}
        block = b""
        for each in self.frames() if written is None else written:
            if each.kind in (HEADERS, CONTINUATION):
                block += each.payload
                if each.kind == HEADERS:
                    ended = bool(each.flags & END_STREAM)
                if each.flags & END_HEADERS:
                    found[each.stream] = (list(self._table.decode(block)), b"", ended)
                    block = b""
            elif each.kind == DATA:
                headers, body, _ = found.get(each.stream, ([], b"", False))
                found[each.stream] = (headers, body + each.payload, bool(each.flags & END_STREAM))
        return found

    def table_size(self, size: int) -> None:
        """What this peer's decoder allows from now on."""
        self._table.max_allowed_table_size = size

    # --- requests -----------------------------------------------------------------------------------------------------

    def send(self, count: int, body: bytes = BODY) -> Call:
        """Begin a batch; what there is no room for stays pending."""
        return self.go_on(call_of(batch_of(count, body)))

    def go_on(self, call: Call) -> Call:
        if room := self.connection.room():
            self.connection.send(call, room)
            self.connection.flush()
        return call


def call_of(batch: HttpBatch) -> Call:
    return Call(batch, asyncio.get_running_loop().create_future())


def answer(stream: int, block: bytes = OK, body: bytes = b"") -> bytes:
    """A whole answer."""
    if not body:
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
    return frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, body)


def statuses(answers: Sequence[HttpResponse | None]) -> list[int | None]:
    return [each and each.status for each in answers]


def goodbye(rig: Rig) -> Code:
    """The error code with which the connection ended itself."""
    [last] = [each for each in rig.frames() if each.kind == GOAWAY]
    return Code(int.from_bytes(last.payload[4:8], "big"))


def resets(rig: Rig) -> dict[int, Code]:
    return {each.stream: Code(int.from_bytes(each.payload, "big")) for each in rig.frames() if each.kind == RST_STREAM}
