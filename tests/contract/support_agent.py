"""What agent tests share: a state, payloads, a screen that records, and a server that says what a test tells it to."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from clarion.agent.agent import Agent
from clarion.agent.card import Card
from clarion.agent.options import Options
from clarion.agent.screen import Answer, Answered, ScreenAway
from clarion.agent.state import State
from clarion.crypto import base64url
from clarion.crypto.p256 import KeyPair
from clarion.crypto.webpush import Receiver, encrypt
from clarion.wire.autopush import Notification, encode
from clarion.wire.payload import WebPayload

PATIENCE_S = 20.0
CHANNEL = "5b3f7c1e-8d0a-4a57-9d4e-2f6c1b0a9e8d"


def payload(id: str = "d1", **more: Any) -> WebPayload:
    """A delivery as the server composes it."""
    told = {
        "id": id,
        "receipt": f"receipt of {id}",
        "receipts_url": "http://127.0.0.1:1/v1/receipts",
        "title": f"Title {id}",
        "body": "Body",
        "url": "https://shop.example/order",
        "icon": None,
        "image": None,
        "badge": None,
        "tag": id,
        "vibrate": [],
        "silent": False,
        "require_interaction": False,
        "actions": [],
        "lock_screen": "show",
        "data": {},
        "category": "orders",
        "class": "informational",
    }
    return msgspec.convert(told | more, WebPayload)


def pushed(receiver: Receiver, plain: bytes | WebPayload, version: str = "v1", **headers: str) -> Notification:
    """As it comes over the socket."""
    if isinstance(plain, WebPayload):
        plain = msgspec.json.encode(plain)
    data = base64url.encode(encrypt(plain, receiver.p256dh, receiver.auth))
    return Notification(channel_id=CHANNEL, version=version, data=data, headers={"encoding": "aes128gcm"} | headers)


class RecordingScreen:
    """A screen that keeps what it is given. `refuse` says what it raises instead; `lock` is what it tells."""

    def __init__(self, *, in_place: bool = False, lock: bool | None = False) -> None:
        self.in_place = in_place
        self.lock = lock
        self.cards: list[Card] = []
        self.taken_down: list[str] = []
        self.away = False
        self.refuse: Callable[[Card], Exception | None] = lambda _: None
        self.earlier: Mapping[str, str] = {}
        self._answered: Answered = lambda _: None

    async def ready(self, answered: Answered, earlier: Mapping[str, str]) -> None:
        if self.away:
            raise ScreenAway("nobody there")
        self._answered, self.earlier = answered, dict(earlier)

    async def show(self, card: Card) -> str | None:
        refusal = self.refuse(card)
        if refusal is not None:
            raise refusal
        self.cards.append(card)
        return f"handle of {card.title}"

    async def take_down(self, place: str) -> None:
        self.taken_down.append(place)

    async def locked(self) -> bool | None:
        return self.lock

    def answer(self, card: Card, *, clicked: bool = True, action: str | None = None) -> None:
        self._answered(Answer(card.id, clicked, action))

    @property
    def titles(self) -> list[str]:
        return [card.title for card in self.cards]


class Soon(random.Random):
    """Chance that always falls on the shortest wait."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


class Scripted:
    """A Clarion server and its push service, which answer what a test wants. `sockets` get each new connection."""

    def __init__(self) -> None:
        self.vapid = KeyPair.generate().public_text
        self.uaids = iter(f"{number:032x}" for number in range(1, 1000))
        self.registrations: list[dict[str, Any]] = []
        self.who: list[dict[str, str]] = []
        self.receipts: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self.answers: dict[str, list[web.StreamResponse | Callable[[], web.StreamResponse]]] = {}
        self.pongs: list[bytes] = []
        self.greeting = {"status": 200, "use_webpush": True, "broadcasts": {}}
        self.reads = True
        self.connections: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.known: set[str] = set()
        self.origin = ""
        self.handshakes = 0

    def once(self, path: str, *responses: Callable[[], web.StreamResponse]) -> None:
        """What the next calls of a path are answered, in place of the usual."""
        self.answers.setdefault(path, []).extend(responses)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/push":
            self.handshakes += 1
        waiting = self.answers.get(request.path)
        if waiting:
            response = waiting.pop(0)
            return response() if callable(response) else response
        routes: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            "/v1/sdk/config": self._config,
            "/v1/sdk/devices": self._register,
            "/v1/receipts": self._receipts,
            "/push": self._push,
        }
        return await routes[request.path](request)

    async def _config(self, _: web.Request) -> web.Response:
        push_url = self.origin.replace("http", "ws", 1) + "/push"
        return web.json_response(
            {"project": "Shop", "vapid_public_key": self.vapid, "push_url": push_url, "categories": []}
        )

    async def _register(self, request: web.Request) -> web.Response:
        self.registrations.append(await request.json())
        told = {name: value for name, value in request.headers.items() if name.startswith("Clarion-")}
        self.who.append(told)
        answer: dict[str, Any] = {"id": "device-1", "user_id": told.get("Clarion-User", "anonymous-1")}
        if not told:
            answer["user_token"] = f"secret {len(self.registrations)}"
        return web.json_response(answer, status=201)

    async def _receipts(self, request: web.Request) -> web.Response:
        batch = (await request.json())["receipts"]
        self.receipts += batch
        return web.json_response({"accepted": len(batch), "duplicates": 0, "errors": []}, status=202)

    async def _push(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("push-notification",), autoping=self.reads)
        await socket.prepare(request)
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                self.pongs.append(frame.data)  # there is nothing else with `reads` off
                continue
            message = json.loads(frame.data)
            self.heard.append(message)
            await self._respond(socket, message)
        return socket

    async def _respond(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        if message["messageType"] == "hello":
            uaid = message.get("uaid")
            if uaid not in self.known:
                uaid = next(self.uaids)
                self.known.add(uaid)
            await socket.send_json({"messageType": "hello", "uaid": uaid} | self.greeting)
            self.connections.put_nowait(socket)
        if message["messageType"] == "register":
            channel = message["channelID"]
            endpoint = f"{self.origin}/wpush/{channel}"
            await socket.send_json(
                {"messageType": "register", "channelID": channel, "status": 200, "pushEndpoint": endpoint}
            )

    async def connection(self) -> web.WebSocketResponse:
        """The next one that has said hello."""
        return await asyncio.wait_for(self.connections.get(), PATIENCE_S)

    def said(self, kind: str) -> list[dict[str, Any]]:
        """The device's messages of that kind."""
        return [message for message in self.heard if message["messageType"] == kind]


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """A server on a port of its own."""
    server = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(
    folder: Path, screen: RecordingScreen, **options: Any
) -> AsyncIterator[tuple[Agent, State, "asyncio.Task[None]"]]:
    """An agent in this loop; `options` are those of `Options`."""
    told = Options(**({"key": "pk_test", "state": folder / "agent.db"} | options))
    state = State(told.state)
    async with aiohttp.ClientSession() as http:
        agent = Agent(told, state, screen, http, chance=Soon())
        task = asyncio.create_task(agent.run())
        try:
            yield agent, state, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            state.close()


async def push(socket: web.WebSocketResponse, state: State, id: str, **more: Any) -> None:
    message = pushed(state.kept.receiver, payload(id, **more), version=f"version of {id}")
    await socket.send_str(encode(message).decode())
