"""The last look at conditions: what waited for its push service, or its turn, may have become pointless meanwhile."""

from collections.abc import Mapping

import msgspec

from clarion.journey.candidate import facts_about
from clarion.journey.conditions import Around, Conditions, is_conditional
from clarion.journey.rules import exempt
from clarion.model import Category, Json, Key, Millis, Notification
from clarion.ports import DeliverWork, Store

FRESH_MS = 10_000
"""A decision that is younger is not looked at again."""


async def pointless(
    store: Store,
    project: Json,
    job: DeliverWork,
    notifications: Mapping[Key, Notification],
    categories: Mapping[str, Category],
    successors: Mapping[Key, Key],
    now: Millis,
) -> frozenset[tuple[Key, Key]]:
    """(notification, user) of the batch that does not matter any more. Asks nothing where nothing has a condition.

    `project` as texts see it; `successors`: people who turned out to be somebody, whose life counts now.
    """
    if now - job.decided_at < FRESH_MS:
        return frozenset()
    asked = {
        key: one
        for key, one in notifications.items()
        if is_conditional(one.message)
        and not ((worn := categories.get(one.message.category)) is not None and exempt(worn))
    }
    if not asked:
        return frozenset()
    owner = next(iter(asked.values())).project
    started = [one.event for one in asked.values() if one.event is not None]
    events = {event.key: event for event in await store.events.load(owner, started)} if started else {}
    around = Around(project, {key: event for key, event in events.items() if key is not None}, now)
    about = {(ready.notification, ready.user) for ready in job.messages if ready.notification in asked}
    people = sorted({successors.get(user, user) for _, user in about})
    query = msgspec.structs.replace(
        facts_about(list(asked.values()), around.events), content=(), again=(), users=people
    )
    facts = await store.steps.facts(owner, query)
    recipients = {recipient.key: recipient for recipient in facts.recipients}
    conditions = {key: Conditions(one, around) for key, one in asked.items()}
    return frozenset(
        (notification, user)
        for notification, user in about
        if (recipient := recipients.get(successors.get(user, user))) is not None
        and conditions[notification].ruling(recipient, facts.events).reason is not None
    )
