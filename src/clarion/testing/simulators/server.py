"""A server over TLS for a `Service`: the requests of one turn of the loop, over all connections, are one batch."""

import asyncio
import ssl
from typing import Any, Final, cast

from clarion.testing.simulators.exchange import Peer, Request, Service
from clarion.testing.simulators.http1_server import Http1Connection
from clarion.testing.simulators.http2_server import Http2Connection

_PREFACE: Final = b"PRI "
"""How a connection of HTTP/2 begins (RFC 9113 §3.4)."""


class Server:
    """HTTP/2, and HTTP/1.1 for who speaks nothing better. `context` brings the certificate."""

    def __init__(self, service: Service, context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.peers: set[Peer] = set()
        self._service = service
        self._context = context
        self._batch: list[Request] = []
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one when `port` is 0."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            lambda: _Door(self), host, port, ssl=self._context, backlog=1024, reuse_address=True
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
            for peer in list(self.peers):
                peer.drop()
                peer.flush()
            await self._server.wait_closed()
            self._server = None

    def enqueue(self, request: Request) -> None:
        """Put a request into the batch of this turn."""
        if not self._batch:
            self._loop.call_soon(self._turn)
        self._batch.append(request)

    def admit(self, transport: asyncio.Transport, *, http2: bool) -> asyncio.Protocol:
        """Give a connection to the protocol that both sides speak; returns that."""
        connection: Any = (Http2Connection if http2 else Http1Connection)(self.enqueue, self.peers.discard)
        connection.certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        connection.streams = self._service.opened(connection)
        self.peers.add(connection)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        return cast("asyncio.Protocol", connection)

    def _turn(self) -> None:
        batch, self._batch = self._batch, []
        for request in batch:
            peer, stream = request.peer, request.stream
            # The answer to one may be the end of the connection, and with it of all that came after.
            if peer.awaits(stream):
                peer.reply(stream, self._service.answer(request))
        self._service.settle()
        for peer in dict.fromkeys(request.peer for request in batch):
            peer.flush()


class _Door(asyncio.Protocol):
    """What a connection is until its protocol is known: by ALPN, or by its first bytes for senders without."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        agreed = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if agreed is not None:
            self._server.admit(self._transport, http2=agreed == "h2")

    def data_received(self, data: bytes) -> None:
        http2 = data.startswith(_PREFACE)
        self._server.admit(self._transport, http2=http2).data_received(data)
