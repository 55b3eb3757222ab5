"""Audiences in memory: the plain reading of every rule, over everybody."""

from collections import Counter
from collections.abc import Sequence

from clarion.model import Device, DeviceState, Key, Millis, Permission
from clarion.ports import Crowd, Page, Reach, RosterKind
from clarion.testing.memory.tables import Tables, page
from clarion.testing.memory.users import MemoryUsers, last_words
from clarion.testing.plain_reading import Known, holds


class MemoryAudiences:
    """`ports.Audiences`."""

    def __init__(self, tables: Tables, users: MemoryUsers) -> None:
        self._tables = tables
        self._users = users

    async def keys(self, project: Key, crowd: Crowd, after: Key, limit: int) -> list[Key]:
        everybody = sorted(key for key, user in self._tables.users.items() if user.project == project)
        beyond = [key for key in everybody if key > after]
        return sorted(members_of(self._tables, crowd, beyond))[:limit]

    async def page(self, project: Key, crowd: Crowd, cursor: str | None, limit: int) -> Page[str]:
        found = await self.keys(project, crowd, 0, len(self._tables.users))
        return page([self._tables.users[key].user_id for key in found], cursor, limit)

    async def count(self, project: Key, crowd: Crowd) -> int:
        return len(await self.keys(project, crowd, 0, len(self._tables.users)))

    async def counts(self, project: Key, crowds: Sequence[Crowd]) -> list[int]:
        return [await self.count(project, crowd) for crowd in crowds]

    async def reach(self, project: Key, crowd: Crowd) -> Reach:
        found = await self.keys(project, crowd, 0, len(self._tables.users))
        shown = {(one.kind, one.user) for one in self._tables.devices.values() if one.user in found and _shows(one)}
        return Reach(len({user for _, user in shown}), dict(Counter(kind for kind, _ in shown)))

    async def add(self, project: Key, kind: RosterKind, name: str, users: Sequence[str], now: Millis) -> int:
        keys = set((await self._users.resolve(project, users, now, create=True)).values())
        on = self._tables.rosters.setdefault((project, kind, name), set())
        new = len(keys - on)
        on |= keys
        return new

    async def remove(self, project: Key, kind: RosterKind, name: str, users: Sequence[str]) -> int:
        keys = set((await self._users.resolve(project, users, 0, create=False)).values())
        on = self._tables.rosters.get((project, kind, name), set())
        gone = len(keys & on)
        on -= keys
        return gone

    async def listed(self, project: Key, kind: RosterKind, name: str, cursor: str | None, limit: int) -> Page[str]:
        on = self._tables.rosters.get((project, kind, name), set())
        return page([self._tables.users[key].user_id for key in sorted(on)], cursor, limit)

    async def unlike(
        self, project: Key, crowd: Crowd, kind: RosterKind, name: str, after: Key, limit: int
    ) -> list[tuple[Key, bool]]:
        members = set(await self.keys(project, crowd, after, len(self._tables.users)))
        on = {key for key in self._tables.rosters.get((project, kind, name), ()) if key > after}
        return [(key, key in members) for key in sorted(members ^ on)][:limit]

    async def sizes(self, project: Key, kind: RosterKind, names: Sequence[str]) -> dict[str, int]:
        return {name: len(self._tables.rosters.get((project, kind, name), ())) for name in names}

    async def of_user(self, project: Key, kind: RosterKind, user: Key) -> list[str]:
        return rosters_of(self._tables, project, kind, user)

    async def drop(self, project: Key, kind: RosterKind, name: str) -> None:
        self._tables.rosters.pop((project, kind, name), None)


def _shows(device: Device) -> bool:
    return device.state is DeviceState.ACTIVE and device.permission in (Permission.GRANTED, Permission.PROVISIONAL)


def rosters_of(tables: Tables, project: Key, kind: RosterKind, user: Key) -> list[str]:
    """The names of the lists that a person is on."""
    named = tables.rosters.items()
    return sorted(name for (owner, of, name), on in named if (owner, of) == (project, kind) and user in on)


def members_of(tables: Tables, crowd: Crowd, users: Sequence[Key]) -> frozenset[Key]:
    """Who of these people is in it."""
    return frozenset(key for key in users if holds(crowd.rule, known(tables, key), crowd.segments, crowd.now))


def known(tables: Tables, key: Key) -> Known:
    """Everything that is stored about a person."""
    user = tables.users[key]
    words = last_words(tables.consents, {key})
    return Known(
        user=user,
        bucket=tables.buckets[key],
        devices=[device for device in tables.devices.values() if device.user == key],
        consents={(category, channel): granted for (_, category, channel), granted in words.items()},
        events=[event for _, event in tables.events.values() if event.user == key],
        topics=rosters_of(tables, user.project, "topic", key),
        lists=rosters_of(tables, user.project, "list", key),
    )
