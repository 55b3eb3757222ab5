"""Automations, joined to the world: runs that begin, move on when their time comes or an event does, and end.

A run changes only while its person is held, so that an event and a due time never pass each other, and everything that
a step of a batch brings about (notifications, calls, attributes, where the runs are now) is written in the transaction
that ends its lease.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from clarion.errors import Unavailable
from clarion.journey import trigger
from clarion.journey.automations import stepping
from clarion.journey.automations.acting import Acting
from clarion.journey.automations.flow import Flow, Needs
from clarion.journey.automations.watching import Watching
from clarion.journey.catalog import Catalog
from clarion.journey.rules.calendars import zone_there
from clarion.journey.segments.lookup import crowd_of_rule
from clarion.model import Event, Key, Millis, Project, Rule, Run
from clarion.ports import (
    Begin,
    BeginWork,
    Clock,
    Deciding,
    Effects,
    EventsWork,
    Facts,
    FactsQuery,
    Lease,
    NewWork,
    Recipient,
    RunsQuery,
    RunsWork,
    Store,
    WatchWork,
)

_json = msgspec.json.Decoder(dict).decode


class _Hand(NamedTuple):
    """What a job has in hand: whose runs, which of them it asks for, and what may be asked on their way."""

    users: Sequence[Key]
    runs: RunsQuery
    needs: Sequence[Needs]
    since: Millis


class Automating:
    """What the pipeline does with runs."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._acting = Acting(store, catalog)
        self._watching = Watching(store, catalog, clock)

    async def hand_out(self, limit: int) -> int:
        """What is due becomes work; how many runs that were."""
        return await self._store.runs.hand_out(self._clock.now(), limit)

    async def step(self, lease: Lease, job: EventsWork | RunsWork | BeginWork | WatchWork) -> Sequence[NewWork]:
        """Do one job. Returns the work that was written."""
        match job:
            case EventsWork():
                return await self._happened(lease, job)
            case RunsWork():
                return await self._due(lease, job)
            case BeginWork():
                return await self._begin(lease, job)
            case WatchWork():
                return await self._watching.step(lease, job)

    # --- their time has come ------------------------------------------------------------------------------------------

    async def _due(self, lease: Lease, job: RunsWork) -> Sequence[NewWork]:
        """Runs of one version whose time has come. Returns the work that was written."""
        flow = await self._catalog.flow(lease.project, job.automation, job.version)
        project, now = await self._catalog.project(lease.project), self._clock.now()
        there = [run for run in await self._store.runs.load(lease.project, job.runs) if run.ended is None]
        needs = [] if flow is None else [flow.needs(step) for step in {run.step for run in there}]
        users = sorted({run.user for run in there})
        hand = _Hand(users, RunsQuery(keys=job.runs), needs, min((run.began_at for run in there), default=now))
        async with self._store.steps.deciding(project.key, await self._query(project.key, hand, now)) as deciding:
            known = {one.key: one for one in deciding.facts.recipients}
            mine = [run for run in deciding.facts.runs if run.ended is None and run.due_at is None]
            # Somebody was merged while we looked: theirs are asked for again as they are now.
            moved = [run.key for run in mine if run.user not in known and run.key is not None]
            again = [NewWork(project.key, RunsWork(job.automation, job.version, moved), now)] if moved else []
            runs = [run for run in mine if run.user in known]
            if flow is None:
                effects = Effects(runs=[stepping.cancelled(run, now) for run in runs], work=again)
                return await _written(deciding, lease, effects)
            walk = _Walk({(job.automation, job.version): flow}, deciding.facts, project, now)
            moved_on = [walk.on(run) for run in runs]
            effects = await self._acting.effects(project, walk.acts, moved_on, again, now)
            return await _written(deciding, lease, effects)

    # --- something happened -------------------------------------------------------------------------------------------

    async def _happened(self, lease: Lease, job: EventsWork) -> Sequence[NewWork]:
        """Events begin runs, and move on those that waited for them; the simplest automations make notifications."""
        project, now = await self._catalog.project(lease.project), self._clock.now()
        events = await self._store.events.load(lease.project, job.events)
        automations = await self._catalog.automations(lease.project)
        plain = await self._plain(project.key, trigger.started(automations.values(), events, now), now)
        flows = await self._catalog.flows(lease.project)
        if not flows:
            await self._store.steps.commit(plain, lease)
            return plain.work
        asked = [one for event in events for one in _asked_by(flows.values(), event, now)]
        return await self._together(lease, project, asked, events, plain, now)

    async def _plain(self, project: Key, started: Sequence[trigger.Started], now: Millis) -> Effects:
        keys = await self._store.trail.reserve(len(started))
        made, work = trigger.notifications(started, keys, project, now)
        return Effects(notifications=made, work=work)

    async def _begin(self, lease: Lease, job: BeginWork) -> Sequence[NewWork]:
        """Runs that a call, a segment or a date asked for."""
        project, now = await self._catalog.project(lease.project), self._clock.now()
        flow = (await self._catalog.flows(lease.project)).get(job.automation)
        asked = [] if flow is None else [_begun(flow, begin, now) for begin in job.begins]
        return await self._together(lease, project, asked, [], Effects(), now)

    async def _together(
        self, lease: Lease, project: Project, asked: Sequence[Run], events: Sequence[Event], plain: Effects, now: Millis
    ) -> Sequence[NewWork]:
        """Begin what is asked for and tell the events to all that is under way, in order, while the people are held."""
        users = sorted({run.user for run in asked} | {event.user for event in events if event.user is not None})
        flows = await self._flows(project.key, [*asked, *await self._store.runs.under_way(project.key, users)])
        hand = _Hand(
            users,
            RunsQuery(under_way=True, named=sorted({_name(run) for run in asked})),
            [flow.needs(step) for flow in flows.values() for step in range(len(flow.steps))],
            min((run.began_at for run in asked), default=now),
        )
        async with self._store.steps.deciding(project.key, await self._query(project.key, hand, now)) as deciding:
            facts = deciding.facts
            if any(run.ended is None and (run.automation, run.version) not in flows for run in facts.runs):
                raise Unavailable("runs of another version began meanwhile")
            walk = _Walk(flows, facts, project, now)
            book = _Book(walk, facts.runs)
            for run in asked if not events else ():
                book.begin(run)
            for event in events:
                book.tell(event)
                for run in asked:
                    if run.event == event.key:
                        book.begin(run)
            effects = await self._acting.effects(project, walk.acts, book.changed(), [], now)
            effects = msgspec.structs.replace(
                effects,
                notifications=[*plain.notifications, *effects.notifications],
                work=[*plain.work, *effects.work],
            )
            return await _written(deciding, lease, effects)

    async def _flows(self, project: Key, runs: Iterable[Run]) -> dict[tuple[str, int], Flow]:
        named = sorted({(run.automation, run.version) for run in runs})
        found = {one: await self._catalog.flow(project, *one) for one in named}
        return {one: flow for one, flow in found.items() if flow is not None}

    async def _query(self, project: Key, hand: _Hand, now: Millis) -> FactsQuery:
        rules = list(dict.fromkeys(rule_text(rule) for needs in hand.needs for rule in needs.rules))
        known = await self._catalog.segments(project) if rules else {}
        asked = {rule_text(rule): rule for needs in hand.needs for rule in needs.rules}
        return FactsQuery(
            users=hand.users,
            runs=hand.runs,
            zones=any(needs.zone for needs in hand.needs),
            events=sorted({name for needs in hand.needs for name in needs.events}),
            events_since=hand.since,
            crowds=[crowd_of_rule(asked[text], text, known, now) for text in rules],
        )


