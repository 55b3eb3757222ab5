"""The little of HTTP that a few pages need: a request that was read, an answer that is written."""

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

from clarion.errors import TooLarge

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 2_048
"""Bytes, where a page says nothing else."""


class Request(NamedTuple):
    """What was asked. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    raw_query: str
    headers: dict[str, str]
    scheme: str
    client: str
    receive: Receive

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> "Request":
        """The whole path is read from `raw_path`, because a mount may have cut its own part off `path`."""
        raw = scope.get("raw_path")
        path = unquote(raw.split(b"?")[0].decode("ascii", "replace")) if raw else scope["path"]
        raw_query = scope.get("query_string", b"").decode("ascii", "replace")
        query = dict(parse_qsl(raw_query))
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        scheme, client = scope.get("scheme", "http"), scope.get("client")
        address = str(client[0]) if client else ""
        return cls(scope["method"], path.rstrip("/") or "/", query, raw_query, headers, scheme, address, receive)

    def cookie(self, name: str) -> str | None:
        """The value of a cookie, or None."""
        try:
            morsel = SimpleCookie(self.headers.get("cookie", "")).get(name)
        except CookieError:
            return None
        return morsel.value if morsel else None

    async def body(self, limit: int = MAX_BODY) -> bytes:
        """All of it. Raises TooLarge beyond so many bytes."""
        parts, size = [], 0
        while True:
            message = await self.receive()
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise TooLarge(f"this page takes at most {limit} bytes")
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)


class Answer(NamedTuple):
    """What is answered."""

    status: int
    body: bytes
    type: str
    headers: tuple[tuple[str, str], ...] = ()

    async def send(self, method: str, send: Send) -> None:
        """Write it; to HEAD only its headers."""
        headers = (("content-type", self.type), ("content-length", str(len(self.body))), *self.headers)
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else self.body})
