"""Campaigns: the list, and one of them with how far it is, what came of it, and the buttons that move it."""

from typing import Any
from urllib.parse import quote, urlencode

from clarion.dashboard import results, words
from clarion.dashboard.forms import posted
from clarion.dashboard.listing import audience_of, message_title
from clarion.dashboard.notifications import figures_of
from clarion.dashboard.rendering import away, page, part
from clarion.dashboard.session import PREFIX, Visit
from clarion.journey.campaigns import Standing
from clarion.model import CampaignRecord, CampaignState, Reason, Schedule, Verdict, verdict_of
from clarion.web.http import Answer

PAGE = 50
_S = CampaignState
_TONES = {_S.RUNNING: "good", _S.SCHEDULED: "wait", _S.PAUSED: "wait", _S.CANCELLED: "off"}
_MOVES = {
    "start": ("Start it", (_S.DRAFT,)),
    "pause": ("Pause", (_S.SCHEDULED, _S.RUNNING)),
    "resume": ("Go on", (_S.PAUSED,)),
    "cancel": ("Cancel it", (_S.SCHEDULED, _S.RUNNING, _S.PAUSED)),
}
"""By the last word of their path: what the button says, and in which states it is there."""


async def show_list(visit: Visit) -> Answer:
    """`GET /dashboard/campaigns?cursor=`."""
    cursor = visit.request.query.get("cursor")
    found = await visit.services.pipeline.campaigns.page(visit.project.key, cursor, PAGE)
    return page(
        visit,
        "campaigns",
        rows=[_row(visit, one) for one in found.items],
        next=f"{PREFIX}/campaigns?{urlencode({'cursor': found.next_cursor})}" if found.next_cursor else None,
        is_first=cursor is None,
    )


async def show_one(visit: Visit, name: str) -> Answer:
    """`GET /dashboard/campaigns/{name}`."""
    standing = await visit.services.pipeline.campaigns.standing(visit.project.key, name)
    zone = words.zone_of(visit.project.settings.default_timezone)
    runs = [{"id": one.id, "at": words.moment(one.send_at or one.created_at, zone)} for one in standing.runs]
    return page(
        visit,
        "campaign",
        campaign=_row(visit, standing.record),
        message=standing.record.campaign.notification,
        variants=results.wordings(standing.record.campaign.notification),
        runs_shown=runs,
        **_progress(standing),
    )


async def show_progress(visit: Visit, name: str) -> Answer:
    """`GET /dashboard/campaigns/{name}/progress`: the part of the page that moves."""
    standing = await visit.services.pipeline.campaigns.standing(visit.project.key, name)
    return part(visit, "campaign_progress", **_progress(standing))


async def start(visit: Visit, name: str) -> Answer:
    """`POST /dashboard/campaigns/{name}/start`. Here and below: raises Conflict where its state does not allow it."""
    await _may(visit)
    await visit.services.pipeline.campaigns.start(visit.project, name, sent_by=visit.key.id)
    return _back(name)


async def pause(visit: Visit, name: str) -> Answer:
    """`POST /dashboard/campaigns/{name}/pause`."""
    await _may(visit)
    await visit.services.pipeline.campaigns.pause(visit.project, name)
    return _back(name)


async def resume(visit: Visit, name: str) -> Answer:
    """`POST /dashboard/campaigns/{name}/resume`."""
    await _may(visit)
    await visit.services.pipeline.campaigns.resume(visit.project, name)
    return _back(name)


async def cancel(visit: Visit, name: str) -> Answer:
    """`POST /dashboard/campaigns/{name}/cancel`."""
    await _may(visit)
    await visit.services.pipeline.campaigns.cancel(visit.project, name)
    return _back(name)


async def _may(visit: Visit) -> None:
    await posted(visit)
    visit.demand("send")


def _back(name: str) -> Answer:
    return away(f"{PREFIX}/campaigns/{quote(name, safe='')}")


def _row(visit: Visit, record: CampaignRecord) -> dict[str, Any]:
    campaign = record.campaign
    zone = words.zone_of(visit.project.settings.default_timezone)
    return {
        "name": campaign.name,
        "title": message_title(campaign.notification),
        "state": record.state,
        "tone": _TONES.get(record.state, "plain"),
        "audience": audience_of(campaign.to),
        "when": _when(campaign.schedule),
        "next_run": words.moment(record.due_at, zone),
        "runs": record.runs,
        "missed": record.skipped,
    }


def _when(schedule: Schedule) -> str:
    """In few words; a moment is told beside it."""
    local = f" at {schedule.local_time.at} where people are" if schedule.local_time is not None else ""
    if schedule.cron is not None:
        return f"{schedule.cron} in {schedule.timezone}{local}"
    return local.strip() or ("once, at its time" if schedule.at is not None else "once, as it is started")


def _progress(standing: Standing) -> dict[str, Any]:
    record, progress, reached, _ = standing
    held = sum(count for reason, count in progress.reasons.items() if verdict_of(Reason(reason)) is Verdict.HOLD)
    decided = sum(progress.reasons.values()) - held
    people = max(record.audience or 0, decided + held)
    return {
        **figures_of(progress.reasons, progress.deliveries),
        "state": record.state,
        "tone": _TONES.get(record.state, "plain"),
        "is_open": record.state in (_S.SCHEDULED, _S.RUNNING, _S.PAUSED),
        "decided": decided,
        "held": held,
        "people": people,
        "parts_of_it": [{"name": "clicked", "x": 0, "width": round(100 * decided / people, 2) if people else 0}],
        "tapped": reached.tapped,
        "converted": reached.converted,
        "goal": record.campaign.goal.event if record.campaign.goal is not None else None,
        "moves": [
            {"word": word, "label": label, "is_last": word == "cancel"}
            for word, (label, states) in _MOVES.items()
            if record.state in states
        ],
    }
