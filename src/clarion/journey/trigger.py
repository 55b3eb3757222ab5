"""Trigger: what turns an event into candidates."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from clarion.journey.automations.flow import Flow, fits
from clarion.model import DAY_MS, Audience, Automation, Event, Key, Message, Millis, Notification, ProjectSettings
from clarion.model.automations import Send
from clarion.ports import NewWork, PairsWork

MOST_KEY = 255
"""Characters of the key of a run."""


def oldest_kept(settings: ProjectSettings, now: Millis) -> Millis | None:
    """What happened before is not kept, nor taken; None: everything is."""
    return None if settings.event_days is None else now - settings.event_days * DAY_MS


def watched(automations: Iterable[Automation]) -> frozenset[str]:
    """Names of the events that start something, or that runs may wait for."""
    found: set[str] = set()
    for automation in automations:
        if automation.enabled and automation.on.event is not None:
            found.add(automation.on.event)
        if automation.steps is not None:
            found |= Flow(automation).watched
        found.update(automation.also_watched)
    return frozenset(found)


def begins(automation: Automation, event: Event, now: Millis) -> bool:
    """Whether an event starts it: it is the one that is meant, and no old story."""
    on = automation.on
    if not automation.enabled or on.event != event.name or not fits(on.where, event.properties):
        return False
    return now - event.occurred_at <= max_age_ms(automation)


def max_age_ms(automation: Automation) -> Millis:
    """How long ago an event may have happened to start it: the time to live of what it says first, unless told."""
    if automation.on.max_age_s is not None:
        return automation.on.max_age_s * 1000
    sent = [step.notification for step in automation.steps or () if isinstance(step, Send)]
    first = automation.notification or (sent[0] if sent else Message())
    return first.ttl * 1000


def key_text(value: Any) -> str:
    """The key of a run, from a property of the event; what is not there, or too long to be one, is no key."""
    text = value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= MOST_KEY else blake2b(text.encode(), digest_size=16).hexdigest()


class Started(NamedTuple):
    """The simplest automation, the event that starts it, and what it says."""

    automation: Automation
    event: Event
    message: Message


def started(automations: Iterable[Automation], events: Sequence[Event], now: Millis) -> list[Started]:
    """Which of the simplest automations starts for which event, in the order of the events."""
    by_event: dict[str, list[tuple[Automation, Message]]] = {}
    for automation in automations:
        if automation.on.event is not None and automation.notification is not None:
            by_event.setdefault(automation.on.event, []).append((automation, automation.notification))
    return [
        Started(automation, event, message)
        for event in events
        for automation, message in by_event.get(event.name, ())
        if begins(automation, event, now)
    ]


def notifications(
    started: Sequence[Started], keys: Sequence[Key], project: Key, now: Millis
) -> tuple[list[Notification], list[NewWork]]:
    """One notification per start, and its work. Ids are made from automation and event: a repetition makes none."""
    made = [
        Notification(
            key=key,
            id=_id(automation, event),
            project=project,
            message=message,
            to=Audience(users=[event.user_id]),
            created_at=now,
            automation=automation.name,
            event=event.key,
        )
        for key, (automation, event, message) in zip(keys, started, strict=True)
    ]
    pairs = [(one.key, each.event.user) for one, each in zip(made, started, strict=True) if each.event.user is not None]
    pairs.sort(key=lambda pair: pair[1])
    return made, [NewWork(project=project, job=PairsWork(pairs=pairs), due_at=now)] if pairs else []


def _id(automation: Automation, event: Event) -> str:
    return blake2b(f"{automation.name}\n{event.key}".encode(), digest_size=16).hexdigest()
