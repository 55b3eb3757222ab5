"""Sums over the newest rows, counted one by one."""

from collections import Counter
from collections.abc import Mapping, Sequence

from clarion.model import DeliveryState, Key, Millis
from clarion.ports import HOUR_MS, Decided, Delivered, Tally
from clarion.testing.memory.tables import Tables


class MemoryTallies:
    """See `ports.Tallies`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def lately(self, project: Key, since: Millis, most: int) -> Tally:
        decided = [row.decision for row in self._tables.decisions.values()]
        decided = [one for one in decided if self._tables.project_of(one.notification) == project]
        decided.sort(key=lambda one: (-one.notification, -one.user))
        sent = [
            row
            for row in self._tables.deliveries.values()
            if self._tables.project_of(row.delivery.notification) == project
        ]
        sent.sort(key=lambda row: (-row.delivery.notification, -row.delivery.user))
        reasons = Counter((self._hour(one.notification), one.reason) for one in decided[:most])
        states = Counter((self._hour(row.delivery.notification), row.delivery.kind, row.state) for row in sent[:most])
        whole = all(
            sum(found.values()) < most or min(hours) + HOUR_MS <= since
            for found, hours in ((reasons, [key[0] for key in reasons]), (states, [key[0] for key in states]))
        )
        return Tally(
            [Decided(*key, count) for key, count in reasons.items() if key[0] + HOUR_MS > since],
            [Delivered(*key, count) for key, count in states.items() if key[0] + HOUR_MS > since],
            whole,
        )

    async def of_notifications(
        self, project: Key, notifications: Sequence[Key], most: int
    ) -> Mapping[Key, Mapping[DeliveryState, int]]:
        found: dict[Key, Counter[DeliveryState]] = {}
        rows = sorted(self._tables.deliveries.values(), key=lambda row: (row.delivery.user, row.delivery.device))
        for row in rows:
            key = row.delivery.notification
            if key in notifications and self._tables.project_of(key) == project:
                counted = found.setdefault(key, Counter())
                if counted.total() < most:
                    counted[row.state] += 1
        return found

    def _hour(self, notification: Key) -> Millis:
        found = self._tables.notifications[notification]
        due = found.fired_at or found.send_at or found.created_at
        return due - due % HOUR_MS
