"""A running push service and the devices that connect to it: a small autopush client over real sockets."""

import asyncio
import base64
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.api.protocol import protocol_of
from clarion.config import Settings
from clarion.crypto.android import AndroidIds
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.p256 import KeyPair, load_private
from clarion.crypto.signing import Signer
from clarion.errors import Unavailable
from clarion.gateway import Gateway, Limits
from clarion.model import Millis
from clarion.ports import Bus, HttpRequest, HttpResponse, PushStore
from clarion.testing import ManualClock, MemoryStore
from clarion.transport.bus import LocalBus

ORIGIN = "http://push.test"
SECRETS = [b"s" * 32]
PATIENCE_S = 5.0


class Closed(Exception):
    """The server closed the socket."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


@dataclass
class Device:
    """Speaks autopush as a browser does."""

    url: str
    uaid: str | None = None
    endpoints: dict[str, str] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None
    _socket: aiohttp.ClientWebSocketResponse | None = None

    @property
    def socket(self) -> aiohttp.ClientWebSocketResponse:
        assert self._socket is not None
        return self._socket

    async def connect(self, **options: Any) -> "Device":
        self._session = aiohttp.ClientSession()
        options = {"protocols": ("push-notification",), "max_msg_size": 0} | options
        try:
            self._socket = await self._session.ws_connect(self.url, **options)
        except BaseException:
            await self._session.close()
            raise
        return self

    async def say(self, message: Mapping[str, Any]) -> None:
        await self.socket.send_str(json.dumps(message))

    async def hear(self, wait_s: float = PATIENCE_S) -> Any:
        """The next message. Raises Closed, or TimeoutError when there is none."""
        frame = await asyncio.wait_for(self.socket.receive(), wait_s)
        if frame.type is aiohttp.WSMsgType.TEXT:
            return json.loads(frame.data)
        raise Closed(self.socket.close_code, str(frame.extra))

    async def ask(self, message: Mapping[str, Any]) -> Any:
        await self.say(message)
        return await self.hear()

    async def hello(self, **more: Any) -> Any:
        message = {"messageType": "hello", "use_webpush": True, "broadcasts": {}}
        answer = await self.ask(message | ({"uaid": self.uaid} if self.uaid else {}) | more)
        self.uaid = answer["uaid"]
        return answer

    async def register(self, channel_id: str | None = None, **more: Any) -> str:
        """The endpoint of a new channel."""
        channel_id = channel_id or str(uuid4())
        answer = await self.ask({"messageType": "register", "channelID": channel_id} | more)
        assert (answer["messageType"], answer["channelID"], answer["status"]) == ("register", channel_id, 200)
        self.endpoints[channel_id] = answer["pushEndpoint"]
        return str(answer["pushEndpoint"])

    async def ack(self, *notifications: Mapping[str, Any], code: int = 100) -> None:
        updates = [{"channelID": each["channelID"], "version": each["version"], "code": code} for each in notifications]
        await self.say({"messageType": "ack", "updates": updates})

    async def silence(self) -> bool:
        """Nothing comes. Asked by a command, whose answer would come after it."""
        answer = await self.ask({"messageType": "unregister", "channelID": str(uuid4())})
        return bool(answer["messageType"] == "unregister")

    async def closed(self) -> int | None:
        """The close code, when the server closes next."""
        try:
            message = await self.hear()
        except Closed as closed:
            return closed.code
        raise AssertionError(f"not closed, but {message}")

    async def leave(self) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._session is not None:
            await self._session.close()

    async def back(self) -> "Device":
        """Connect again and say hello."""
        await self.leave()
        await self.connect()
        await self.hello()
        return self


class Meddler:
    """A push store that counts what is asked, fails when told, and lets something happen before it answers."""

    def __init__(self, inner: PushStore) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.calls.append(name)
            if name in self.broken:
                raise Unavailable("the database is away", retry_after=7)
            if name in self.before:
                await self.before.pop(name)()
            return await getattr(self._inner, name)(*arguments)

        return call


@dataclass
class PushService:
    """A gateway, and the devices that connect to it."""

    gateway: Gateway
    store: PushStore
    clock: ManualClock
    origin: str
    _stack: AsyncExitStack

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.gateway.port}/"

    async def device(self, **options: Any) -> Device:
        """Connected, silent."""
        device = await Device(self.url).connect(**options)
        self._stack.push_async_callback(device.leave)
        return device

    async def subscribed(self, **register: Any) -> tuple[Device, str]:
        """A device with one channel, and its endpoint."""
        device = await self.device()
        await device.hello()
        return device, await device.register(**register)

    async def post(self, endpoint: str, body: bytes = b"", ttl: int | None = 60, **headers: str) -> HttpResponse:
        """What a sender is answered. Header names with `_` for `-`."""
        [response] = await self.gateway.accept([request(endpoint, body, ttl, **headers)])
        return response

    async def push(self, endpoint: str, body: bytes = b"", ttl: int = 60, **headers: str) -> HttpResponse:
        """`post`, and it is accepted."""
        response = await self.post(endpoint, body, ttl, **headers)
        assert response.status == 201, response.body
        return response


def new_settings(origin: str = ORIGIN, **more: Any) -> Settings:
    return Settings(public_endpoint_url=origin, **more)


def new_gateway(
    store: PushStore, clock: ManualClock, settings: Settings, bus: Bus | None = None, **options: Any
) -> Gateway:
    signer = Signer(SECRETS)
    ids = AndroidIds(SECRETS)
    return Gateway(settings, store, bus or LocalBus(), clock, EndpointTokens(SECRETS), signer, ids, **options)


@asynccontextmanager
async def push_service(
    store: PushStore | None = None,
    clock: ManualClock | None = None,
    bus: Bus | None = None,
    origin: str = ORIGIN,
    capacity: int = 1_000,
    tls: Mapping[str, Any] | None = None,
    gcm_tls: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    **settings: Any,
) -> AsyncIterator[PushService]:
    """A gateway that listens for devices, on a port of its own; messages are handed in without HTTP."""
    clock = clock or ManualClock()
    store = store or MemoryStore(clock).push
    async with AsyncExitStack() as stack:
        gateway = new_gateway(store, clock, new_settings(origin, **settings), bus, capacity=capacity, limits=limits)
        await gateway.start("127.0.0.1", 0, tls=tls, gcm_tls=gcm_tls)
        stack.push_async_callback(gateway.close)
        yield PushService(gateway, store, clock, origin, stack)


@asynccontextmanager
async def http_server(app: Any, listening: socket.socket) -> AsyncIterator[None]:
    """An ASGI app over HTTP, in this loop, as `bootstrap` has it."""
    server = uvicorn.Server(uvicorn.Config(app, http=protocol_of(ORIGIN), log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class Http(NamedTuple):
    """A push service whose endpoint is on a port of this machine, and a client to it. The clock shows the real time."""

    service: PushService
    client: aiohttp.ClientSession


@asynccontextmanager
async def push_service_over_http(store: PushStore | None = None, **options: Any) -> AsyncIterator[Http]:
    """`options`: see `push_service`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        clock = ManualClock(int(time.time() * 1000))
        async with (
            push_service(store, clock, origin=origin, **options) as service,
            http_server(service.gateway.endpoint_app, listening),
            aiohttp.ClientSession() as client,
        ):
            yield Http(service, client)


