"""Campaigns, in memory."""

from collections.abc import Sequence

import msgspec

from clarion.model import CampaignGoal, CampaignRecord, CampaignState, DeliveryState, Key, Millis, Notification, Reason
from clarion.ports import SET_ASIDE_MS, CampaignRuns, Effects, Page, Reached
from clarion.testing.memory.effects import EffectsWriter
from clarion.testing.memory.tables import Tables, stored


class MemoryCampaigns:
    """`ports.Campaigns`."""

    def __init__(self, tables: Tables, effects: EffectsWriter) -> None:
        self._tables = tables
        self._effects = effects

    async def add(self, record: CampaignRecord) -> bool:
        if _name(record) in self._tables.campaigns:
            return False
        self._tables.campaigns[_name(record)] = stored(record, CampaignRecord)
        return True

    async def get(self, project: Key, name: str) -> CampaignRecord | None:
        return self._tables.campaigns.get((project, name))

    async def page(self, project: Key, cursor: str | None, limit: int) -> Page[CampaignRecord]:
        mine = sorted(name for owner, name in self._tables.campaigns if owner == project and name > (cursor or ""))
        found = [self._tables.campaigns[project, name] for name in mine[:limit]]
        return Page(found, found[-1].campaign.name if len(mine) > limit else None)

    async def change(
        self, before: CampaignRecord, after: CampaignRecord, effects: Effects, runs: CampaignRuns | None, now: Millis
    ) -> bool:
        if not self._is_as_read(before):
            return False
        self._tables.campaigns[_name(before)] = stored(after, CampaignRecord)
        for key in before.open if runs is not None else ():
            if self._tables.project_of(key) == before.project:
                self._turn(key, runs, now)
        self._effects.write(effects)
        return True

    async def delete(self, before: CampaignRecord) -> bool:
        if not self._is_as_read(before):
            return False
        del self._tables.campaigns[_name(before)]
        return True

    async def due(self, now: Millis, limit: int) -> list[CampaignRecord]:
        found = [one for one in self._tables.campaigns.values() if one.due_at is not None and one.due_at <= now]
        return sorted(found, key=lambda one: one.due_at or 0)[:limit]

    async def running(self) -> list[CampaignRecord]:
        return [one for one in self._tables.campaigns.values() if one.state is CampaignState.RUNNING]

    async def unfinished(self, project: Key, runs: Sequence[Key]) -> set[Key]:
        jobs = self._tables.jobs.values()
        return {job.notification for job in jobs if job.project == project and job.notification in runs}  # type: ignore[misc]

    async def runs_of(self, project: Key, name: str, after: Key, limit: int) -> list[Notification]:
        every = self._tables.notifications.values()
        mine = [one for one in every if (one.project, one.campaign) == (project, name) and one.key > after]
        return sorted(mine, key=lambda one: -one.key)[:limit]

    async def people(self, project: Key) -> int:
        return sum(user.project == project for user in self._tables.users.values())

    async def reached(self, project: Key, runs: Sequence[Key], goal: CampaignGoal | None) -> Reached:
        runs = [key for key in runs if self._tables.project_of(key) == project]
        rows = self._tables.deliveries.values()
        clicked = {row.delivery.user for row in rows if row.delivery.notification in runs and row.state == _CLICKED}
        if goal is None:
            return Reached(len(clicked), None)
        sent = [
            row.decision
            for (key, _), row in self._tables.decisions.items()
            if key in runs and row.decision.reason is Reason.SEND
        ]
        happened = [one for owner, one in self._tables.events.values() if owner == project and one.name == goal.event]
        done = {
            one.user
            for one in happened
            for decision in sent
            if one.user == decision.user and decision.at <= one.occurred_at < decision.at + goal.within * 1000
        }
        return Reached(len(clicked), len(done))

    def _is_as_read(self, before: CampaignRecord) -> bool:
        now = self._tables.campaigns.get(_name(before))
        return now is not None and now.changed == before.changed

    def _turn(self, key: Key, runs: CampaignRuns | None, now: Millis) -> None:
        known = self._tables.notifications[key]
        jobs = [job for job in self._tables.jobs.values() if job.notification == key and job.leased_until is None]
        if runs is CampaignRuns.CANCEL and known.cancelled_at is None:
            told = msgspec.structs.replace(known, cancelled_at=now, paused_at=None)
            for job in jobs:
                job.due_at, job.ends_at = 0, now
        elif runs is CampaignRuns.PAUSE and known.paused_at is None and known.cancelled_at is None:
            told = msgspec.structs.replace(known, paused_at=now)
            for job in jobs:
                job.due_at += SET_ASIDE_MS
        elif runs is CampaignRuns.RESUME and known.paused_at is not None:
            told = msgspec.structs.replace(known, paused_at=None)
            for job in jobs:
                job.due_at -= SET_ASIDE_MS
                if known.rate is not None and job.due_at >= known.paused_at:
                    job.due_at += now - known.paused_at
        else:
            return
        self._tables.notifications[key] = told


_CLICKED = DeliveryState.CLICKED


def _name(record: CampaignRecord) -> tuple[Key, str]:
    return record.project, record.campaign.name
