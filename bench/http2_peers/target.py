"""What every client sends, and where to: what a push service gets for one device."""

import ssl
import uuid
from typing import NamedTuple, Protocol

PATH = "/3/device/" + "ab" * 32
SHARED = {
    "authorization": "bearer " + "e" * 220,
    "apns-topic": "com.example.shop",
    "apns-push-type": "alert",
    "apns-priority": "10",
}
MESSAGE = {
    "aps": {"alert": {"title": "Your order", "body": "is on its way to you"}, "sound": "default"},
    "id": "a1b2c3",
}
BODY = b'{"aps":{"alert":{"title":"Your order","body":"is on its way to you"},"sound":"default"},"id":"a1b2c3"}'


class Target(NamedTuple):
    """A server on this machine. Up to `streams` requests are under way on each of `connections` connections."""

    port: int
    authority: str
    streams: int
    connections: int

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def at_once(self) -> int:
        return self.streams * self.connections

    def tls(self) -> ssl.SSLContext:
        """Certificates are checked, as always."""
        context = ssl.create_default_context(cafile=self.authority)
        context.set_alpn_protocols(["h2"])
        return context


class Client(Protocol):
    """`send` returns how many of its requests were answered with 200, when all are answered."""

    async def open(self, target: Target) -> None: ...
    async def send(self, ids: list[str]) -> int: ...
    async def close(self) -> None: ...


def ids(count: int) -> list[str]:
    """Each request carries one of its own, as `apns-id`."""
    return [str(uuid.UUID(int=number)) for number in range(count)]
