"""The push endpoint on the HTTP port: a bare ASGI app, because a framework would cost more than the message."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import structlog

from clarion.gateway.endpoint import PushEndpoint
from clarion.gateway.extract import MAX_BODY
from clarion.gateway.refusal import answer, not_stored
from clarion.ports import HttpRequest, HttpResponse

log = structlog.get_logger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"location, ttl, retry-after, www-authenticate"),
]
_METHODS = b"DELETE, GET, POST, PUT"
_DIGITS = 18  # of a content-length: enough to see that it is too large
_PREFLIGHT_MAX_AGE_S = b"86400"


class EndpointApp:
    """`/wpush/{v1|v2}/{token}`, `/fcm/send/{token}` and `/m/{id}`, for any origin.

    Reads `raw_path`, so it may be mounted anywhere.
    """

    def __init__(self, endpoint: PushEndpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "OPTIONS":
            await respond(send, HttpResponse(HTTPStatus.NO_CONTENT.value), _preflight(scope))
            return
        body = await read_body(scope, receive, MAX_BODY)
        if body is None:
            return
        try:
            response = await self._endpoint.accept_one(_request(scope, body), address_of(scope))
        except Exception:
            log.exception("push_endpoint_failed")
            response = answer(not_stored(None))
        await respond(send, response)


def _request(scope: Scope, body: bytes) -> HttpRequest:
    # A framework that mounts us may have cut `path`; `raw_path` is what was asked for.
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return HttpRequest(method=scope["method"], url=path.decode("latin-1"), headers=headers, body=body)


def address_of(scope: Scope) -> str:
    """Where the request came from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes | None:
    """At most one byte more than is allowed: that is enough to refuse it. None when the sender went away."""
    body = bytearray()
    if _announced(scope) > most:
        return bytes(most + 1)
    while len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(body[: most + 1])


def _announced(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0][:_DIGITS]) if lengths and lengths[0].isdigit() else 0


def _preflight(scope: Scope) -> list[tuple[bytes, bytes]]:
    # Named one by one, because `*` does not cover Authorization.
    asked = b", ".join(value for name, value in scope["headers"] if name == b"access-control-request-headers")
    return [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", asked or b"*"),
        (b"access-control-max-age", _PREFLIGHT_MAX_AGE_S),
        (b"vary", b"access-control-request-headers"),
    ]


async def respond(send: Send, response: HttpResponse, extra: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """The whole answer, for any origin."""
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    if response.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": [*headers, *_CORS, *extra]})
    await send({"type": "http.response.body", "body": response.body})
