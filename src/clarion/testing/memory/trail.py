"""Notifications and what became of them, in memory."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from clarion.model import DeliveryState, Key, Millis, Notification, Reason, Receipt
from clarion.ports import (
    DELIVERIES,
    LATE_MS,
    CatchUpWork,
    DecisionRecord,
    DeliveryRecord,
    NewWork,
    Page,
    Place,
    Progress,
    ReceiptRecord,
    Standing,
    queue_of,
)
from clarion.testing.memory.effects import EffectsWriter
from clarion.testing.memory.tables import DecisionRow, DeliveryRow, Tables, page
from clarion.testing.memory.work import waits_until


class MemoryTrail:
    """`ports.Trail`."""

    def __init__(self, tables: Tables, effects: EffectsWriter) -> None:
        self._tables = tables
        self._effects = effects

    async def reserve(self, count: int) -> list[Key]:
        return [next(self._tables.keys) for _ in range(count)]

    async def notification(self, project: Key, id: str) -> Notification | None:
        key = self._tables.notification_keys.get((project, id))
        return None if key is None else self._tables.notifications[key]

    async def load(self, project: Key, keys: Sequence[Key]) -> dict[Key, Notification]:
        return {key: self._tables.notifications[key] for key in keys if self._tables.project_of(key) == project}

    async def notifications(self, project: Key, cursor: str | None, limit: int) -> Page[Notification]:
        """Newest first."""
        mine = [row for row in self._tables.notifications.values() if row.project == project]
        return page(sorted(mine, key=lambda row: -row.key), cursor, limit)

    async def cancel(self, project: Key, key: Key, now: Millis) -> bool:
        known = (await self.load(project, [key])).get(key)
        if known is None or known.cancelled_at is not None:
            return False
        self._tables.notifications[key] = msgspec.structs.replace(known, cancelled_at=now)
        for job in self._tables.jobs.values():
            if job.notification == key:
                job.due_at, job.ends_at = 0, now
        return True

    async def fire(self, project: Key, key: Key, now: Millis) -> list[str]:
        known = (await self.load(project, [key])).get(key)
        if known is None or not known.is_armed or known.expires_at <= now or known.cancelled_at is not None:
            return []
        self._tables.notifications[key] = fired = msgspec.structs.replace(known, fired_at=now)
        self._effects.put(NewWork(project=project, job=CatchUpWork(notification=key), due_at=now, notification=key))
        queues = {"audience"}
        for job in self._tables.jobs.values():
            if job.notification == key and queue_of(job.job, project).startswith(DELIVERIES):
                if job.leased_until is None and job.due_at > now:
                    job.due_at, job.ends_at = now, fired.expires_at + LATE_MS + 1
                queues.add(queue_of(job.job, project))
        return sorted(queues)

    async def holders(self, project: Key, first: Key, newest: Key, after: Key, limit: int) -> list[Key]:
        if self._tables.project_of(first) != project:
            return []
        had_it = {
            user
            for (key, user), row in self._tables.decisions.items()
            if key == first and user > after and row.decision.reason in (Reason.SEND, Reason.SUPERSEDED)
        }
        return sorted(user for user in had_it if (newest, user) not in self._tables.decisions)[:limit]

    async def standings(self, project: Key, first: Key, users: Sequence[Key]) -> list[Standing]:
        family = {
            key
            for key, one in self._tables.notifications.items()
            if one.project == project and (key == first or (one.update is not None and one.update.first == first))
        }
        return [
            Standing(key, row.delivery.user, device, row.state, row.reason)
            for (key, _, device), row in self._tables.deliveries.items()
            if key in family and row.delivery.user in users
        ]

    async def progress(self, project: Key, key: Key) -> Progress:
        if self._tables.project_of(key) != project:
            return Progress({}, {}, None)
        decisions = [row for row in self._tables.decisions.values() if row.decision.notification == key]
        deliveries = [row for row in self._tables.deliveries.values() if row.delivery.notification == key]
        return Progress(
            reasons=dict(Counter(str(row.decision.reason) for row in decisions)),
            deliveries=dict(Counter(row.state for row in deliveries)),
            due_at=min(
                (waits_until(job) for job in self._tables.jobs.values() if job.notification == key), default=None
            ),
        )

    async def decisions(
        self,
        project: Key,
        *,
        notification: Key | None,
        user: Key | None,
        reason: Reason | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DecisionRecord]:
        rows = [
            row
            for row in self._tables.decisions.values()
            if self._tables.project_of(row.decision.notification) == project
            and notification in {None, row.decision.notification}
            and user in {None, row.decision.user}
            and reason in {None, row.decision.reason}
        ]
        rows.sort(key=lambda row: (-row.decision.notification, row.decision.user))
        return page([self._decision(row) for row in rows], cursor, limit)

    async def deliveries(
        self,
        project: Key,
        *,
        notification: Key | None,
        user: Key | None,
        state: DeliveryState | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DeliveryRecord]:
        rows = [
            row
            for row in self._tables.deliveries.values()
            if self._tables.project_of(row.delivery.notification) == project
            and notification in {None, row.delivery.notification}
            and user in {None, row.delivery.user}
            and state in {None, row.state}
        ]
        rows.sort(key=lambda row: (-row.delivery.notification, row.delivery.user, row.delivery.device))
        return page([self._delivery(row) for row in rows], cursor, limit)

    async def add_receipts(self, receipts: Sequence[Receipt], now: Millis) -> list[bool]:
        return [self._effects.receive(receipt, now) for receipt in receipts]

    async def receipts_of_user(self, project: Key, user: Key, limit: int) -> list[ReceiptRecord]:
        """Newest first."""
        mine = [row for row in self._tables.receipts.values() if (row.project, row.user) == (project, user)]
        mine.sort(key=lambda row: row.at, reverse=True)
        return [ReceiptRecord(row.notification, row.device, row.kind, row.action, row.at) for row in mine[:limit]]

    def _decision(self, row: DecisionRow) -> DecisionRecord:
        decision = row.decision
        about = self._tables.notifications[decision.notification]
        return DecisionRecord(
            notification_id=about.id,
            user_id=self._tables.users[decision.user].user_id,
            reason=decision.reason,
            until=decision.until,
            gates=decision.gates,
            at=decision.at,
            revision=row.revision,
            notification=about.key,
            updates=None if about.update is None else about.update.first,
            digest_id=self._digest_id(decision.user, decision.notification),
            campaign=self._tables.notifications[decision.notification].campaign,
        )

    def _digest_id(self, user: Key, notification: Key) -> str | None:
        _, digest = self._tables.collected.get((user, notification), (None, None))
        return self._tables.notifications[digest].id if digest is not None else None

    def _waits_for(self, row: DeliveryRow) -> Reason | None:
        if self._tables.notifications[row.delivery.notification].is_paused and row.state is DeliveryState.QUEUED:
            return Reason.PAUSED
        return Reason.PROVIDER_DOWN if self._is_held(row) else None

    def _is_held(self, row: DeliveryRow) -> bool:
        """Whether it waits for a push service that nothing is sent to for now."""
        device = self._tables.devices.get(row.delivery.device)
        if device is None or row.state is not DeliveryState.QUEUED:
            return False
        return Place(device.project, device.kind, device.lane) in self._tables.stoppages

    def _delivery(self, row: DeliveryRow) -> DeliveryRecord:
        delivery = row.delivery
        return DeliveryRecord(
            notification=delivery.notification,
            notification_id=self._tables.notifications[delivery.notification].id,
            user_id=self._tables.users[delivery.user].user_id,
            device=delivery.device,
            device_id=self._tables.device_ids[delivery.device],
            kind=delivery.kind,
            state=row.state,
            reason=self._waits_for(row) or row.reason,
            provider_id=row.provider_id,
            attempts=row.attempts,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
