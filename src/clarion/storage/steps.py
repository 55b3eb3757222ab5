"""What the workers' steps read and write: facts for a batch of people, and all effects of a step in one transaction."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from clarion.model import Key, Millis
from clarion.ports import Address, Asked, Changes, Collected, Deciding, Effects, Facts, FactsQuery, Lease
from clarion.storage.arming import changes
from clarion.storage.database import Database, Transactions
from clarion.storage.effects import write
from clarion.storage.facts import collected, load_addresses, load_asked, load_facts, paused, refused_since, user_span
from clarion.storage.slots import forget_slots


class SqlSteps:
    """See `ports.Steps`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def facts(self, project: Key, query: FactsQuery) -> Facts:
        return await self._db.read(load_facts, self._db.dialect, project, query)

    @asynccontextmanager
    async def deciding(self, project: Key, query: FactsQuery) -> AsyncIterator[Deciding]:
        """See `ports.Steps`; commit at most once."""
        async with self._db.holding(project, query.span, query.users or ()) as held:
            facts = await held.read(load_facts, self._db.dialect, project, query)
            yield _Deciding(self._db, held, facts)

    async def commit(self, effects: Effects, lease: Lease | None = None) -> bool:
        return await self._db.write(write, self._db.dialect, effects, lease, self._db.now())

    async def addresses(self, project: Key, devices: Sequence[Key]) -> dict[Key, Address]:
        return await self._db.read(load_addresses, self._db.dialect, project, devices)

    async def asked(self, project: Key, users: Sequence[Key], *, zones: bool) -> dict[Key, Asked]:
        return await self._db.read(load_asked, self._db.dialect, project, users, zones=zones)

    async def refused_since(
        self, project: Key, users: Sequence[Key], since: Millis
    ) -> dict[tuple[Key, str, str], bool]:
        return await self._db.read(refused_since, self._db.dialect, project, users, since)

    async def collected(self, project: Key, users: Sequence[Key]) -> list[Collected]:
        return await self._db.read(collected, self._db.dialect, project, users)

    async def paused(self, project: Key, users: Sequence[Key], now: Millis) -> frozenset[Key]:
        return await self._db.read(paused, self._db.dialect, project, users, now)

    async def changes(self, project: Key, since: Millis) -> Changes:
        return await self._db.read(changes, self._db.dialect, project, since)

    async def forget_slots(self, before: Millis, after: Key, users: int) -> Key | None:
        return await self._db.write(forget_slots, before, after, users)

    async def user_span(self, project: Key, after: Key, size: int, limit: int) -> list[tuple[Key, Key]]:
        return await self._db.read(user_span, project, after, size, limit)


class _Deciding:
    """See `ports.Deciding`."""

    def __init__(self, database: Database, held: Transactions, facts: Facts) -> None:
        self._db = database
        self._held = held
        self.facts = facts

    async def commit(self, lease: Lease, effects: Effects) -> bool:
        return await self._held.write(write, self._db.dialect, effects, lease, self._db.now())
