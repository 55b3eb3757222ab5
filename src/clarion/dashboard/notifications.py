"""Notifications: the list, and one of them with its progress, its decisions and why."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from clarion.dashboard import figures, words
from clarion.dashboard.forms import posted
from clarion.dashboard.listing import audience_of, rows_of, title_of
from clarion.dashboard.overview import bars_of
from clarion.dashboard.rendering import away, page, part
from clarion.dashboard.session import PREFIX, Visit
from clarion.errors import NotFound
from clarion.journey.progress import state_of
from clarion.model import DeliveryState, Notification, Reason, verdict_of
from clarion.ports import DecisionRecord, Page
from clarion.web.http import Answer

PAGE = 25
_OPEN = ("scheduled", "arming", "armed", "running", "paused")


async def show_list(visit: Visit) -> Answer:
    """`GET /dashboard/notifications?cursor=`."""
    found = await visit.services.store.trail.notifications(visit.project.key, visit.request.query.get("cursor"), PAGE)
    return page(
        visit,
        "notifications",
        rows=await rows_of(visit, found.items),
        next=_link("", cursor=found.next_cursor) if found.next_cursor else None,
        is_first="cursor" not in visit.request.query,
    )


async def show_one(visit: Visit, id: str) -> Answer:
    """`GET /dashboard/notifications/{id}?user_id=&reason=&cursor=`."""
    notification = await _named(visit, id)
    query = visit.request.query
    wanted = query.get("reason", "")
    decisions = await _decisions(visit, notification)
    message = notification.message
    zone = words.zone_of(visit.project.settings.default_timezone)
    categories = await visit.services.catalog.categories(visit.project.key)
    category = categories.get(message.category)
    return page(
        visit,
        "notification",
        id=id,
        title=title_of(notification),
        message=message,
        category=category.title or category.name if category else message.category,
        audience=audience_of(notification.to),
        automation=notification.automation,
        created=words.moment(notification.created_at, zone),
        due=words.moment(notification.fired_at or notification.send_at, zone),
        **await _progress(visit, notification),
        reasons=[{"code": one, "label": label} for one, label in words.REASONS.items()],
        user_id=query.get("user_id", ""),
        wanted=wanted,
        decisions=[_decision(visit, one) for one in decisions.items],
        next=_link(f"/{id}", user_id=query.get("user_id"), reason=wanted, cursor=decisions.next_cursor)
        if decisions.next_cursor
        else None,
    )


async def show_progress(visit: Visit, id: str) -> Answer:
    """`GET /dashboard/notifications/{id}/progress`: the part of the page that moves."""
    notification = await _named(visit, id)
    return part(visit, "progress", id=id, **await _progress(visit, notification))


async def cancel(visit: Visit, id: str) -> Answer:
    """`POST /dashboard/notifications/{id}/cancel`."""
    await posted(visit)
    visit.demand("send")
    await visit.services.pipeline.cancel(visit.project, id)
    return away(f"{PREFIX}/notifications/{id}")


async def _named(visit: Visit, id: str) -> Notification:
    found = await visit.services.store.trail.notification(visit.project.key, id)
    if found is None:
        raise NotFound(f"There is no notification {id} in this project.")
    return found


async def _progress(visit: Visit, notification: Notification) -> dict[str, Any]:
    progress = await visit.services.store.trail.progress(visit.project.key, notification.key)
    state = state_of(notification, progress, visit.services.clock.now())
    return {
        "state": state,
        "is_open": state in _OPEN,
        "decided": sum(progress.reasons.values()),
        **figures_of(progress.reasons, progress.deliveries),
    }


def figures_of(reasons: Mapping[str, int], deliveries: Mapping[DeliveryState, int]) -> dict[str, Any]:
    """How many went how far, as numbers and as bars."""
    reached = [sum(count for each, count in deliveries.items() if each >= least) for least in _LEAST]
    states = [
        (each.name.lower(), label, deliveries.get(each, 0), words.state_tone(each))
        for each, label in words.STATES.items()
    ]
    return {
        "to_send": reasons.get(Reason.SEND, 0),
        "sent": reached[0],
        "delivered": reached[1],
        "clicked": deliveries.get(DeliveryState.CLICKED, 0),
        "delivered_share": words.percent(reached[1], reached[0]),
        "clicked_share": words.percent(deliveries.get(DeliveryState.CLICKED, 0), reached[1]),
        "by_reason": bars_of(reasons.items()),
        "by_state": [bar._asdict() for bar in figures.bars(states)],
    }


_LEAST = (DeliveryState.SENT, DeliveryState.DELIVERED)


async def _decisions(visit: Visit, notification: Notification) -> Page[DecisionRecord]:
    query = visit.request.query
    user = None
    if user_id := query.get("user_id", "").strip():
        user = await visit.services.store.users.get(visit.project.key, user_id)
        if user is None:
            return Page([])
    reason = query.get("reason", "")
    return await visit.services.store.trail.decisions(
        visit.project.key,
        notification=notification.key,
        user=user.key if user else None,
        reason=Reason(reason) if reason in list(Reason) else None,
        cursor=query.get("cursor"),
        limit=PAGE,
    )


def _decision(visit: Visit, one: DecisionRecord) -> dict[str, Any]:
    zone = words.zone_of(visit.project.settings.default_timezone)
    return {
        "user_id": one.user_id,
        "decision": verdict_of(one.reason).value,
        "reason": one.reason.value,
        "until": words.moment(one.until, zone),
        "at": words.moment(one.at, zone),
        "gates": msgspec.json.decode(one.gates) if one.gates else [],
    }


def _link(path: str, **query: str | None) -> str:
    told = {name: value for name, value in query.items() if value}
    return f"{PREFIX}/notifications{path}?{urlencode(told)}"
