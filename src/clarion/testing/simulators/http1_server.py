"""A connection of HTTP/1.1 (RFC 9112) on PyPI `h11`: one request at a time, answered before the next is read."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import h11

from clarion.testing.simulators.exchange import MAX_BODY, Drop, GoAway, Peer, Reply, Request, Reset, Respond, Wait


class Http1Connection(asyncio.Protocol):
    """`Peer` of a client that does not speak HTTP/2. `enqueue` takes each request; `closed` is told of the end."""

    http2 = False

    def __init__(self, enqueue: Callable[[Request], None], closed: Callable[[Peer], None]) -> None:
        self.context: Any = None
        self.certificate: bytes | None = None
        self._enqueue = enqueue
        self._closed = closed
        self._machine = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._unsent = b""
        self._ending = False
        self._dropped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def connection_lost(self, _error: Exception | None) -> None:
        self._dropped = True
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        self._machine.receive_data(data)
        self._read()

    def awaits(self, _stream: int) -> bool:
        return not self._dropped

    def reply(self, _stream: int, reply: Reply) -> None:
        match reply:
            case Respond():
                self._respond(reply)
            case GoAway(last=Respond() as last):
                self._respond(last)
                self._ending = True
            case Reset() | GoAway() | Drop():
                self.drop()
            case Wait():
                pass

    def allow_streams(self, number: int) -> None:
        pass

    def go_away(self, _data: bytes) -> None:
        self._ending = True

    def drop(self) -> None:
        self._dropped = True

    def flush(self) -> None:
        if self._dropped:
            self._transport.abort()
            return
        data, self._unsent = self._unsent, b""
        if data:
            self._transport.write(data)
        if self._ending:
            self._transport.close()
        elif self._machine.our_state is h11.DONE and self._machine.their_state is h11.DONE:
            self._machine.start_next_cycle()
            self._read()

    def _read(self) -> None:
        try:
            while (event := self._machine.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                self._on(event)
        except h11.RemoteProtocolError:
            self._transport.close()

    def _on(self, event: Any) -> None:
        match event:
            case h11.Request():
                self._request = event
                self._body.clear()
            case h11.Data() if len(self._body) <= MAX_BODY:
                self._body += event.data
            case h11.EndOfMessage():
                self._complete()
            case h11.ConnectionClosed():
                self._transport.close()

    def _complete(self) -> None:
        assert self._request is not None
        if len(self._body) > MAX_BODY:
            self._respond(Respond(413))
            self.flush()
            return
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._request.headers]
        method, path = self._request.method.decode("ascii"), self._request.target.decode("ascii")
        self._enqueue(Request(self, 0, method, path, fields, bytes(self._body)))

    def _respond(self, response: Respond) -> None:
        headers = [*response.headers, ("content-length", str(len(response.body)))]
        for event in (
            h11.Response(status_code=response.status, headers=headers),
            h11.Data(data=response.body),
            h11.EndOfMessage(),
        ):
            self._unsent += self._machine.send(event) or b""
        self._ending |= self._machine.our_state is h11.MUST_CLOSE