def rule_text(rule: Rule) -> str:
    """What a rule is called among the crowds of a batch."""
    return "\0" + msgspec.json.encode(rule).decode()


_Name: TypeAlias = tuple[str, str, Key]
"""By which a run is known: automation, run key, person."""


def _name(run: Run) -> _Name:
    return run.automation, run.run_key, run.user


async def _written(deciding: Deciding, lease: Lease, effects: Effects) -> Sequence[NewWork]:
    return effects.work if await deciding.commit(lease, effects) else ()


def _begun(flow: Flow, begin: Begin, now: Millis) -> Run:
    return Run(
        automation=flow.name,
        version=flow.automation.version,
        user=begin.user,
        run_key=begin.run_key,
        due_at=begin.due_at,
        began_at=now,
        since=now,
        data=begin.data,
    )


def _asked_by(flows: Iterable[Flow], event: Event, now: Millis) -> list[Run]:
    """The runs that an event would begin."""
    found = []
    for flow in flows:
        if event.user is None or not trigger.begins(flow.automation, event, now):
            continue
        key = flow.automation.on.key
        run_key = "" if key is None else trigger.key_text(event.properties.get(key))
        found.append(
            Run(
                automation=flow.name,
                version=flow.automation.version,
                user=event.user,
                run_key=run_key,
                began_at=event.occurred_at,
                since=event.occurred_at,
                event=event.key,
                data=stepping.kept_of(flow, event.properties),
            )
        )
    return found


