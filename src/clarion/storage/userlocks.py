"""Keeps two decisions about one user apart inside a process: all that SQLite needs, where one process decides."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from clarion.model import Key


class UserLocks:
    """Claims on users, served in the order they came; those that share no user pass each other."""

    def __init__(self) -> None:
        self._claims: list[_Claim] = []

    @asynccontextmanager
    async def hold(self, span: tuple[Key, Key] | None, users: Sequence[Key]) -> AsyncIterator[None]:
        """Hold all users of a span of keys, else the named ones (sorted), until the block is left.

        Each claim waits only for those that came before it, so that no two can wait for each other.
        """
        claim = _Claim(span, users)
        earlier = [other for other in self._claims if other.meets(claim)]
        self._claims.append(claim)
        try:
            for other in earlier:
                await other.left.wait()
            yield
        finally:
            self._claims.remove(claim)
            claim.left.set()


class _Claim:
    def __init__(self, span: tuple[Key, Key] | None, users: Sequence[Key]) -> None:
        self.whole = span is not None
        self.users = users
        self.first, self.last = span or ((users[0], users[-1]) if users else (0, -1))
        self.left = asyncio.Event()

    def meets(self, other: "_Claim") -> bool:
        if self.first > other.last or other.first > self.last:
            return False
        if self.whole and other.whole:
            return True
        if not self.whole and not other.whole:
            return not set(self.users).isdisjoint(other.users)
        span, named = (self, other) if self.whole else (other, self)
        index = bisect_left(named.users, span.first)
        return index < len(named.users) and named.users[index] <= span.last
