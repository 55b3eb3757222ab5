"""A small HTTP/2 server on the library h2, which a test tells what to do with each request."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

Script: TypeAlias = Callable[["Session", int, "Asked"], None]


class Asked:
    """A request, whole."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self.headers = dict(headers)
        self.path = self.headers[":path"]
        self.body = b""


def echo(session: "Session", stream: int, asked: Asked) -> None:
    """200 with the path and body as the answer's body."""
    session.answer(stream, asked.path.encode() + b"\n" + asked.body)


class Session(asyncio.Protocol):
    """One connection from a client."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.asked: dict[int, Asked] = {}
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # a socket's
        self.server.sessions.append(self)
        self.server.certificates.append(transport.get_extra_info("peercert"))
        self.server.addresses.append(transport.get_extra_info("sockname")[0])
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=self.server.settings)
        self.h2.initiate_connection()
        self.flush()
        self.server.changed.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.server.sessions.remove(self)
        self.server.changed.set()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.asked[event.stream_id] = Asked(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.asked[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                asked = self.asked.pop(event.stream_id)
                self.server.seen.append(asked.path)
                self.server.script(self, event.stream_id, asked)
        self.flush()
        self.server.changed.set()

    def answer(self, stream: int, body: bytes = b"", status: int = 200) -> None:
        self.h2.send_headers(stream, [(":status", str(status))], end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.flush()

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def goaway(self, last: int) -> None:
        """The rest of the connection is read, and not looked at."""
        self.h2.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=last)
        self.flush()

    def drop(self) -> None:
        """Die without a word."""
        self.flush()
        self.transport.abort()


class Server:
    """Everything that its clients did. `changed` is set whenever something comes, connects or goes."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.settings: dict[int, int] = {}
        self.seen: list[str] = []
        self.sessions: list[Session] = []
        self.addresses: list[str] = []
        self.certificates: list[object] = []
        self.changed = asyncio.Event()
        self.port = 0
        self._listening: list[asyncio.Server] = []

    async def listen(self, tls: ssl.SSLContext | None = None, hosts: tuple[str, ...] = ("127.0.0.1",)) -> None:
        """On the same port as before, if there was one."""
        for host in hosts:
            serving = await asyncio.get_running_loop().create_server(lambda: Session(self), host, self.port, ssl=tls)
            self.port = serving.sockets[0].getsockname()[1]
            self._listening.append(serving)

    def stop(self) -> None:
        """No new connections, and an end of those there are."""
        for serving in self._listening:
            serving.close()
        self._listening.clear()
        for session in list(self.sessions):
            session.drop()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that clients do."""
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(script: Script = echo, **settings: int) -> AsyncIterator[Server]:
    """A running server without TLS; `settings` by their names in lower case."""
    server = Server(script)
    server.settings = {h2.settings.SettingCodes[name.upper()]: value for name, value in settings.items()}
    await server.listen()
    try:
        yield server
    finally:
        server.stop()
        with contextlib.suppress(TimeoutError):
            await server.until(lambda: not server.sessions)


class Resolver(AbstractResolver):
    """Names lead where the test says; `asked` counts the questions."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:  # type: ignore[override]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in self.addresses
        ]

    async def close(self) -> None: ...


class Authority:
    """A certificate authority of the tests' own."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def server(self, name: str = "localhost", alpn: str | None = "h2", *, wants_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        if alpn:
            context.set_alpn_protocols([alpn])
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            self._ca.configure_trust(context)
        return context

    def client(self, *, certificate: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        if certificate:
            self._ca.issue_cert(common_name=certificate).configure_cert(context)
        return context