class _Walk:
    """Runs go on as far as they can now; `acts` are to be done."""

    def __init__(self, flows: Mapping[tuple[str, int], Flow], facts: Facts, project: Project, now: Millis) -> None:
        self.flows = flows
        self.now = now
        self.people = {one.key: one for one in facts.recipients}
        self.acts: list[stepping.Act] = []
        self._facts = facts
        self._project = project

    def flow(self, run: Run) -> Flow | None:
        """The version that it goes through."""
        return self.flows.get((run.automation, run.version))

    def on(self, run: Run) -> Run:
        """As it is when it waits again, or is over."""
        flow = self.flows[run.automation, run.version]
        moved, acts = stepping.advance(flow, run, self._seen(flow, run, self.people[run.user]), self.now)
        self.acts += acts
        return moved

    def _seen(self, flow: Flow, run: Run, person: Recipient) -> stepping.Seen:
        happened = [
            (name, one.at, _json(one.properties))
            for name in flow.needs(run.step).events
            for one in self._facts.events.get((person.key, name), ())
            if stepping.is_news(run, one.key, one.at)
        ]
        return stepping.Seen(
            user_id=person.user_id,
            zone=zone_there(person, self._project.settings),
            happened=happened,
            holds=lambda rule: person.key in self._facts.members[rule_text(rule)],
        )


class _Book:
    """The runs of some people while events are told to them, one after the other."""

    def __init__(self, walk: _Walk, runs: Iterable[Run]) -> None:
        self._walk = walk
        self._runs = {_name(run): run for run in runs if run.user in walk.people}
        self._changed: dict[_Name, None] = {}
        self._over: list[Run] = []
        self._of: defaultdict[Key, list[_Name]] = defaultdict(list)
        for name in self._runs:
            self._of[name[2]].append(name)

    def begin(self, run: Run) -> None:
        """A run begins, if it may."""
        walk, name = self._walk, _name(run)
        flow, before = walk.flow(run), self._runs.get(name)
        if flow is None or run.user not in walk.people or not stepping.may_begin(flow, before, run.began_at):
            return
        if before is None:
            self._of[run.user].append(name)
        elif before.key is not None and name in self._changed:
            self._over.append(before)  # it ended in this batch
        later = run.due_at is not None and run.due_at > walk.now
        self._runs[name] = run if later else walk.on(run)
        self._changed[name] = None

    def tell(self, event: Event) -> None:
        """Every run of the person hears of an event."""
        if event.user is None:
            return
        for name in self._of.get(event.user, ()):
            run = self._runs[name]
            flow = self._walk.flow(run)
            if run.ended is not None or flow is None or event.name not in flow.watched:
                continue
            moved = stepping.on_event(flow, run, event, self._walk.now)
            if moved is not None:
                self._runs[name] = moved if moved.ended is not None else self._walk.on(moved)
                self._changed[name] = None

    def changed(self) -> list[Run]:
        """Those to be written: what ended before what began in its place."""
        return [*self._over, *(self._runs[name] for name in self._changed)]
