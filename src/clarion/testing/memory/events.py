"""What happened, in memory."""

from collections.abc import Sequence

import msgspec

from clarion.model import Event, Key, Millis
from clarion.ports import EventsWork, NewWork
from clarion.testing.memory.tables import Tables, stored
from clarion.testing.memory.users import MemoryUsers
from clarion.testing.memory.work import MemoryWork


class MemoryEvents:
    """`ports.Events`."""

    def __init__(self, tables: Tables, users: MemoryUsers, work: MemoryWork) -> None:
        self._tables = tables
        self._users = users
        self._work = work

    async def add(self, project: Key, events: Sequence[Event], watched: frozenset[str], now: Millis) -> list[bool]:
        copies = [stored(event, Event) for event in events]
        users = await self._users.resolve(project, [event.user_id for event in copies], now, create=True)
        answers, started = [], []
        for event in copies:
            row = msgspec.structs.replace(event, key=next(self._tables.keys), user=users[event.user_id])
            new = self._keep(project, row)
            answers.append(new)
            started += [_key(row)] if new and row.name in watched else []
        if started:
            self._work.put(NewWork(project, EventsWork(started), due_at=now))
        return answers

    def _keep(self, project: Key, event: Event) -> bool:
        """Store the event unless its id is known."""
        if event.id is not None and self._tables.event_ids.setdefault((project, event.id), _key(event)) != event.key:
            return False
        self._tables.events[_key(event)] = project, event
        return True

    async def load(self, project: Key, keys: Sequence[Key]) -> list[Event]:
        wanted = set(keys)
        return [event for key, (owner, event) in self._tables.events.items() if owner == project and key in wanted]

    async def of_user(self, project: Key, user: Key, limit: int) -> list[Event]:
        mine = [event for owner, event in self._tables.events.values() if (owner, event.user) == (project, user)]
        return sorted(mine, key=lambda event: (event.occurred_at, event.key), reverse=True)[:limit]

    async def forget(self, project: Key, before: Millis) -> int:
        old = [
            key
            for key, (owner, event) in self._tables.events.items()
            if owner == project and event.occurred_at < before
        ]
        for key in old:
            _, event = self._tables.events.pop(key)
            self._tables.event_ids.pop((project, event.id or ""), None)
        return len(old)


def _key(event: Event) -> Key:
    assert event.key is not None
    return event.key
