"""Watching: who comes into a segment or leaves it, and whose date has come, looked for again and again in pages."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from clarion.journey.catalog import Catalog
from clarion.journey.local_time import local_date, moment
from clarion.journey.rules.calendars import zone_there
from clarion.journey.rules.zones import zone_of
from clarion.journey.segments.lookup import crowd_in, crowd_of_rule
from clarion.model import DAY_MS, Automation, Key, Millis, Project, Rule
from clarion.model import segments as rules
from clarion.model.segments import Operator
from clarion.ports import (
    Begin,
    BeginWork,
    Clock,
    Effects,
    FactsQuery,
    Lease,
    Listed,
    NewWork,
    Recipient,
    Store,
    WatchWork,
)

PAGE = 5_000
MOVED = 20_000
"""Who came and left: the rule of a segment is looked up once for so many."""
SEGMENT_PAUSE_MS = 60_000
DATE_PAUSE_MS = 600_000
_RESTS = 9  # times as long as it took: looks are a tenth of the time at most, however many people there are
_LONGEST_REST_MS = 600_000  # also of a machine that slept in the middle of a look
LIST: Final = "automation"
_BATCH = 1_000
_ROUND_THE_WORLD = timedelta(hours=14)
_json = msgspec.json.Decoder(dict).decode


class Watching:
    """What the pipeline does for automations that begin by themselves. A job writes the one that follows it."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock

    async def step(self, lease: Lease, job: WatchWork) -> Sequence[NewWork]:
        """A page of a look. One of another version has a job of its own: this one ends."""
        project, now = await self._catalog.project(lease.project), self._clock.now()
        automation = (await self._catalog.automations(lease.project)).get(job.automation)
        if automation is None or automation.version != job.version or not automation.enabled:
            effects = Effects()
        elif automation.on.segment is not None:
            effects = await self._segment(project, automation, job, now)
        else:
            effects = await self._dates(project, automation, job, now)
        return effects.work if await self._store.steps.commit(effects, lease) else ()

    async def _segment(self, project: Project, automation: Automation, job: WatchWork, now: Millis) -> Effects:
        """Who is in it now beside who was: the list of those is kept, under the names of both."""
        on, audiences = automation.on, self._store.audiences
        assert on.segment is not None
        name = f"{automation.name}\n{on.segment}"
        if job.began_at is None:
            first = job.since is None and not (await audiences.sizes(project.key, LIST, [name]))[name]
            job = msgspec.structs.replace(job, began_at=now, first=first)
        crowd = crowd_in(on.segment, await self._catalog.segments(project.key), now)
        moved = await audiences.unlike(project.key, crowd, LIST, name, job.cursor, MOVED)
        last = moved[-1][0] if len(moved) == MOVED else None
        entered = [key for key, is_in in moved if is_in]
        left = [key for key, is_in in moved if not is_in]
        begins = entered if on.when == "enters" else left
        took = self._clock.now() - now
        pause = max(SEGMENT_PAUSE_MS, took + min(_RESTS * took, _LONGEST_REST_MS))
        if job.first and not (on.existing and on.when == "enters"):
            begins = []
        return Effects(
            listed=[Listed(LIST, name, entered, on=True), Listed(LIST, name, left, on=False)],
            work=[
                *_begin(project.key, automation, [Begin(key) for key in begins], now),
                _next(project.key, job, last, pause, now),
            ],
        )

    async def _dates(self, project: Project, automation: Automation, job: WatchWork, now: Millis) -> Effects:
        """Whose moment lies between the look before this one and the next: their runs begin when it comes."""
        began_at = job.began_at or now
        since = max(job.since or began_at, began_at - DAY_MS)
        until = began_at + DATE_PAUSE_MS
        days = list(_days(since, until, automation.on.days))
        rule = _on_these(automation, days)
        segments = await self._catalog.segments(project.key)
        crowd = crowd_of_rule(rule, "\0dates", segments, now)
        keys = await self._store.audiences.keys(project.key, crowd, job.cursor, PAGE)
        begins: list[Begin] = []
        for start in range(0, len(keys), _BATCH):
            query = FactsQuery(users=keys[start : start + _BATCH], zones=True)
            for person in (await self._store.steps.facts(project.key, query)).recipients:
                begins += _due(automation, project, person, days, (since, until))
        job = msgspec.structs.replace(job, began_at=began_at)
        last = keys[-1] if len(keys) == PAGE else None
        following = _next(project.key, job, last, DATE_PAUSE_MS, now)
        return Effects(work=[*_begin(project.key, automation, begins, now), following])


def _begin(project: Key, automation: Automation, begins: Sequence[Begin], now: Millis) -> list[NewWork]:
    return [
        NewWork(project, BeginWork(automation.name, list(begins[start : start + _BATCH])), now)
        for start in range(0, len(begins), _BATCH)
    ]


def _next(project: Key, job: WatchWork, last: Key | None, pause: Millis, now: Millis) -> NewWork:
    """The next page of this look, or the next look."""
    if last is not None:
        return NewWork(project, msgspec.structs.replace(job, cursor=last), now)
    again = WatchWork(job.automation, job.version, since=job.began_at)
    return NewWork(project, again, max(now, (job.began_at or now) + pause))


def _days(since: Millis, until: Millis, after: int) -> Iterator[date]:
    """The dates whose moment may lie between, wherever somebody is."""
    utc = zone_of("UTC")
    assert utc is not None
    world = _ROUND_THE_WORLD // timedelta(milliseconds=1)
    day, last = local_date(since - world, utc), local_date(until + world, utc)
    while day <= last:
        yield day - timedelta(days=after)
        day += timedelta(days=1)


def _told(day: date, *, yearly: bool) -> list[str]:
    """How such a date stands in an attribute. Who was born on 29 February has their day on the 28th in other years."""
    if not yearly:
        return [day.isoformat()]
    here = [day.strftime("-%m-%d")]
    is_last = day.month == 2 and (day + timedelta(days=1)).day == 1  # noqa: PLR2004 - February
    return [*here, "-02-29"] if is_last and here != ["-02-29"] else here


def _on_these(automation: Automation, days: Sequence[date]) -> Rule:
    on = automation.on
    assert on.attribute is not None
    how = Operator.CONTAINS if on.yearly else Operator.STARTS_WITH
    texts = [text for day in days for text in _told(day, yearly=on.yearly)]
    return rules.AnyOf(rules=[rules.Attribute(attribute=on.attribute, op=how, value=text) for text in texts])


def _due(
    automation: Automation, project: Project, person: Recipient, days: Sequence[date], between: tuple[Millis, Millis]
) -> Iterator[Begin]:
    """The moments of one person: after the first, up to the second. The date is the key of the run."""
    on = automation.on
    value = _json(person.attributes).get(on.attribute)
    if not isinstance(value, str):
        return
    zone = zone_there(person, project.settings)
    for day in days:
        if value[4 if on.yearly else 0 : 10] in _told(day, yearly=on.yearly):
            at = moment(day + timedelta(days=on.days), on.at, zone)
            if between[0] < at <= between[1]:
                yield Begin(person.key, day.isoformat(), {}, at)
