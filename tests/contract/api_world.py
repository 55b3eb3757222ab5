"""The whole door in-process: the real app on the real pipeline, called as an HTTP server would call it."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import uvicorn

from clarion.api.app import create_app
from clarion.api.http import App
from clarion.api.protocol import protocol_of
from clarion.api.services import Services
from clarion.config import Settings
from clarion.crypto import base64url
from clarion.crypto.preferences import PreferencesTokens
from clarion.crypto.signing import Signer
from clarion.crypto.unsubscribe import UnsubscribeTokens
from clarion.crypto.webpush import Receiver
from contract.support_gateway import new_gateway
from story.world import SECRET, World

ORIGIN = "https://push.example"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def fields(self) -> dict[str, str]:
        """Of a problem document: what is wrong by field."""
        return {error["field"]: error["message"] for error in self.json["errors"]}


class Api:
    """Calls an ASGI app. `key` and `headers` are sent with every call."""

    def __init__(self, app: App, key: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.app = app
        self.headers = dict(headers or {})
        if key is not None:
            self.headers["Authorization"] = f"Bearer {key}"

    def with_headers(self, **headers: str) -> "Api":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Api(self.app, headers={**self.headers, **named})

    async def get(self, path: str, **more: Any) -> Reply:
        return await self.call("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> Reply:
        return await self.call("POST", path, json, **more)

    async def put(self, path: str, json: Any = None, **more: Any) -> Reply:
        return await self.call("PUT", path, json, **more)

    async def delete(self, path: str, **more: Any) -> Reply:
        return await self.call("DELETE", path, **more)

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        body: bytes | Sequence[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        client: str = "192.0.2.1",
    ) -> Reply:
        """`body` as a list is sent in pieces and without a Content-Length."""
        told = {**self.headers, **(headers or {})}
        if json is not None:
            body = msgspec.json.encode(json)
            told.setdefault("Content-Type", "application/json")
        pieces = list(body) if isinstance(body, list) else [body or b""]
        if not isinstance(body, list):
            told.setdefault("Content-Length", str(len(pieces[0])))
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in told.items()],
            "client": (client, 12345),
            "server": ("push.example", 443),
            "state": {},
        }
        return await _answer(self.app, scope, pieces)


async def _answer(app: App, scope: dict[str, Any], pieces: list[bytes]) -> Reply:
    status, headers, body = 0, {}, b""

    async def receive() -> dict[str, Any]:
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            assert status == 0, "an answer begins once"
            status = message["status"]
            names = [name for name, _ in message["headers"]]
            assert len(names) == len(set(names)), f"a header is there twice: {names}"
            headers.update({name.decode(): value.decode() for name, value in message["headers"]})
        else:
            body += message.get("body", b"")

    await app(scope, receive, send)
    return Reply(status, headers, body)


class ApiWorld:
    """A project of a world, with the API in front: `server` and `browser` call with its keys, `anyone` with none."""

    def __init__(self, world: World, settings: Settings | None = None, **more: Any) -> None:
        self.world = world
        self.settings = settings or Settings(public_url=ORIGIN, rate_limits=False)
        signer = Signer([SECRET])
        self.unsubscribes = UnsubscribeTokens(signer)
        self.preferences = PreferencesTokens(signer)
        self.services = Services(
            settings=self.settings,
            store=world.store,
            pipeline=world.pipeline,
            catalog=world.catalog,
            clock=world.clock,
            chance=world.chance,
            sealer=world.sealer,
            receipts=world.receipts,
            anonymous=world.anonymous,
            unsubscribes=self.unsubscribes,
            preferences=self.preferences,
            **{"push_service": new_gateway(world.store.push, world.clock, self.settings), **more},
        )
        self.app = create_app(self.services)
        self.anyone = Api(self.app)
        self.server = Api(self.app, world.founded.server_key)
        self.browser = Api(self.app, world.founded.public_key)

    async def key(self, **body: Any) -> Api:
        """A caller with a new key."""
        made = await self.server.post("/v1/keys", body)
        assert made.status == 201, made
        return Api(self.app, made.json["key"])

    async def subscribe(self, user_id: str = "u1", **more: Any) -> dict[str, Any]:
        """A device of this user that said yes."""
        made = await self.server.post("/v1/devices", {"user_id": user_id, **subscription(user_id), **more})
        assert made.status in (200, 201), made
        return made.json


def subscription(name: str = "u1") -> dict[str, str]:
    """A Web Push device's own part, with fresh keys."""
    receiver = Receiver.generate()
    return {
        "kind": "webpush",
        "address": f"https://updates.example.com/{name}",
        "p256dh": base64url.encode(receiver.p256dh),
        "auth": base64url.encode(receiver.auth),
    }


class HttpServer(uvicorn.Server):
    """An app on a free port of this machine."""

    def __init__(self, app: App) -> None:
        super().__init__(
            uvicorn.Config(app, port=0, http=protocol_of(ORIGIN), ws="none", log_level="critical", access_log=False)
        )
        self._listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()

    async def port(self) -> int:
        await self._listening.wait()
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port
