"""The places that notifications take under caps, in memory."""

from typing import Any

from clarion.model import DeliveryState, Key, Millis, Reason
from clarion.ports import CapsQuery, Effects, Taken, Waiting
from clarion.testing.memory.tables import Tables, drop

_LOST = (DeliveryState.FAILED, DeliveryState.EXPIRED)


def caps_facts(tables: Tables, project: Key, users: set[Key], caps: CapsQuery | None) -> dict[str, Any]:
    """`Facts.taken` and `Facts.waiting` of these users."""
    if caps is None:
        return {}
    taken: dict[Key, list[Taken]] = {}
    for (user, key), slot in tables.slots.items():
        if user in users and slot.at >= caps.since:
            about = tables.notifications[key]
            at = about.fired_at if slot.armed and about.fired_at is not None else slot.at
            what = (slot.category, slot.class_, slot.channel) if caps.scoped else ()
            taken.setdefault(user, []).append(Taken(user, at, key, *what))
    waiting: dict[Key, list[Waiting]] = {}
    for (key, user), row in tables.decisions.items():
        about = tables.notifications[key]
        if not caps.waiting or user not in users or row.decision.reason is not Reason.CAP_WAIT:
            continue
        if about.project == project and about.cancelled_at is None:
            told = (about.message.category, about.message.priority, about.expires_at, row.decision.until or 0)
            waiting.setdefault(user, []).append(Waiting(key, *told))
    return {"taken": taken, "waiting": waiting}


def write_slots(tables: Tables, effects: Effects) -> None:
    """Give back what these effects end, then take what they send."""
    withdrawn = {(each.user, each.notification) for each in effects.revised if each.reason is not Reason.SEND}
    failed = {(each.user, each.notification) for each in effects.outcomes if each.state in _LOST}
    for user, key in withdrawn | failed:
        _release(tables, user, key)
    for slot in effects.slots:
        tables.slots[slot.user, slot.notification] = slot


def _release(tables: Tables, user: Key, notification: Key) -> None:
    """Unless something of it may reach the person, be it in other words; who was merged has it as who they are."""
    project = tables.project_of(notification)
    if project is not None:
        user = tables.successors.get((project, user), user)
    slot, about = tables.slots.get((user, notification)), tables.notifications.get(notification)
    mine = [
        row
        for row in tables.deliveries.values()
        if (row.delivery.user, row.delivery.notification) == (user, notification)
    ]
    alive = any(row.state not in _LOST or row.reason is Reason.SUPERSEDED for row in mine)
    fired = slot is not None and slot.armed and about is not None and about.fired_at is not None
    if slot is not None and not alive and not fired:
        del tables.slots[user, notification]


def forget_slots(tables: Tables, before: Millis, after: Key, users: int) -> Key | None:
    """See `ports.Steps.forget_slots`."""
    beyond = sorted({user for user, _ in tables.slots if user > after})[:users]
    drop(tables.slots, lambda pair, slot: pair[0] in beyond and slot.at < before)
    return beyond[-1] if beyond else None
