"""Encrypting without keeping the event loop from its other work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from clarion.crypto.webpush import Plain, Sealed, encrypt_many

Encrypt: TypeAlias = Callable[[Sequence[Plain]], Awaitable[list[Sealed]]]
"""Whoever encrypts a batch: the loop in turns, or others for it. Answers in order, as `encrypt_many`."""

SLICE: Final = 30
"""Messages that take about 2 ms."""


class Turns:
    """`encrypt_many` in slices: however many batches there are at once, a turn of the loop takes SLICE messages."""

    def __init__(self) -> None:
        self._one_by_one = asyncio.Lock()
        self._taken = 0

    async def encrypt(self, batch: Sequence[Plain]) -> list[Sealed]:
        """A body or an error for each, in order."""
        sealed: list[Sealed] = []
        for start in range(0, len(batch), SLICE):
            part = batch[start : start + SLICE]
            async with self._one_by_one:
                if self._taken + len(part) > SLICE:
                    await asyncio.sleep(0)
                    self._taken = 0
                self._taken += len(part)
                sealed += encrypt_many(part)
        return sealed
