"""The door before the framework's routes, as its middleware."""

from collections.abc import Mapping
from typing import Any

from clarion.api.decoding import BODY
from clarion.api.desk import DESK
from clarion.api.door import Access
from clarion.api.fields import not_text
from clarion.api.http import Answer, App, ClientGone, Message, Receive, Scope, Send, check_json, read_body, write
from clarion.errors import FieldError, InvalidRequest

_WITH_BODY = ("POST", "PUT")


class Guarded:
    """The door before the framework's routes: ASGI middleware that reads what the route's `opt` asks for."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through to its handler, or raise what is wrong with it."""
        handler = scope["route_handler"]
        access: Access | None = handler.opt.get("access")
        if access is None:
            await self._app(scope, receive, send)
            return
        headers, door = dict(scope["headers"]), scope[DESK].door
        caller = await door.admit(access, scope, headers)
        scope["path_params"] = {name: slashes(value) for name, value in scope["path_params"].items()}
        if not access.any_query:
            _check_query(scope, handler.parsed_fn_signature.parameters)
        if scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        if handler.parsed_data_field is not None:
            check_json(headers, access.media)
        try:
            body = await read_body(headers, receive, access.limit)
        except ClientGone:
            return
        if not body and handler.parsed_data_field is not None:
            raise InvalidRequest.field(BODY, "is required: a JSON object")

        async def run() -> Answer:
            return await captured(self._app, scope, body)

        await write(send, await door.once(access, caller, scope, headers, body, run))


def slashes(value: str) -> str:
    """A path parameter as it was meant: `%2F` travels through the router as U+0000 (see `front.readable`)."""
    return value.replace("\0", "/")


async def captured(app: App, scope: Scope, body: bytes) -> Answer:
    """The whole answer of an app to a body that is here already."""
    status, parts, headers = 500, list[bytes](), list[tuple[bytes, bytes]]()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.extend(pair for pair in message.get("headers", ()) if pair[0] != b"content-length")
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, b"".join(parts), tuple(headers))


def _check_query(scope: Scope, parameters: Mapping[str, Any]) -> None:
    """A parameter that nobody reads is a typing mistake too, and so is one that is there twice."""
    if not scope["query_string"]:
        return
    known = {getattr(field.kwarg_definition, "name", None) or name for name, field in parameters.items()}
    told: dict[str, list[str]] = {}
    for part in filter(None, scope["query_string"].decode("latin-1").split("&")):
        name, _, value = part.partition("=")
        told.setdefault(name, []).append(value)
    checked = (
        (name, _wrong_with(values) if name in known else "is not a query parameter here")
        for name, values in told.items()
    )
    wrong = [FieldError(name, words) for name, words in sorted(checked) if words]
    if wrong:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in wrong), errors=wrong)


def _wrong_with(values: list[str]) -> str:
    return "must be given once" if values[1:] else not_text(values[0])
