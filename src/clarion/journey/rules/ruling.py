"""What a gate says, and how it is written down."""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from clarion.model import Millis, Reason, verdict_of


class Ruling(NamedTuple):
    """`reason` None lets the candidate pass. `because` is the input that the gate looked at, in a few words."""

    reason: Reason | None
    because: str
    until: Millis | None = None


_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4096)
def record(gate: str, reason: Reason | None, because: str) -> str:
    """One gate as compact JSON: `["consent","pass","on by default"]`."""
    verdict = "pass" if reason is None else verdict_of(reason).value
    return _encode([gate, verdict, because]).decode()
