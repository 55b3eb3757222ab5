"""A connection of HTTP/2 (RFC 9113) on PyPI `h2`: reads whole requests, writes what replies ask for, once a turn."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from clarion.testing.simulators.exchange import MAX_BODY, Drop, GoAway, Peer, Reply, Request, Reset, Respond, Wait

_WINDOW: Final = 2**30
_STREAM_WINDOW: Final = 2**20
_FORGET_EVERY: Final = 256


class _Machine(H2Connection):
    """h2, without its own look at how many streams are open.

    It counts them by walking over all of them at every request, and ends the connection when there are too many. We
    count by ourselves and refuse only the stream. The walk also forgets closed streams, so it is done now and then.
    """

    _requests = 0

    @property
    def open_inbound_streams(self) -> int:
        self._requests += 1
        if self._requests % _FORGET_EVERY == 0:
            super().open_inbound_streams  # noqa: B018 - for what it does
        return -1


class _Incoming:
    """A request that has not ended yet."""

    __slots__ = ("body", "fields")

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        self.fields = fields
        self.body = b""


class Http2Connection(asyncio.Protocol):
    """`Peer` of a client that speaks HTTP/2. `enqueue` takes each request; `closed` is told of the end.

    It allows `streams` requests at a time and refuses what is more with REFUSED_STREAM (§5.1.2).
    """

    http2 = True

    def __init__(self, enqueue: Callable[[Request], None], closed: Callable[[Peer], None]) -> None:
        self.context: Any = None
        self.certificate: bytes | None = None
        self.streams = 1
        self._enqueue = enqueue
        self._closed = closed
        self._machine = _Machine(H2Configuration(client_side=False, header_encoding=None))
        self._incoming: dict[int, _Incoming] = {}
        self._unanswered: set[int] = set()
        self._unsent: dict[int, bytes] = {}  # of responses that wait for the client's window
        self._received = 0
        self._last = 0  # the highest stream that was processed
        self._leaving: int | None = None  # the last stream that still counts, once GOAWAY is said
        self._frames = b""
        self._dropped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        machine = self._machine
        machine.local_settings.initial_window_size = _STREAM_WINDOW
        machine.local_settings.max_concurrent_streams = self.streams
        machine.local_settings.acknowledge()
        machine.initiate_connection()
        machine.increment_flow_control_window(_WINDOW)
        self.flush()

    def connection_lost(self, _error: Exception | None) -> None:
        self._unanswered.clear()
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._machine.receive_data(data):
                self._on(event)
        except ProtocolError:
            self.flush()
            self._transport.close()
        else:
            self.flush()

    def awaits(self, stream: int) -> bool:
        return stream in self._unanswered

    def flush(self) -> None:
        if self._dropped:
            self._transport.abort()
            return
        data = self._machine.data_to_send() + self._frames
        self._frames = b""
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._leaving is not None and not self._unanswered and not self._unsent:
            self._transport.close()

    def reply(self, stream: int, reply: Reply) -> None:
        match reply:
            case Respond():
                self._processed(stream)
                self._respond(stream, reply)
            case Reset(code):
                self._processed(stream)
                self._reset(stream, code)
            case GoAway(data, last):
                self._turn_away(stream, data, last)
            case Drop():
                self.drop()
            case Wait():
                self._processed(stream)

    def allow_streams(self, number: int) -> None:
        self.streams = number
        self._machine.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: number})

    def go_away(self, data: bytes) -> None:
        self._leave(data)

    def drop(self) -> None:
        self._dropped = True
        self._unanswered.clear()

    def _on(self, event: Event) -> None:
        match event:
            case DataReceived(stream_id=stream, data=data, flow_controlled_length=length):
                self._on_data(stream, data, length)
            case RequestReceived(stream_id=stream, headers=headers):
                self._on_headers(stream, headers)
            case StreamEnded(stream_id=stream):
                self._on_end(stream)
            case StreamReset(stream_id=stream):
                self._forget(stream)
            case WindowUpdated() | RemoteSettingsChanged():
                for waiting in list(self._unsent):
                    self._send_body(waiting)
            case ConnectionTerminated():
                self._leaving = self._last if self._leaving is None else self._leaving
            case _:
                pass

    def _on_headers(self, stream: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self._leaving is not None:
            return  # a stream after GOAWAY is ignored (§6.8)
        if len(self._unanswered) >= self.streams:
            self._machine.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return
        self._unanswered.add(stream)
        self._incoming[stream] = _Incoming(headers)

    def _on_data(self, stream: int, data: bytes, length: int) -> None:
        self._received += length
        if self._received > _WINDOW // 2:
            self._machine.increment_flow_control_window(self._received)
            self._received = 0
        incoming = self._incoming.get(stream)
        if incoming is None:
            return
        incoming.body += data
        if len(incoming.body) > MAX_BODY:
            del self._incoming[stream]
            self._respond(stream, Respond(413))

    def _on_end(self, stream: int) -> None:
        incoming = self._incoming.pop(stream, None)
        if incoming is None:
            return
        method = path = ""
        fields = []
        for name, value in incoming.fields:
            if name == b":method":
                method = value.decode("latin-1")
            elif name == b":path":
                path = value.decode("latin-1")
            elif name[0] != 58:  # noqa: PLR2004 - a colon: a pseudo-header
                fields.append((name.decode("latin-1"), value.decode("latin-1")))
        self._enqueue(Request(self, stream, method, path, fields, incoming.body))

    def _forget(self, stream: int) -> None:
        self._incoming.pop(stream, None)
        self._unsent.pop(stream, None)
        self._unanswered.discard(stream)

    def _processed(self, stream: int) -> None:
        self._last = max(self._last, stream)

    def _respond(self, stream: int, response: Respond) -> None:
        self._unanswered.discard(stream)
        headers = [(":status", str(response.status)), *response.headers]
        self._machine.send_headers(stream, headers, end_stream=not response.body)
        if response.body:
            self._unsent[stream] = response.body
            self._send_body(stream)

    def _send_body(self, stream: int) -> None:
        """As much as the client's windows allow (§5.2)."""
        machine, rest = self._machine, self._unsent[stream]
        while rest:
            room = min(machine.local_flow_control_window(stream), machine.max_outbound_frame_size)
            if room <= 0:
                break
            machine.send_data(stream, rest[:room], end_stream=len(rest) <= room)
            rest = rest[room:]
        if rest:
            self._unsent[stream] = rest
        else:
            del self._unsent[stream]

    def _reset(self, stream: int, code: int) -> None:
        self._forget(stream)
        self._machine.reset_stream(stream, code)

    def _turn_away(self, stream: int, data: bytes, last: Respond | None) -> None:
        if last is not None:
            self._processed(stream)
            self._respond(stream, last)
        elif stream < self._last:
            # A later stream was processed already, so this one cannot be told apart by its number.
            self._reset(stream, ErrorCodes.REFUSED_STREAM)
        self._leave(data)

    def _leave(self, data: bytes) -> None:
        if self._leaving is not None:
            return
        self._leaving = self._last
        # h2 ends its state machine at its own GOAWAY, and could not answer the streams that are still open.
        self._frames += self._machine.data_to_send()
        self._frames += GoAwayFrame(0, last_stream_id=self._last, error_code=0, additional_data=data).serialize()
        for stream in [open_ for open_ in self._unanswered if open_ > self._last]:
            self._forget(stream)