def request(
    endpoint: str,
    body: bytes = b"",
    ttl: int | None = 60,
    id: bytes | None = None,
    method: str = "POST",
    **headers: str,
) -> HttpRequest:
    """For `accept`. Header names with `_` for `-`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if ttl is not None:
        sent["TTL"] = str(ttl)
    if body:
        sent.setdefault("Content-Encoding", "aes128gcm")
    return HttpRequest(method, endpoint, sent, body, id)


def vapid(pair: KeyPair, audience: str, now: Millis, **claims: Any) -> str:
    """An `Authorization`, made with PyJWT and not with our own code; `claims` replace or, when None, remove."""
    said = {"aud": audience, "exp": now // 1000 + 3600, "sub": "mailto:ops@example.com"} | claims
    token = jwt.encode({k: v for k, v in said.items() if v is not None}, _signing(pair), "ES256")
    return f"vapid t={token},k={pair.public_text}"


def _signing(pair: KeyPair) -> ec.EllipticCurvePrivateKey:
    return load_private(pair.private)


def data_of(notification: Mapping[str, Any]) -> bytes:
    text = notification["data"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def random_body(size: int = 120) -> bytes:
    return secrets.token_bytes(size)


async def hear_all(device: Device, count: int) -> Sequence[Any]:
    return [await device.hear() for _ in range(count)]
