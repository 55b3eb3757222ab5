"""Which devices are connected to this node: the device's name to its session, bounded, one session a device."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from clarion.errors import Unavailable


class Claimant(Protocol):
    """What the registry asks of a session."""

    def evict(self) -> None:
        """Another connection of the same device is here: finish and leave."""
        ...

    async def left(self) -> None:
        """Until it has finished what it had received, and left the registry."""
        ...


S = TypeVar("S", bound=Claimant)


class Registry(Generic[S]):
    """Sessions by uaid (16 bytes). At most `capacity`; says so when full."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity: 1 or more")
        self._capacity = capacity
        self._sessions: dict[bytes, S] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[S]:
        return iter(self._sessions.values())

    def get(self, uaid: bytes) -> S | None:
        """The device's session, if it is connected here."""
        return self._sessions.get(uaid)

    async def claim(self, uaid: bytes, session: S) -> None:
        """Make `session` the one of this device, after an older one has finished: its acks count before we read.

        Raises Unavailable when the registry is full.
        """
        while (older := self._sessions.get(uaid)) is not None:
            older.evict()
            await older.left()
        if len(self._sessions) >= self._capacity:
            raise Unavailable("this gateway node is full", retry_after=60)
        self._sessions[uaid] = session

    def release(self, uaid: bytes, session: S) -> None:
        """`session` is gone. Does nothing when another one has the place."""
        if self._sessions.get(uaid) is session:
            del self._sessions[uaid]
