"""The queue, in memory: leased and fenced as in a database."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from clarion.model import Key, Millis
from clarion.ports import SET_ASIDE_MS, Job, Lease, NewWork, PairsWork, ends_of, gathered, queue_of
from clarion.testing.memory.tables import JobRow, Tables


class MemoryWork:
    """`ports.Work`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._jobs = tables.jobs

    async def claim(self, queue: str, limit: int, now: Millis, lease_ms: int) -> list[Lease]:
        due = [row for row in self._jobs.values() if _queue(row) == queue and waits_until(row) <= now]
        due.sort(key=lambda row: (row.due_at, row.key))
        return [_leased(row, now + lease_ms) for row in due[:limit]]

    async def renew(self, leases: Sequence[Lease], until: Millis) -> None:
        for row in filter(None, map(self._held, leases)):
            row.leased_until = until

    async def release(self, lease: Lease, due_at: Millis, *, counts: bool = True) -> None:
        row = self._held(lease)
        if row is not None:
            row.due_at, row.leased_until = due_at, None
            row.attempts += counts
            row.token += 1

    async def gather(self, lease: Lease, now: Millis, most: int) -> Lease:
        row = self._held(lease)
        if row is None or not isinstance(row.job, PairsWork):
            return lease
        waiting = [one for one in self._jobs.values() if one.notification == row.notification]
        due = [one for one in waiting if one.leased_until is None and one.due_at <= now and not one.attempts]
        row.job, keys = gathered(row.job, [(one.key, one.job) for one in due], most)
        for key in keys:
            del self._jobs[key]
        return msgspec.structs.replace(lease, job=row.job)

    async def set_aside(self, lease: Lease, now: Millis) -> None:
        about = self._tables.notifications.get(lease.notification or 0)
        await self.release(lease, now + (SET_ASIDE_MS if about is not None and about.is_paused else 0), counts=False)

    async def waiting(self) -> dict[str, Millis]:
        found: dict[str, Millis] = {}
        for row in self._jobs.values():
            due = waits_until(row)
            found[_queue(row)] = min(due, found.get(_queue(row), due))
        return found

    async def postpone(self, queue: str, until: Millis) -> None:
        for row in self._jobs.values():
            if _queue(row) == queue and row.leased_until is None:
                row.due_at = max(row.due_at, until if row.ends_at is None else min(until, row.ends_at))

    async def hasten(self, prefix: str, now: Millis, until: Millis) -> None:
        for row in self._jobs.values():
            if _queue(row).startswith(prefix) and row.leased_until is None and row.due_at <= until:
                row.due_at = min(row.due_at, now)

    async def backlog(self) -> dict[str, int]:
        return dict(Counter(map(_queue, self._jobs.values())))

    def put(self, new: NewWork) -> None:
        """Store a job, as a copy that is shared with nobody."""
        job: Job = msgspec.msgpack.decode(msgspec.msgpack.encode(new.job), type=Job)
        key: Key = next(self._tables.keys)
        self._jobs[key] = JobRow(
            key, new.project, job, new.notification, new.due_at, new.attempts, ends_at=ends_of(job)
        )

    def finish(self, lease: Lease) -> bool:
        """Remove the job if the lease still holds it."""
        held = self._held(lease)
        if held is not None:
            del self._jobs[held.key]
        return held is not None

    def _held(self, lease: Lease) -> JobRow | None:
        row = self._jobs.get(lease.key)
        return row if row is not None and row.token == lease.token else None


def _queue(row: JobRow) -> str:
    return queue_of(row.job, row.project)


def waits_until(row: JobRow) -> Millis:
    """When the job may be claimed: a leased one when its lease runs out, so that a crash delays it and no more."""
    return row.due_at if row.leased_until is None else row.leased_until


def _leased(row: JobRow, until: Millis) -> Lease:
    row.token += 1
    row.leased_until = until
    return Lease(row.key, row.token, row.project, row.job, row.notification, row.attempts, until)
