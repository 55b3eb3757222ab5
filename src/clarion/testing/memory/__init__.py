"""The memory store, one module a noun."""

from clarion.testing.memory.store import MemoryStore

__all__ = ["MemoryStore"]
