"""The first to see a request: hot routes and other apps at once, everything else to the framework."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from urllib.parse import unquote

from clarion.api.desk import DESK, Desk
from clarion.api.door import CALLER
from clarion.api.fields import not_text
from clarion.api.guarded import captured
from clarion.api.http import (
    PLAIN_HEADERS,
    Answer,
    App,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    header,
    write,
)
from clarion.api.plain import PlainApp, PlainRoute
from clarion.api.sdk_files import PREFIX as SDK_FILES
from clarion.api.sdk_files import SdkFiles
from clarion.errors import InvalidRequest, NotFound

SDK_CALLS = "/v1/sdk/"
_OURS = ("/v1/", "/sdk/", "/errors/", "/unsubscribe/", "/preferences/")
_OURS_EXACT = frozenset({"/healthz", "/metrics", "/openapi.json", "/docs"})
_EVERYWHERE = frozenset({"/healthz", "/metrics"})
_ELSEWHERE = "/"
_NO_METHOD = "TRACE"


class Front:
    """The ASGI app of the HTTP port."""

    def __init__(
        self, framework: App, plain: Iterable[PlainRoute], mounts: Mapping[str, App], files: SdkFiles, desk: Desk
    ) -> None:
        self._framework = framework
        self._plain = {route.path: PlainApp(route, desk) for route in plain}
        self._mounts = sorted(mounts.items(), key=lambda mount: -len(mount[0]))
        self._files = files
        self._desk = desk
        self._only_health = not desk.services.serves_api
        self._cors, self._problems, self._metrics = desk.cors, desk.problems, desk.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. There is nothing to do at start and end: who made us opens and closes."""
        if scope["type"] == "http":
            if self._only_health and scope["path"] not in _EVERYWHERE and self._mounted(scope["path"]) is None:
                await write(send, self._problems.answer(NotFound("this process does not have the role api")))
                return
            plain = self._plain.get(scope["path"])
            if plain is not None:
                await plain(scope, receive, send)
            else:
                await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        mount = self._mounted(path)
        sender = _Sender(send, PLAIN_HEADERS if mount is None else ())
        try:
            if mount is not None:
                await mount(scope, receive, sender)
            elif path.startswith(SDK_FILES):
                await write(send, self._files.answer(scope))
            elif path.startswith(SDK_CALLS):
                await self._sdk_call(scope, receive, send, sender)
            else:
                await self._ask_framework(readable(scope), receive, sender)
        except Exception as error:
            if sender.status is not None:
                raise
            answer = self._problems.answer(error)
            self._metrics.count("refused", answer.status)
            await write(sender, answer)

    def _mounted(self, path: str) -> App | None:
        for prefix, app in self._mounts:
            if path.startswith(prefix) and (prefix != _ELSEWHERE or not is_ours(path)):
                return app
        return None

    async def _sdk_call(self, scope: Scope, receive: Receive, send: Send, sender: "_Sender") -> None:
        origin = header(scope, b"origin")
        if scope["method"] == "OPTIONS" and origin is not None:
            await write(send, await self._cors.preflight("listed", origin))
            return
        asked = readable(scope)

        async def consent() -> Sequence[Header]:
            # By now the door has noted whose key it is, if it is anybody's.
            caller = asked.get(CALLER)
            return await self._cors.headers("listed", origin, caller.project if caller else None)

        sender.later = consent
        await self._ask_framework(asked, receive, sender)

    async def _ask_framework(self, asked: Scope, receive: Receive, sender: "_Sender") -> None:
        asked[DESK] = self._desk
        if asked["method"] == "OPTIONS":
            await self._tell_methods(asked, sender)
            return
        await self._framework(asked, receive, sender)
        if sender.status is not None:
            self._metrics.count(asked.get("path_template", "unknown"), sender.status)

    async def _tell_methods(self, asked: Scope, sender: "_Sender") -> None:
        """OPTIONS: what a method that nobody has is told."""
        asked["method"] = _NO_METHOD
        refused = await captured(self._framework, asked, b"")
        allowed = next((value for name, value in refused.headers if name == b"allow"), None)
        told = refused if allowed is None else Answer(204, b"", ((b"allow", allowed + b", OPTIONS"),))
        await write(sender, told)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def is_ours(path: str) -> bool:
    """Whether a path belongs to the API, so that no other app ever answers in its place."""
    return path.startswith(_OURS) or path in _OURS_EXACT


def readable(scope: Scope) -> Scope:
    """The request as the router reads it: HEAD as GET, and a slash inside a path parameter (`%2F`) as U+0000.

    Raises:
        InvalidRequest: U+0000 itself, which nothing stores, or bytes that are no UTF-8: all of them would be one text.
    """
    raw: bytes = scope.get("raw_path") or b""
    asked = dict(scope)
    if b"%" in raw:
        if wrong := not_text(raw):
            raise InvalidRequest.field("path", wrong)
        if b"%2f" in raw.lower():
            asked["path"] = unquote(raw.decode().replace("%2F", "%00").replace("%2f", "%00"))
    if scope["method"] == "HEAD":
        asked["method"] = "GET"
    return asked


class _Sender:
    """Passes an answer on with more headers, and remembers whether one has begun."""

    def __init__(self, send: Send, more: Sequence[Header]) -> None:
        self._send = send
        self.more = list(more)
        self.later: Callable[[], Awaitable[Sequence[Header]]] | None = None
        """Headers that are known only when the answer begins."""
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.later is not None:
                self.more += await self.later()
            told = {name for name, _ in message.get("headers", ())}
            more = [pair for pair in self.more if pair[0] not in told]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await self._send(message)
