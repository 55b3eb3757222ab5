"""Trigger: what turns an event into candidates."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from clarion.model import DAY_MS, Audience, Automation, Event, Key, Millis, Notification, ProjectSettings


def oldest_kept(settings: ProjectSettings, now: Millis) -> Millis | None:
    """What happened before is not kept, nor taken; None: everything is."""
    return None if settings.event_days is None else now - settings.event_days * DAY_MS


def watched(automations: Iterable[Automation]) -> frozenset[str]:
    """Names of the events that start something."""
    return frozenset(automation.on.event for automation in automations if automation.enabled)


def started(automations: Iterable[Automation], events: Sequence[Event]) -> list[tuple[Automation, Event]]:
    """Which automation starts for which event, in the order of the events."""
    by_event: dict[str, list[Automation]] = {}
    for automation in automations:
        if automation.enabled:
            by_event.setdefault(automation.on.event, []).append(automation)
    return [(automation, event) for event in events for automation in by_event.get(event.name, ())]


def notifications(
    started: Sequence[tuple[Automation, Event]], keys: Sequence[Key], project: Key, now: Millis
) -> list[Notification]:
    """One notification per start. Its id is made from automation and event, so that a repeated step makes it once."""
    return [
        Notification(
            key=key,
            id=_id(automation, event),
            project=project,
            message=automation.notification,
            to=Audience(users=[event.user_id]),
            created_at=now,
            automation=automation.name,
            event=event.key,
        )
        for key, (automation, event) in zip(keys, started, strict=True)
    ]


def _id(automation: Automation, event: Event) -> str:
    return blake2b(f"{automation.name}\n{event.key}".encode(), digest_size=16).hexdigest()
