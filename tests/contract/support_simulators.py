"""Clients for the simulators that are not ours: httpx for whole exchanges, h2 by itself to see single frames."""

import asyncio
import json
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import httpx
import jwt
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from clarion.testing.simulators.apns import TOPIC, ApnsSimulator
from clarion.testing.simulators.simulator import Simulator

E = TypeVar("E", bound=Event)

TOKEN = "ab" * 32
PATIENCE_S = 60
ALERT = b'{"aps":{"alert":{"title":"Shipped"}}}'


def named(value: object) -> str:
    """What a case of a parametrised test is called: the same in each process, also when it has an object in it."""
    return re.sub(r"<[^>]*>", "…", str(value))


def provider_token(apns: ApnsSimulator, issued: float, *, headers: Any = None, key: Any = None, **claims: Any) -> str:
    """A provider token of the simulator's credential; keyword arguments change claims, None leaves one out."""
    said = {"iss": apns.credential.team_id, "iat": int(issued)} | claims
    return jwt.encode(
        {name: value for name, value in said.items() if value is not None},
        key or apns.credential.key,
        "ES256",
        headers={"kid": apns.credential.key_id} if headers is None else headers,
    )


def push_headers(authorization: str | None, **changed: str | None) -> dict[str, str]:
    """The headers of an ordinary alert; `apns_topic=None` leaves one out."""
    headers: dict[str, str | None] = {
        "authorization": None if authorization is None else f"bearer {authorization}",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in headers.items() if value is not None}


@asynccontextmanager
async def http(simulator: Simulator, *, http2: bool = True, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An httpx client that trusts the simulator."""
    options.setdefault("verify", simulator.authority.client_context())
    async with httpx.AsyncClient(
        http2=http2, http1=not http2, base_url=simulator.url, timeout=PATIENCE_S, **options
    ) as client:
        yield client


class Frames:
    """One HTTP/2 connection, frame by frame. `events` holds everything that came, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, machine: H2Connection) -> None:
        self.machine = machine
        self.events: list[Event] = []
        self.ended = False
        self._reader, self._writer = reader, writer

    def begin(self, method: str, path: str, headers: Mapping[str, str], *, end: bool = False) -> int:
        """The headers of a request; returns its stream. Nothing is written before `flush`."""
        stream = self.machine.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": path}
        self.machine.send_headers(stream, [*pseudo.items(), *headers.items()], end_stream=end)
        return stream

    def ask(self, path: str, headers: Mapping[str, str], body: bytes = ALERT) -> int:
        """A whole POST; returns its stream. Nothing is written before `flush`."""
        stream = self.begin("POST", path, headers)
        self.machine.send_data(stream, body, end_stream=True)
        return stream

    def flush(self) -> None:
        self._writer.write(self.machine.data_to_send())

    async def until(self, done: Callable[["Frames"], Any]) -> Any:
        """Read until `done` answers something; returns that. Fails when the connection ends before."""
        self.flush()
        async with asyncio.timeout(PATIENCE_S):
            while not (answer := done(self)):
                assert not self.ended, f"the connection ended; there came {self.events}"
                data = await self._reader.read(65_536)
                self.ended = not data
                for event in self.machine.receive_data(data) if data else ():
                    self.events.append(event)
                    if isinstance(event, ConnectionTerminated):
                        # RFC 9113 §6.8: what is open is still answered. h2 does not think so.
                        self.machine.state_machine.state = ConnectionState.CLIENT_OPEN
                    if isinstance(event, DataReceived):
                        self.machine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.flush()
        return answer

    async def end(self) -> None:
        """Read until the other side ends the connection."""
        await self.until(lambda frames: frames.ended)

    def all(self, kind: type[E], stream: int | None = None) -> list[E]:
        """The events of a kind, of one stream or of all."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and (stream is None or getattr(event, "stream_id", None) == stream)
        ]

    async def answer(self, stream: int) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a response."""
        await self.until(lambda frames: frames.all(StreamEnded, stream))
        return self.status(stream), self.headers(stream), b"".join(e.data for e in self.all(DataReceived, stream))

    def headers(self, stream: int) -> dict[str, str]:
        [event] = self.all(ResponseReceived, stream)
        return {name.decode(): value.decode() for name, value in event.headers}

    def status(self, stream: int) -> int:
        return int(self.headers(stream)[":status"])

    async def reset(self, stream: int) -> int:
        """The code with which a stream was reset."""
        [event] = await self.until(lambda frames: frames.all(StreamReset, stream))
        return int(event.error_code)

    async def goaway(self) -> ConnectionTerminated:
        [event] = await self.until(lambda frames: frames.all(ConnectionTerminated))
        assert isinstance(event, ConnectionTerminated)
        return event

    async def streams(self) -> int:
        """How many streams the server allows now."""
        await self.until(lambda frames: frames.all(RemoteSettingsChanged))
        return self.machine.remote_settings.max_concurrent_streams


@asynccontextmanager
async def frames(simulator: Simulator, context: ssl.SSLContext | None = None) -> AsyncIterator[Frames]:
    """A connection over TLS that agreed on h2."""
    context = context or simulator.authority.client_context()
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port, ssl=context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    machine = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    machine.initiate_connection()
    connection = Frames(reader, writer, machine)
    try:
        yield connection
    finally:
        writer.close()


class Command:
    """`clarion simulate …` in a process of its own, inside `with`. `about` is what it says of itself."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "clarion", "simulate", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first, self._process.communicate()[1]
        self.about = json.loads(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def end(self) -> dict[str, Any]:
        """As Ctrl+C does; returns the counts that it tells at the end."""
        self._process.send_signal(signal.SIGINT)
        output, errors = self._process.communicate(timeout=PATIENCE_S)
        assert (self._process.returncode, errors) == (0, "")
        return dict(json.loads(output.splitlines()[-1]))

    def client(self, **options: Any) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=self.about["ca_file"])
        return httpx.AsyncClient(
            http2=True, http1=False, verify=context, base_url=self.about["url"], timeout=PATIENCE_S, **options
        )
