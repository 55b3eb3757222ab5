"""Campaigns: one message to many, when it should go out, how fast, and what it is for."""

from enum import StrEnum
from typing import Literal

from clarion.model.notifications import Audience, LocalTime, Message
from clarion.model.words import Key, Millis, Struct

MISSED_TOLERANCE_S = 300


class CampaignState(StrEnum):
    """How far a campaign is. The last two are for good."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class Schedule(Struct, frozen=True, kw_only=True):
    """When a campaign runs: as it is started, else at a moment, or whenever `cron` says so in `timezone`.

    `local_time`: each person gets it by the clock on their own wall; beside `cron`, on the day that it says. `missed`:
    what becomes of a run that comes more than `tolerance_s` late because no process was there.
    """

    at: Millis | None = None
    cron: str | None = None
    timezone: str | None = None
    local_time: LocalTime | None = None
    missed: Literal["catch_up", "skip"] = "catch_up"
    tolerance_s: int = MISSED_TOLERANCE_S


class CampaignGoal(Struct, frozen=True, kw_only=True):
    """What people should do after the message: this event, so many seconds after it was decided to send."""

    event: str
    within: int


class Campaign(Struct, frozen=True, kw_only=True):
    """What a project defines. `rate`: people a second; `expires_at`: nothing of it is sent then or later."""

    name: str
    to: Audience
    notification: Message
    schedule: Schedule = Schedule()
    rate: int | None = None
    expires_at: Millis | None = None
    goal: CampaignGoal | None = None


class CampaignRecord(Struct, frozen=True, kw_only=True):
    """A campaign as stored, with how far it is.

    `due_at`: when it runs next. `open`: its runs of which something is to come, `last` the one that began last, with
    as many people in its `audience` then. `skipped`: runs that were missed. `number`: tells it from others that had its
    name before, and is smaller than the keys of its runs. `changed`: counts its changes.
    """

    project: Key
    campaign: Campaign
    state: CampaignState
    number: Key
    created_at: Millis
    changed: int = 0
    due_at: Millis | None = None
    open: tuple[Key, ...] = ()
    last: Key | None = None
    audience: int | None = None
    runs: int = 0
    skipped: int = 0
    started_at: Millis | None = None
    paused_at: Millis | None = None
    ended_at: Millis | None = None
    sent_by: str | None = None
