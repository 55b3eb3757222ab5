"""What passes from stage to stage: a candidate before, and after, its decision."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec

from clarion.journey.conditions import events_asked
from clarion.journey.on_screens import NOWHERE, Where
from clarion.journey.rules import by_turn, content_hash, digest, needs_preferences, needs_zones, record
from clarion.model import Category, Event, Key, Millis, Notification, ProjectSettings, Reason
from clarion.ports import CapsQuery, Facts, FactsQuery, PairsWork, Recipient, SpanWork, Target


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """This notification for this person, before the decision. `only`: the devices that were named, if any were.

    `released`: what the gate of digests says of it, if it was collected long enough, and the group that it was in.
    `shown`, of an update: whether what it updates may stand on one of those; None: they were never to get that.
    """

    notification: Notification
    recipient: Recipient
    only: Collection[Key] | None = None
    released: tuple[str, int] | None = None
    shown: bool | None = None


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A candidate's verdict. `targets` are the devices that it goes to, none unless the reason is `send`.

    `quiet_from`: what was not handed over by then may disturb the person's quiet hours. `group`: what it is collected
    with, or, sent, what may be collected after it; `due`: it was collected long enough, and is still to be settled.
    `shown`: as of the candidate. `variant`: the wording that it is sent in, of a message that has several.
    """

    notification: Notification
    recipient: Recipient
    reason: Reason
    until: Millis | None
    gates: str
    targets: list[Target]
    quiet_from: Millis | None = None
    group: int | None = None
    due: bool = False
    only: Collection[Key] | None = None
    expires_at: Millis | None = None  # for this person, where that is not the same for all
    shown: bool | None = None
    variant: str | None = None


def dropped(decided: Decided, gate: str, reason: Reason, because: str) -> Decided:
    """The same candidate, dropped by a later stage, with its gates so far kept."""
    return msgspec.structs.replace(decided, reason=reason, gates=also(decided.gates, gate, reason, because), targets=[])


def also(gates: str, gate: str, reason: Reason, because: str) -> str:
    """Gates with one more behind them."""
    return f"{gates[:-1]},{record(gate, reason, because)}]"


@lru_cache(maxsize=1_024)
def _with_gate(gates: str, gate: str, because: str) -> str:
    return f"{gates[:-1]},{record(gate, None, because)}]"


def noted(decided: Decided, gate: str, told: str, variant: str | None = None) -> Decided:
    """The same candidate, with what a later stage has to tell of it among its gates; `variant`: if that is chosen."""
    # Built anew by hand: half a microsecond a person, not three.
    return Decided(
        decided.notification,
        decided.recipient,
        decided.reason,
        decided.until,
        _with_gate(decided.gates, gate, told),
        decided.targets,
        decided.quiet_from,
        decided.group,
        decided.due,
        decided.only,
        decided.expires_at,
        decided.shown,
        variant or decided.variant,
    )


def content_hashes(notifications: Iterable[Notification]) -> list[int]:
    """The content whose earlier use matters to these notifications."""
    return [content_hash(one.message.content_key) for one in notifications if one.message.content_key is not None]


def facts_query(
    job: SpanWork | PairsWork,
    notifications: Mapping[Key, Notification],
    events: Mapping[Key, Event],
    caps: CapsQuery | None,
) -> FactsQuery:
    """What must be known to decide a job; `events` are those that started its notifications, `caps` see there."""
    query = facts_about(notifications.values(), events, caps)
    if isinstance(job, SpanWork):
        return msgspec.structs.replace(query, span=(job.first, job.last), once=list(notifications))
    # What was fired is decided anew for those who changed.
    once = [key for key, one in notifications.items() if not (job.held and one.fired_at is not None)]
    return msgspec.structs.replace(query, users=sorted({user for _, user in job.pairs}), once=once, held=job.held)


def facts_about(
    notifications: Collection[Notification], events: Mapping[Key, Event], caps: CapsQuery | None = None
) -> FactsQuery:
    """The same, of people who are still to be named."""
    names, since = events_asked(notifications, events)
    return FactsQuery(
        categories=sorted({one.message.category for one in notifications}),
        content=content_hashes(notifications),
        again=[one.key for one in notifications if one.fired_at is not None],
        events=names,
        events_since=since,
        caps=caps,
        zones=(caps is not None and caps.calendar) or any(one.local_time is not None for one in notifications),
    )


def with_wishes(query: FactsQuery, categories: Mapping[str, Category], settings: ProjectSettings) -> FactsQuery:
    """The same, with what people asked for themselves and where they are, if that matters."""
    worn = [categories[name] for name in query.categories if name in categories]
    zones = query.zones or needs_zones(worn, settings)
    return msgspec.structs.replace(query, preferences=needs_preferences(worn), zones=zones)


def with_digests(
    query: FactsQuery, job: SpanWork | PairsWork | None, categories: Mapping[str, Category], marks: Collection[int]
) -> FactsQuery:
    """The same, with what waits for a digest, if that matters, and when something of these groups was sent."""
    worn = [categories[name] for name in query.categories if name in categories]
    digests = [each for each in worn if each.digest is not None]
    if not digests and not (isinstance(job, PairsWork) and job.collected):
        return query
    zones = query.zones or digest.needs_zones(digests)
    return msgspec.structs.replace(query, collected=True, zones=zones, content=[*query.content, *marks])


def without_own_content(facts: Facts, notifications: Mapping[Key, Notification]) -> Facts:
    """What these notifications themselves reserved for these people, when they were armed, makes them no duplicates."""
    if not facts.chosen:
        return facts
    own = {
        (user, content_hash(key)): at
        for (notification, user), at in facts.chosen.items()
        if (key := notifications[notification].message.content_key) is not None
    }
    others = {about: at for about, at in facts.sent_content.items() if own.get(about) != at}
    return msgspec.structs.replace(facts, sent_content=others)


def candidates(
    job: SpanWork | PairsWork,
    notifications: Mapping[Key, Notification],
    facts: Facts,
    only: Mapping[Key, frozenset[Key]],
    standing: Mapping[tuple[Key, Key], Where] = NOWHERE,
) -> Iterator[Candidate]:
    """Who was erased since is no candidate any more, nor is a notification that is gone, nor who is decided already.

    `standing`: of (update, user), where it goes.

    Of several for one person, whose turn under a cap is first comes first.
    """
    if isinstance(job, SpanWork):
        if (notification := notifications.get(job.notification)) is not None:
            for recipient in facts.recipients:
                if not facts.decided or (notification.key, recipient.key) not in facts.decided:
                    yield Candidate(notification, recipient, only.get(notification.key))
        return
    recipients = {recipient.key: recipient for recipient in facts.recipients}
    pairs = [
        (key, user)
        for key, user in job.pairs
        if key in notifications and user in recipients and (key, user) not in facts.decided
    ]
    if job.collected:
        waiting = {(one.notification, one.user) for rows in facts.collected.values() for one in rows}
        pairs = [pair for pair in pairs if pair in waiting]
    if len(notifications) > 1:
        turns = {key: by_turn(notification) for key, notification in notifications.items()}
        pairs.sort(key=lambda pair: (pair[1], turns[pair[0]]))
    for key, user in pairs:
        there = standing.get((key, user)) if standing else None
        if there is None:
            yield Candidate(notifications[key], recipients[user], only.get(key))
        elif there.devices:
            yield Candidate(notifications[key], recipients[user], there.devices, shown=there.shown)
