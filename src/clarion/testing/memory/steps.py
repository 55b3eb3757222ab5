"""What the workers' steps read and write, in memory."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from clarion.model import (
    DeliveryState,
    Device,
    DeviceState,
    Key,
    Millis,
    Permission,
    Reason,
    User,
    Verdict,
    verdict_of,
)
from clarion.ports import (
    Address,
    Asked,
    Changes,
    Collected,
    Effects,
    Facts,
    FactsQuery,
    Happened,
    Lease,
    Recipient,
    Target,
)
from clarion.testing.memory.audiences import members_of
from clarion.testing.memory.collecting import collected_of
from clarion.testing.memory.effects import EffectsWriter
from clarion.testing.memory.runs import runs_of
from clarion.testing.memory.slots import caps_facts, forget_slots
from clarion.testing.memory.tables import Tables
from clarion.testing.memory.users import last_words
from clarion.testing.memory.work import MemoryWork


class MemoryDeciding:
    """`ports.Deciding`."""

    def __init__(self, facts: Facts, write: Callable[[Effects, Lease | None], bool]) -> None:
        self.facts = facts
        self._write = write

    async def commit(self, lease: Lease, effects: Effects) -> bool:
        return self._write(effects, lease)


class MemorySteps:
    """`ports.Steps`. Decidings are one after the other, as with SQLite's single writer."""

    def __init__(self, tables: Tables, work: MemoryWork, effects: EffectsWriter) -> None:
        self._tables = tables
        self._work = work
        self._effects = effects
        self._turn = asyncio.Lock()

    async def facts(self, project: Key, query: FactsQuery) -> Facts:
        users = self._users(project, query)
        keys = {user.key for user in users}
        targets = self._targets(project, keys)
        words = last_words(self._tables.consents, keys)
        asked = {key: self._tables.preferences[key][0] for key in keys & self._tables.preferences.keys()}
        if not query.preferences:
            asked = {}
        zones = self._zones(users) if query.zones or any(each.quiet_hours for each in asked.values()) else {}
        return Facts(
            recipients=[
                Recipient(
                    key=user.key,
                    user_id=user.user_id,
                    locale=user.locale,
                    timezone=user.timezone,
                    attributes=msgspec.json.encode(user.attributes),
                    targets=targets[user.key],
                    consents={
                        (category, channel): granted
                        for (owner, category, channel), granted in words.items()
                        if owner == user.key and category in query.categories
                    },
                    preferences=asked.get(user.key),
                    zone=zones.get(user.key),
                )
                for user in users
            ],
            sent_content={
                (user, content): at
                for (user, content), at in self._tables.sent_content.items()
                if user in keys and content in query.content
            },
            events=self._events(project, keys, query),
            decided=frozenset(
                pair
                for pair, row in self._tables.decisions.items()
                if pair[0] in query.once and pair[1] in keys
                if not (query.held and verdict_of(row.decision.reason) is Verdict.HOLD)
            ),
            **self._before(keys, query),
            runs=[] if query.runs is None else runs_of(self._tables, project, sorted(keys), query.runs),
            members={crowd.name: members_of(self._tables, crowd, sorted(keys)) for crowd in query.crowds},
            collected=collected_of(self._tables, keys) if query.collected else {},
            **caps_facts(self._tables, project, keys, query.caps),
        )

    def _zones(self, users: list[User]) -> dict[Key, str | None]:
        """Their own time zones, else those of the devices that were seen last."""
        active = [row for row in self._tables.devices.values() if row.state is DeviceState.ACTIVE and row.timezone]
        by_sight = sorted(active, key=lambda row: (row.registered_at, row.key))
        told = {row.user: row.timezone for row in by_sight}
        return {user.key: user.timezone or told.get(user.key) for user in users}

    def _events(self, project: Key, users: set[Key], query: FactsQuery) -> dict[tuple[Key, str], list[Happened]]:
        found: defaultdict[tuple[Key, str], list[Happened]] = defaultdict(list)
        for key, (owner, event) in sorted(self._tables.events.items(), key=lambda one: one[0]):
            asked = event.name in query.events and event.occurred_at >= query.events_since
            if owner == project and event.user in users and asked:
                happened = Happened(key, event.occurred_at, msgspec.json.encode(event.properties))
                found[event.user, event.name].append(happened)
        return dict(found)

    def _before(self, users: set[Key], query: FactsQuery) -> dict[str, Any]:
        lost = (DeliveryState.FAILED, DeliveryState.EXPIRED)
        return {
            "begun": frozenset(
                identity
                for identity, row in self._tables.deliveries.items()
                if identity[0] in query.again and identity[1] in users and row.state not in lost
            ),
            "chosen": {
                identity: row.decision.at
                for identity, row in self._tables.decisions.items()
                if identity[0] in query.again and identity[1] in users and row.decision.reason is Reason.SEND
            },
        }

    def deciding(self, project: Key, query: FactsQuery) -> AbstractAsyncContextManager[MemoryDeciding]:
        return self._deciding(project, query)

    async def commit(self, effects: Effects, lease: Lease | None = None) -> bool:
        return self._write(effects, lease)

    async def addresses(self, project: Key, devices: Sequence[Key]) -> dict[Key, Address]:
        found = {key: self._tables.devices.get(key) for key in devices}
        return {
            key: Address(key, device.user, device.kind, device.address, msgspec.json.encode(device.details))
            for key, device in found.items()
            if device is not None and device.project == project and device.address is not None and _reachable(device)
        }

    async def asked(self, project: Key, users: Sequence[Key], *, zones: bool) -> dict[Key, Asked]:
        told = (await self.facts(project, FactsQuery(users=users, preferences=True, zones=zones))).recipients
        every = {one.key: Asked(one.preferences, one.zone if zones or _hours(one) else None) for one in told}
        return {key: one for key, one in every.items() if one != Asked()}

    async def refused_since(
        self, project: Key, users: Sequence[Key], since: Millis
    ) -> dict[tuple[Key, str, str], bool]:
        mine = {key for key in users if self._tables.user(project, key)}
        return last_words([line for line in self._tables.consents if line.at >= since], mine)

    async def collected(self, project: Key, users: Sequence[Key]) -> list[Collected]:
        mine = {key for key in users if self._tables.user(project, key)}
        return [one for rows in collected_of(self._tables, mine).values() for one in rows]

    async def paused(self, project: Key, users: Sequence[Key], now: Millis) -> frozenset[Key]:
        asked = self._tables.preferences
        found = {key: asked[key][0].marketing_paused_until for key in users if key in asked}
        return frozenset(key for key, until in found.items() if self._tables.user(project, key) and (until or 0) > now)

    async def changes(self, project: Key, since: Millis) -> Changes:
        tables = self._tables
        gone = [(user, successor, at) for owner, user, successor, at in tables.departed if owner == project]
        devices = [(row, row.updated_at) for row in tables.devices.values()] + tables.removed
        found: list[tuple[Key | None, Millis]] = [
            *((line.user, line.at) for line in tables.consents if tables.user(project, line.user)),
            *((user, at) for user, (_, at) in tables.preferences.items() if tables.user(project, user)),
            *((user, at) for user, _, at in gone),
            *((successor, at) for _, successor, at in gone),
            *((device.user, at) for device, at in devices if device.project == project),
        ]
        return Changes(
            users=_latest([(user, at) for user, at in found if user is not None and at >= since]),
            devices=_latest([(row.key, at) for row, at in devices if row.project == project and at >= since]),
            successors={user: successor for user, successor, at in gone if at >= since},
        )

    async def forget_slots(self, before: Millis, after: Key, users: int) -> Key | None:
        return forget_slots(self._tables, before, after, users)

    async def user_span(self, project: Key, after: Key, size: int, limit: int) -> list[tuple[Key, Key]]:
        keys = sorted(key for key, user in self._tables.users.items() if user.project == project and key > after)
        starts = range(0, len(keys), size)
        return [(keys[start], keys[start : start + size][-1]) for start in starts][:limit]

    @asynccontextmanager
    async def _deciding(self, project: Key, query: FactsQuery) -> AsyncIterator[MemoryDeciding]:
        async with self._turn:
            yield MemoryDeciding(await self.facts(project, query), self._write)

    def _write(self, effects: Effects, lease: Lease | None) -> bool:
        if lease is not None and not self._work.finish(lease):
            return False
        self._effects.write(effects)
        return True

    def _users(self, project: Key, query: FactsQuery) -> list[User]:
        named = set(query.users or ())
        first, last = query.span or (1, 0)
        return [
            user
            for key, user in sorted(self._tables.users.items())
            if user.project == project and (key in named or first <= key <= last)
        ]

    def _targets(self, project: Key, users: set[Key]) -> defaultdict[Key, list[Target]]:
        targets: defaultdict[Key, list[Target]] = defaultdict(list)
        for key, device in sorted(self._tables.devices.items()):
            if device.project == project and device.user in users and device.state is DeviceState.ACTIVE:
                targets[device.user].append(Target(key, device.kind, device.permission, device.locale, device.lane))
        return targets


def _hours(one: Recipient) -> bool:
    return one.preferences is not None and one.preferences.quiet_hours is not None


def _latest(found: list[tuple[Key, Millis]]) -> dict[Key, Millis]:
    return dict(sorted(found, key=lambda one: one[1]))


def _reachable(device: Device) -> bool:
    permitted = device.permission in {Permission.GRANTED, Permission.PROVISIONAL}
    return device.state is DeviceState.ACTIVE and permitted
