"""The demo in a whole world: a shop with its visitor, and a watcher of the live page."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from clarion import demo
from clarion.testing import ManualClock, MemoryStore, SeededChance
from story.world import World

SERVER = "https://clarion.example"
JSON = {"content-type": "application/json"}


class Answer(NamedTuple):
    """What a request got, `json` or `text` as wanted."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Watcher:
    """Reads a stream event by event, and can go away."""

    def __init__(self, app: demo.DemoApp, user: str) -> None:
        self._sent: asyncio.Queue[dict] = asyncio.Queue()
        self._gone = asyncio.Event()
        scope = scope_of("GET", f"/live/events?user={user}")
        self.task = asyncio.ensure_future(app(scope, self._receive, self._sent.put))

    async def _receive(self) -> dict:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self._gone.set()

    async def start(self) -> Answer:
        message = await asyncio.wait_for(self._sent.get(), 5)
        return Answer(message["status"], plain(message["headers"]), b"")

    async def chunk(self) -> str:
        return (await asyncio.wait_for(self._sent.get(), 5)).get("body", b"").decode()

    async def view(self) -> dict:
        while not (chunk := await self.chunk()).startswith("event: story\n"):
            pass
        return json.loads(chunk.split("data: ", 1)[1])

    def unread(self) -> int:
        return self._sent.qsize()


def scope_of(method: str, target: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    path, _, query = target.partition("?")
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": encoded}
    return {**scope, "scheme": "http", **more}


def plain(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}


async def ask(
    app: demo.DemoApp,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    **more: Any,
) -> Answer:
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    await app(scope_of(method, target, headers, **more), receive, send)
    parts = [message.get("body", b"") for message in sent[1:]]
    return Answer(sent[0]["status"], plain(sent[0]["headers"]), b"".join(parts))


class Shop:
    """The demo in a whole world, and one visitor who has opened the page."""

    def __init__(self, world: World, app: demo.DemoApp, visitor: str) -> None:
        self.world, self.app, self.visitor = world, app, visitor
        self.cookie = {"cookie": f"visitor={visitor}"}

    async def post(self, path: str, body: object, **headers: str) -> Answer:
        return await ask(self.app, "POST", path, {**JSON, **self.cookie, **headers}, json.dumps(body).encode())

    async def order(self, product: str = "mug") -> str:
        answer = await self.post("/shop/orders", {"product": product})
        assert answer.status == 201, answer.text
        return answer.json["order"]

    async def happen(self, what: str) -> None:
        answer = await self.post("/shop/happenings", {"what": what})
        assert answer.status == 202, answer.text


@pytest.fixture
async def shop(clock: ManualClock, chance: SeededChance) -> AsyncIterator[Shop]:
    world = await World(MemoryStore(clock), clock, chance).begin("Fjord & Fern")
    await demo.prepare(world, world.project, server_url=SERVER)
    app = demo.create_demo_app(
        world,
        project=world.project,
        public_key=world.founded.public_key,
        server_url=SERVER,
        push_url="ws://127.0.0.1:8701/",
        poll_s=0.001,
    )
    page = await ask(app, "GET", "/shop")
    yield Shop(world, app, page.headers["set-cookie"].split("=", 1)[1].split(";")[0])
    app.stop()
