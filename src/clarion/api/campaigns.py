"""What callers say of a campaign, as the story's own noun; and how far it is, as they are told."""

from clarion.api import messages
from clarion.api.answers.campaigns import CampaignAnswer
from clarion.api.fields import check_zone, millis
from clarion.api.schemas.campaigns import CampaignPut, ScheduleBody
from clarion.errors import InvalidRequest
from clarion.journey.campaigns import Campaigns
from clarion.model import Campaign, CampaignGoal, Key, Millis, Schedule

_WAYS = ("now", "at", "cron", "local_time")


def campaign(body: CampaignPut, name: str, now: Millis) -> Campaign:
    """The noun. Raises InvalidRequest naming the field for what contradicts itself."""
    to = messages.audience(body.to)
    if to.devices is not None:
        raise InvalidRequest.field("to.devices", "must be left out: a campaign is for people")
    schedule = _schedule(body.schedule, now) if body.schedule is not None else Schedule()
    if body.rate is not None and schedule.local_time is not None:
        raise InvalidRequest.field("rate", "must be left out: by local time people come zone by zone")
    expires_at = None if body.expires_at is None else millis(body.expires_at, "expires_at")
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest.field("expires_at", "must be in the future")
    if expires_at is not None and schedule.at is not None and expires_at <= schedule.at:
        raise InvalidRequest.field("expires_at", "must be later than schedule.at")
    goal = None if body.goal is None else CampaignGoal(event=body.goal.event, within=body.goal.within)
    return Campaign(
        name=name,
        to=to,
        notification=messages.message(body.notification),
        schedule=schedule,
        rate=body.rate,
        expires_at=expires_at,
        goal=goal,
    )


def _schedule(body: ScheduleBody, now: Millis) -> Schedule:
    given = [way for way in _WAYS if getattr(body, way) is not None]
    if len(given) != 1 and given != ["cron", "local_time"]:
        raise InvalidRequest.field("schedule", f"must have exactly one of {', '.join(_WAYS)}")
    if (body.cron is None) is not (body.timezone is None):
        missing, other = ("cron", "timezone") if body.cron is None else ("timezone", "cron")
        raise InvalidRequest.field(f"schedule.{missing}", f"is needed beside {other}")
    check_zone(body.timezone, "schedule.timezone")
    if body.cron is not None and body.local_time is not None and "T" in body.local_time:
        raise InvalidRequest.field("schedule.local_time", "must be a time of day: cron says on which days")
    told = {name: getattr(body, name) for name in ("missed", "tolerance_s") if getattr(body, name) is not None}
    return Schedule(
        at=None if body.at is None else millis(body.at, "schedule.at"),
        cron=body.cron,
        timezone=body.timezone,
        local_time=messages.local_time(body.local_time, body.local_time_passed, now, "schedule.local_time"),
        **told,
    )


async def shown(campaigns: Campaigns, project: Key, name: str) -> CampaignAnswer:
    """How far it is. Raises NotFound."""
    return CampaignAnswer.of(await campaigns.standing(project, name))
