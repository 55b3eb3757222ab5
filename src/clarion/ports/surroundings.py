"""Time, chance, and the word between processes."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from clarion.model import Millis


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> Millis:
        """Milliseconds since the epoch, UTC."""
        ...


class Chance(Protocol):
    """The only source of randomness."""

    def token(self, size: int) -> bytes:
        """`size` random bytes, fit for secrets."""
        ...


class Limiter(Protocol):
    """A brake against floods: buckets by name, which anybody may drain and time fills again."""

    def take(self, name: tuple[str, str], cost: float = 1) -> None:
        """Raises RateLimited, with the seconds to wait, when the bucket of that name is empty."""
        ...


class Bus(Protocol):
    """A wake-up between processes; may lose messages, the database is the truth.

    A subscriber gets an empty payload when messages to it may have been lost: it looks for itself.
    """

    async def publish(self, topic: str, payload: bytes = b"") -> None: ...
    def subscribe(self, topic: str, handler: Callable[[bytes], Awaitable[None]]) -> Callable[[], None]:
        """Call `handler` for each message of `topic`; returns what ends the subscription."""
        ...

    async def open(self) -> None: ...
    async def close(self) -> None: ...
