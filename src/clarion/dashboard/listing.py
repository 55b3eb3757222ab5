"""Notifications in a list: what was said, to whom, and how far it came."""

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.dashboard import words
from clarion.dashboard.session import Visit
from clarion.model import Audience, DeliveryState, Message, Millis, Notification

COUNTED = 10_000
"""Deliveries of one notification that a list counts at most; its own page counts all."""
_PARTS = (
    ("clicked", (DeliveryState.CLICKED,)),
    ("shown", (DeliveryState.DISMISSED, DeliveryState.DISPLAYED, DeliveryState.DELIVERED)),
    ("sent", (DeliveryState.ACCEPTED, DeliveryState.SENT)),
    ("queued", (DeliveryState.QUEUED,)),
    ("failed", (DeliveryState.FAILED, DeliveryState.EXPIRED)),
)


async def rows_of(visit: Visit, notifications: Sequence[Notification]) -> list[dict[str, Any]]:
    """As a table shows them; one reading for all."""
    keys = [one.key for one in notifications]
    counts = await visit.services.store.tallies.of_notifications(visit.project.key, keys, COUNTED)
    categories = await visit.services.catalog.categories(visit.project.key)
    titles = {name: category.title or name for name, category in categories.items()}
    zone = words.zone_of(visit.project.settings.default_timezone)
    now = visit.services.clock.now()
    return [
        {
            "id": one.id,
            "title": title_of(one),
            "category": titles.get(one.message.category, one.message.category),
            "audience": audience_of(one.to),
            "origin": one.automation or one.campaign,
            "at": words.moment(one.fired_at or one.send_at or one.created_at, zone),
            "mark": _mark(one, now),
            **_progress(counts.get(one.key, {})),
        }
        for one in notifications
    ]


def title_of(notification: Notification) -> str:
    """What it says, or what says it."""
    return message_title(notification.message)


def message_title(message: Message) -> str:
    """The same of a message that is not sent yet."""
    if message.title is not None:
        return message.title
    return f"Template {message.template}" if message.template is not None else "No title"


def audience_of(to: Audience) -> str:
    """To whom, in few words."""
    if to.everyone:
        return "Everyone"
    if to.devices is not None:
        return "1 device" if len(to.devices) == 1 else f"{words.whole(len(to.devices))} devices"
    if to.segment is not None or to.topic is not None:
        return f"Segment {to.segment}" if to.segment is not None else f"Topic {to.topic}"
    users = to.users or []
    return users[0] if len(users) == 1 else f"{words.whole(len(users))} people"


def _mark(notification: Notification, now: Millis) -> str | None:
    """What is special about it, as far as the row itself tells."""
    if notification.cancelled_at is not None:
        return "cancelled"
    if notification.is_paused:
        return "paused"
    if notification.send_at is not None and notification.send_at > now:
        return "scheduled"
    return "armed" if notification.is_armed and notification.expires_at > now else None


def _progress(counts: Mapping[DeliveryState, int]) -> dict[str, Any]:
    """How many of its deliveries came how far: the number that left, and a bar of parts of a hundred."""
    total = sum(counts.values())
    parts, left = [], 0.0
    for name, states in _PARTS:
        share = 100 * sum(counts.get(state, 0) for state in states) / total if total else 0
        if share:
            parts.append({"name": name, "x": round(left, 2), "width": round(share, 2)})
        left += share
    sent = sum(count for state, count in counts.items() if state >= DeliveryState.SENT)
    clicked = counts.get(DeliveryState.CLICKED, 0)
    return {"sent": sent, "clicked": clicked, "more": total >= COUNTED, "parts": parts}
