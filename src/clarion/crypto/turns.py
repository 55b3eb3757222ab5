"""Encrypting without keeping the event loop from its other work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from clarion.crypto.webpush import Plain, Sealed, encrypt_many

Encrypt: TypeAlias = Callable[[Sequence[Plain]], Awaitable[list[Sealed]]]
"""Whoever encrypts a batch: the loop in turns, or others for it. Answers in order, as `encrypt_many`."""

SLICE: Final = 40
"""Messages that take about 2.5 ms."""


async def encrypt_in_turns(batch: Sequence[Plain]) -> list[Sealed]:
    """`encrypt_many` in slices: no turn of the loop takes more than 3 ms."""
    sealed: list[Sealed] = []
    for start in range(0, len(batch), SLICE):
        if start:
            await asyncio.sleep(0)
        sealed += encrypt_many(batch[start : start + SLICE])
    return sealed
