"""Campaigns as the API shows them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from clarion.api.answers.base import Answer, Listing
from clarion.api.answers.sending import SHOWN_AUDIENCE, Counts, counts_of
from clarion.api.fields import Told, told, told_or_none
from clarion.journey.campaigns import Standing
from clarion.model import CampaignRecord, CampaignState, Json, Verdict


class CampaignSummary(Answer, frozen=True, kw_only=True):
    """A campaign: what was defined, and how far it is."""

    name: str
    state: CampaignState
    to: Json
    notification: Json
    schedule: Json
    rate: int | None
    expires_at: Told | None
    goal: Json | None
    next_run_at: Annotated[Told | None, Meta(description="When it runs next; null: not any more, or not yet known.")]
    runs_begun: int
    runs_missed: Annotated[int, Meta(description="Left out because they would have come too late.")]
    created_at: Told
    started_at: Told | None
    paused_at: Told | None
    ended_at: Told | None

    @classmethod
    def of(cls, record: CampaignRecord) -> "CampaignSummary":
        """As the API shows it."""
        return cls(**summary(record))


class RunAnswer(Answer, frozen=True, kw_only=True):
    """One run of a campaign: the notification of this id."""

    id: str
    at: Told
    cancelled_at: Told | None


class ProgressAnswer(Answer, frozen=True, kw_only=True):
    """How far the runs are that are under way, or how far the last one came."""

    audience: Annotated[int | None, Meta(description="How many people the last run was for as it began.")]
    decided: Annotated[int, Meta(description="People of whom it is known for good what becomes of them.")]
    held: Annotated[int, Meta(description="People who wait: `counts.reasons` says for what.")]
    counts: Counts
    tapped: Annotated[int, Meta(description="People.")]
    converted: Annotated[int | None, Meta(description="People who reached the goal in time; null: there is no goal.")]


class CampaignAnswer(CampaignSummary, frozen=True, kw_only=True):
    """A campaign with its progress and its newest runs."""

    progress: ProgressAnswer
    runs: list[RunAnswer]

    @classmethod
    def of(cls, standing: Standing) -> "CampaignAnswer":  # type: ignore[override]
        """As the API shows it."""
        progress = standing.progress
        deliveries = {state.name.lower(): number for state, number in progress.deliveries.items()}
        counts = counts_of(progress.reasons, deliveries)
        held = counts.decisions.get(Verdict.HOLD, 0)
        return cls(
            **summary(standing.record),
            progress=ProgressAnswer(
                audience=standing.record.audience,
                decided=sum(counts.decisions.values()) - held,
                held=held,
                counts=counts,
                tapped=standing.reached.tapped,
                converted=standing.reached.converted,
            ),
            runs=[
                RunAnswer(
                    id=one.id, at=told(one.send_at or one.created_at), cancelled_at=told_or_none(one.cancelled_at)
                )
                for one in standing.runs
            ],
        )


class CampaignList(Listing, frozen=True, kw_only=True):
    """Campaigns by name."""

    items: list[CampaignSummary]


def summary(record: CampaignRecord) -> Json:
    """The fields of a summary."""
    campaign = record.campaign
    return {
        "name": campaign.name,
        "state": record.state,
        "to": _audience(record),
        "notification": msgspec.to_builtins(campaign.notification),
        "schedule": _schedule(record),
        "rate": campaign.rate,
        "expires_at": told_or_none(campaign.expires_at),
        "goal": None if campaign.goal is None else msgspec.to_builtins(campaign.goal),
        "next_run_at": told_or_none(record.due_at),
        "runs_begun": record.runs,
        "runs_missed": record.skipped,
        "created_at": told(record.created_at),
        "started_at": told_or_none(record.started_at),
        "paused_at": told_or_none(record.paused_at),
        "ended_at": told_or_none(record.ended_at),
    }


def _audience(record: CampaignRecord) -> Json:
    """Of a long list of users the first thousand, and how many there are."""
    to = {name: value for name, value in msgspec.to_builtins(record.campaign.to).items() if value is not None}
    users = to.get("users", ())
    return to if len(users) <= SHOWN_AUDIENCE else {"users": users[:SHOWN_AUDIENCE], "total": len(users)}


def _schedule(record: CampaignRecord) -> Json:
    """As it may be sent back."""
    schedule = record.campaign.schedule
    local = schedule.local_time
    when: Json = {
        "at": told_or_none(schedule.at),
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "local_time": None if local is None else local.at,
        "local_time_passed": None if local is None else local.passed,
        "missed": schedule.missed,
        "tolerance_s": schedule.tolerance_s,
    }
    return when if any((schedule.at, schedule.cron, local)) else {"now": True, **when}
