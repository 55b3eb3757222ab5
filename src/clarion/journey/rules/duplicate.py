"""Gate: the same content to the same person within its window is said once."""

from collections.abc import Mapping
from hashlib import blake2b

from clarion.journey.rules.ruling import Ruling
from clarion.model import Key, Message, Millis, Reason

_NO_KEY = Ruling(None, "no content key")


def content_hash(content_key: str) -> int:
    """A content key as a 63-bit integer, which every engine indexes cheaply."""
    return int.from_bytes(blake2b(content_key.encode(), digest_size=8).digest()) >> 1


def duplicate(message: Message, user: Key, sent: Mapping[tuple[Key, int], Millis], now: Millis) -> Ruling:
    """`sent` holds when this person last got this content."""
    if message.content_key is None:
        return _NO_KEY
    last = sent.get((user, content_hash(message.content_key)))
    if last is None or last + message.content_window * 1000 <= now:
        return Ruling(None, "first time")
    return Ruling(Reason.DUPLICATE, f"same content within {message.content_window} s")
