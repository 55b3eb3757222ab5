"""Gate: the same content to the same person within its window is said once."""

from collections.abc import Mapping
from hashlib import blake2b

from clarion.journey.rules.ruling import Ruling
from clarion.model import Key, Message, Millis, Reason

_NO_KEY = Ruling(None, "no content key")
_FIRST = Ruling(None, "first time")


def content_hash(content_key: str) -> int:
    """A content key as a 63-bit integer, which every engine indexes cheaply."""
    return int.from_bytes(blake2b(content_key.encode(), digest_size=8).digest()) >> 1


class Duplicate:
    """The gate for one message; its content key is hashed once."""

    __slots__ = ("_hash", "_repeated", "_since")

    def __init__(self, message: Message, now: Millis) -> None:
        self._hash = None if message.content_key is None else content_hash(message.content_key)
        self._since = now - message.content_window * 1000
        self._repeated = Ruling(Reason.DUPLICATE, f"same content within {message.content_window} s")

    def __call__(self, user: Key, sent: Mapping[tuple[Key, int], Millis]) -> Ruling:
        """`sent` holds when this person last got this content."""
        if self._hash is None:
            return _NO_KEY
        last = sent.get((user, self._hash)) if sent else None
        return _FIRST if last is None or last <= self._since else self._repeated
