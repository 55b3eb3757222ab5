"""Time, chance, the word between processes, and the books."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol

from clarion.model import Millis
from clarion.ports.work import Effects, Lease


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


class Recorder(Protocol):
    """Writes down what was sent, behind the sending: where many wait for a message, nobody waits for the books."""

    def sending(self) -> AbstractContextManager[None]:
        """Around the sending of a batch: what is to be written waits as long as it may."""
        ...

    async def record(self, lease: Lease, effects: Effects, commit: Callable[[Lease, Effects], Awaitable[None]]) -> None:
        """Commit it, now or soon; the lease is held until then. Returns late when too much waits already."""
        ...
