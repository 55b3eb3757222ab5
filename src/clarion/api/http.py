"""HTTP as ASGI hands it to us: bodies read under a limit, answers written in one go."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from clarion.errors import ClarionError, InvalidRequest, TooLarge

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

MIB = 1024 * 1024
JSON_TYPE = b"application/json"
HTML_TYPE = b"text/html"
PLAIN_HEADERS: tuple[Header, ...] = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""On every answer of the API: nothing of it may be kept by a cache or guessed to be something else."""


class UnsupportedMediaType(ClarionError):
    """The body is in a form that this route does not read."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"


class MethodNotAllowed(ClarionError):
    """The path is there, the method is not. `allow` lists those that are."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(f"this path takes {allow}")
        self.allow = allow


class ClientGone(Exception):
    """The caller hung up while sending; nobody waits for an answer."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ((b"content-type", JSON_TYPE), *PLAIN_HEADERS)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that lower-case name."""
    for known, value in scope["headers"]:
        if known == name:
            return bytes(value)
    return None


async def write(send: Send, answer: Answer, more: Iterable[Header] = ()) -> None:
    """Send an answer, with headers beside its own."""
    length = (b"content-length", str(len(answer.body)).encode())
    headers = [*answer.headers, length, *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def read_body(headers: dict[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole body, counted while it comes in.

    Raises:
        TooLarge: more than `limit` bytes, announced or sent.
        InvalidRequest: the length that is announced is no number.
        ClientGone: the caller hung up.
    """
    announced = headers.get(b"content-length")
    if announced is not None:
        if not announced.isdigit():
            raise InvalidRequest.field("Content-Length", "must be a number")
        if int(announced) > limit:
            raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    return await _read_rest(body, receive, limit)


async def _read_rest(first: bytes, receive: Receive, limit: int) -> bytes:
    parts, size = [first], len(first)
    while size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size <= limit and not message.get("more_body", False):
            return b"".join(parts)
    raise _too_large(limit)


def check_json(headers: dict[bytes, bytes], also: tuple[bytes, ...] = ()) -> None:
    """Raises UnsupportedMediaType when a body is said to be compressed or something else than JSON in UTF-8."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() != b"identity":
        raise UnsupportedMediaType("Content-Encoding: send the body as it is, without compression")
    told = headers.get(b"content-type")
    if told is None or told == JSON_TYPE:
        return
    kind, _, parameters = told.lower().partition(b";")
    kind = kind.strip()
    if kind != JSON_TYPE and not (kind.startswith(b"application/") and kind.endswith(b"+json")) and kind not in also:
        raise UnsupportedMediaType("Content-Type: must be application/json")
    charset = parameters.replace(b'"', b"").replace(b" ", b"").partition(b"charset=")[2]
    if charset and charset not in (b"utf-8", b"utf8", b"us-ascii"):
        raise UnsupportedMediaType("Content-Type: JSON is sent in UTF-8")


def client_of(scope: Scope) -> str:
    """The caller's address. Behind one of `trusted_proxies`: the last in X-Forwarded-For that is none of them."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body may have {limit} bytes")
