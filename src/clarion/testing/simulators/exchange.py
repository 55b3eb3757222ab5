"""What a server and the service behind it hand each other: requests in, replies out, and the connection between."""

from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

MAX_BODY: Final = 2**18
"""Bytes of a request's body that are read; what is larger gets 413 without being looked at."""

Fields: TypeAlias = list[tuple[str, str]]


class Peer(Protocol):
    """A connection, as the service sees it."""

    context: Any
    """The service's own memory of this connection; it is set in `Service.opened`."""
    http2: bool
    certificate: bytes | None
    """The client's certificate (DER), checked against our authority, or None."""

    def awaits(self, stream: int) -> bool:
        """Whether a request still wants its answer: the connection is there, and the client did not give up."""
        ...

    def reply(self, stream: int, reply: "Reply") -> None:
        """Answer a request that awaits it, with the next `flush`."""
        ...

    def flush(self) -> None:
        """Do now what replies asked for."""
        ...

    def allow_streams(self, number: int) -> None:
        """Announce another SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 §6.5.2). Nothing on HTTP/1.1."""
        ...

    def go_away(self, data: bytes) -> None:
        """Take no new streams (GOAWAY, RFC 9113 §6.8), answer those that are open, then close."""
        ...

    def drop(self) -> None:
        """End the connection without a word."""
        ...


class Request:
    """One whole request. Header names are in lower case, without the pseudo-headers; `path` may have a query."""

    def __init__(self, peer: Peer, stream: int, method: str, path: str, fields: Fields, body: bytes) -> None:
        self.peer = peer
        self.stream = stream
        self.method = method
        self.path = path
        self.fields = fields
        self.body = body

    @cached_property
    def headers(self) -> dict[str, str]:
        """Of a repeated name the last value."""
        return dict(self.fields)


class Respond(NamedTuple):
    """An ordinary response."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Reset(NamedTuple):
    """RST_STREAM with an error code (RFC 9113 §7); on HTTP/1.1 the connection ends."""

    code: int


class GoAway(NamedTuple):
    """GOAWAY with `data` for debugging.

    `last` is the response to this request, which is the last one that counts; without it this request and all later
    ones were not looked at.
    """

    data: bytes
    last: Respond | None = None


class Drop(NamedTuple):
    """The connection ends without a word."""


class Wait(NamedTuple):
    """Nothing for now, perhaps never; see `Peer.reply`."""


Reply: TypeAlias = Respond | Reset | GoAway | Drop | Wait


class Service(Protocol):
    """What a server serves."""

    def opened(self, peer: Peer) -> int:
        """A connection is there; returns how many streams at a time it may have for now."""
        ...

    def answer(self, request: Request) -> Reply:
        """The reply, which leaves only after `settle`. Must not wait: it is called inside the event loop."""
        ...

    def settle(self) -> None:
        """All requests of a batch have their replies, and none has left yet."""
        ...
