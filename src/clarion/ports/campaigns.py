"""Campaigns as stored: what is defined, how far it is, and what its runs came to."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from clarion.model import CampaignGoal, CampaignRecord, Key, Millis, Notification
from clarion.ports.nouns import Page
from clarion.ports.work import Effects


class CampaignRuns(StrEnum):
    """What becomes of the runs that are open, in the transaction that changes their campaign."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class Reached(msgspec.Struct, frozen=True):
    """How many people tapped, and how many reached the goal: their first such event counts."""

    tapped: int
    converted: int | None


class Campaigns(Protocol):
    """By project and name. A record is changed as it was read, or not at all: whoever comes second looks again."""

    async def add(self, record: CampaignRecord) -> bool:
        """False, and nothing changed, when there is one of that name."""
        ...

    async def get(self, project: Key, name: str) -> CampaignRecord | None: ...
    async def page(self, project: Key, cursor: str | None, limit: int) -> Page[CampaignRecord]: ...
    async def change(
        self, before: CampaignRecord, after: CampaignRecord, effects: Effects, runs: CampaignRuns | None, now: Millis
    ) -> bool:
        """Replace it and write what goes with that, in one transaction; False, and nothing, when `before` is old."""
        ...

    async def delete(self, before: CampaignRecord) -> bool:
        """False when `before` is old."""
        ...

    async def due(self, now: Millis, limit: int) -> list[CampaignRecord]:
        """Those of all projects that should run by now, longest due first."""
        ...

    async def running(self) -> list[CampaignRecord]:
        """Those of all projects that have open runs, and are not paused."""
        ...

    async def unfinished(self, project: Key, runs: Sequence[Key]) -> set[Key]:
        """Those of these notifications of which a job waits or is being done."""
        ...

    async def runs_of(self, project: Key, name: str, after: Key, limit: int) -> list[Notification]:
        """The runs of a campaign whose key is greater, newest first."""
        ...

    async def people(self, project: Key) -> int:
        """How many users a project has."""
        ...

    async def reached(self, project: Key, runs: Sequence[Key], goal: CampaignGoal | None) -> Reached:
        """What these runs came to, in people."""
        ...
