"""Lanes that are held back, in memory."""

from collections.abc import Sequence

import msgspec

from clarion.model import DeviceKind, Key, Millis
from clarion.ports import Place, Stoppage
from clarion.testing.memory.tables import Tables, drop


class MemoryStoppages:
    """`ports.Stoppages`."""

    def __init__(self, tables: Tables) -> None:
        self._rows = tables.stoppages

    async def all(self) -> Sequence[Stoppage]:
        return sorted(self._rows.values(), key=lambda row: (row.since, row.kind, row.lane))

    async def of_project(self, project: Key) -> Sequence[Stoppage]:
        return [row for row in await self.all() if row.project == project]

    async def put(self, stoppage: Stoppage) -> None:
        known = self._rows.get(stoppage.place, stoppage)
        self._rows[stoppage.place] = msgspec.structs.replace(stoppage, since=known.since)

    async def claim_probe(self, place: Place, now: Millis, until: Millis) -> bool:
        known = self._rows.get(place)
        if known is None or known.again_at > now:
            return False
        self._rows[place] = msgspec.structs.replace(known, again_at=until)
        return True

    async def end(self, place: Place) -> bool:
        return self._rows.pop(place, None) is not None

    async def end_kind(self, project: Key, kind: DeviceKind) -> Sequence[Stoppage]:
        ended = [row for row in await self.of_project(project) if row.kind is kind]
        drop(self._rows, lambda _, row: row in ended)
        return ended

    async def forget(self, before: Millis) -> int:
        return drop(self._rows, lambda _, row: row.again_at < before)
