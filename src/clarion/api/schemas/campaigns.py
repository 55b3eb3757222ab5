"""Campaigns: one message to many, when, how fast, and what for."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from clarion.api.fields import EventName, Instant, LocalClock, Name, Passed, TimeZone
from clarion.api.schemas.base import Body
from clarion.api.schemas.messages import AudienceBody, MessageBody

MAX_RATE = 1_000_000
MAX_WITHIN_S = 90 * 86_400
MAX_TOLERANCE_S = 7 * 86_400


class ScheduleBody(Body, frozen=True, kw_only=True):
    """When it runs: exactly one of `now`, `at`, `cron` and `local_time`; `cron` may have a time of day beside it."""

    now: Literal[True] | None = None
    at: Instant | None = None
    cron: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=255,
                description="Minute, hour, day, month, weekday; by the clock in `timezone`.",
                examples=["0 9 * * 1-5"],
            ),
        ]
        | None
    ) = None
    timezone: TimeZone | None = None
    local_time: LocalClock | None = None
    local_time_passed: Passed | None = None
    missed: (
        Annotated[
            Literal["catch_up", "skip"],
            Meta(description="What becomes of a run that comes late because no server was up: catch_up unless given."),
        ]
        | None
    ) = None
    tolerance_s: (
        Annotated[int, Meta(ge=0, le=MAX_TOLERANCE_S, description="So late is not missed; 300 unless given.")] | None
    ) = None


class CampaignGoalBody(Body, frozen=True, kw_only=True):
    """What people should do after the message."""

    event: EventName
    within: Annotated[int, Meta(ge=1, le=MAX_WITHIN_S, description="Seconds after it was sent.", examples=[86_400])]


class CampaignPut(Body, frozen=True, kw_only=True):
    """One message to many, replaced as a whole while it does not run."""

    name: Name | None = None
    to: AudienceBody
    notification: MessageBody
    schedule: ScheduleBody | None = None
    rate: Annotated[int, Meta(ge=1, le=MAX_RATE, description="People a second; null: as fast as it goes.")] | None = (
        None
    )
    expires_at: Annotated[Instant, Meta(description="Nothing of it is sent then or later.")] | None = None
    goal: CampaignGoalBody | None = None
    state: Annotated[Any, Meta(description="As it was read; not looked at.")] = None


class CampaignPost(CampaignPut, frozen=True, kw_only=True):
    """One message to many: a draft, until it is started."""

    name: Name
