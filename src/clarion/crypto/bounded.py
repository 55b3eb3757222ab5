"""A cache that cannot grow: what was put in first is the first to go."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """At most `capacity` entries. Forgetting one only costs computing it again. For one event loop, not for threads."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity: 1 or more")
        self._capacity = capacity
        self._entries: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, or None."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep the value, and forget the oldest when there is no room."""
        self._entries.pop(key, None)
        if len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = value
