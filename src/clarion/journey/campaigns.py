"""Campaigns, joined to the world: defined, started, paused, cancelled; and run when they are due, each run once.

A campaign is changed as it was read, or not at all. A run is written in the transaction that says when the next one is
due, under an id that follows from campaign and moment: however many schedulers there are, and wherever one dies.
"""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import structlog

from clarion.errors import Conflict, FieldError, InvalidRequest, NotFound
from clarion.journey import audience, schedules
from clarion.journey.accepting import Accepting
from clarion.journey.catalog import Catalog
from clarion.journey.progress import waits
from clarion.journey.segments.lookup import crowd_of
from clarion.model import (
    Campaign,
    CampaignRecord,
    CampaignState,
    DeliveryState,
    Key,
    Millis,
    Notification,
    Project,
)
from clarion.ports import CampaignRuns, Clock, Effects, Page, Progress, Reached, Store

AT_ONCE = 100
"""Campaigns that are taken up in one look."""
TRIES = 5
"""Somebody else may change a campaign at the same time; who still comes second after so many looks gives up."""
SHOWN_RUNS = 20

log = structlog.get_logger(__name__)
_S = CampaignState
_FINAL = (_S.DONE, _S.CANCELLED)


class Standing(NamedTuple):
    """How far it is: `progress` and `reached` of the runs that are open, or of the last; `runs`, newest first."""

    record: CampaignRecord
    progress: Progress
    reached: Reached
    runs: list[Notification]


class Campaigns:
    """What callers and the scheduler do with campaigns."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        accepting: Accepting,
        wake: Callable[[str], Awaitable[None]],
    ) -> None:
        """`wake`: tells the workers that something is due, in which queue (empty: in any)."""
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._accepting = accepting
        self._wake = wake

    # --- what callers do ----------------------------------------------------------------------------------------------

    async def create(self, project: Project, campaign: Campaign) -> CampaignRecord:
        """A draft. Raises InvalidRequest naming the fields, and Conflict when there is one of that name."""
        await self._check(project, campaign)
        [number] = await self._store.trail.reserve(1)
        now = self._clock.now()
        record = CampaignRecord(project=project.key, campaign=campaign, state=_S.DRAFT, number=number, created_at=now)
        if not await self._store.campaigns.add(record):
            raise Conflict.field("name", f"there is one called {campaign.name} already; PUT replaces it")
        return record

    async def replace(self, project: Project, campaign: Campaign) -> CampaignRecord:
        """As a whole, before it runs, or between its runs. Raises as `create`, and NotFound."""
        await self._check(project, campaign)

        def changed(known: CampaignRecord, now: Millis) -> CampaignRecord:
            _must_be(known, "replaced", _S.DRAFT, _S.SCHEDULED)
            due_at = _first(campaign, now) if known.state is _S.SCHEDULED else None
            return msgspec.structs.replace(known, campaign=campaign, due_at=due_at)

        return await self._change(project.key, campaign.name, changed)

    async def delete(self, project: Project, name: str) -> None:
        """Raises NotFound, and Conflict while something of it is to come."""
        for _ in range(TRIES):
            known = await self.get(project.key, name)
            _must_be(known, "deleted", _S.DRAFT, *_FINAL)
            if await self._store.campaigns.delete(known):
                return
        raise Conflict(f"{name} is being changed by somebody else")

    async def get(self, project: Key, name: str) -> CampaignRecord:
        """Raises NotFound."""
        found = await self._store.campaigns.get(project, name)
        if found is None:
            raise NotFound(f"there is no campaign {name}")
        return found

    async def page(self, project: Key, cursor: str | None, limit: int) -> Page[CampaignRecord]:
        """By name."""
        return await self._store.campaigns.page(project, cursor, limit)

    async def start(self, project: Project, name: str, *, sent_by: str | None = None) -> CampaignRecord:
        """From a draft to its first run, at once if that is due. Raises NotFound, Conflict and InvalidRequest."""
        draft = await self.get(project.key, name)
        _must_be(draft, "started", _S.DRAFT)
        await self._check(project, draft.campaign)

        def started(known: CampaignRecord, now: Millis) -> CampaignRecord:
            _must_be(known, "started", _S.DRAFT)
            due_at = _first(known.campaign, now)
            if due_at is None:
                raise Conflict(f"{name} has no run before it expires")
            return msgspec.structs.replace(known, state=_S.SCHEDULED, due_at=due_at, started_at=now, sent_by=sent_by)

        record = await self._change(project.key, name, started)
        if record.due_at is not None and record.due_at <= self._clock.now():
            await self._run(record)
        return await self.get(project.key, name)

    async def pause(self, project: Project, name: str) -> CampaignRecord:
        """What was not handed to a provider yet stays, and no run begins, until it is resumed."""

        def paused(known: CampaignRecord, now: Millis) -> CampaignRecord:
            _must_be(known, "paused", _S.SCHEDULED, _S.RUNNING)
            return msgspec.structs.replace(known, state=_S.PAUSED, due_at=None, paused_at=now)

        return await self._change(project.key, name, paused, CampaignRuns.PAUSE)

    async def resume(self, project: Project, name: str) -> CampaignRecord:
        """It goes on. Runs that would have begun meanwhile did not; a single one that should have, begins now."""

        def resumed(known: CampaignRecord, now: Millis) -> CampaignRecord:
            _must_be(known, "resumed", _S.PAUSED)
            planned = known.runs == 0 or known.campaign.schedule.cron is not None
            due_at = _first(known.campaign, now) if planned else None
            state = _S.RUNNING if known.open else _S.SCHEDULED if due_at is not None else _S.DONE
            ended_at = now if state is _S.DONE else None
            return msgspec.structs.replace(known, state=state, due_at=due_at, paused_at=None, ended_at=ended_at)

        record = await self._change(project.key, name, resumed, CampaignRuns.RESUME)
        await self._wake("")
        return record

    async def cancel(self, project: Project, name: str) -> CampaignRecord:
        """For good: what was not handed to a provider yet is dropped as `cancelled`, and no run begins any more."""

        def cancelled(known: CampaignRecord, now: Millis) -> CampaignRecord:
            if known.state is _S.CANCELLED:
                return known
            _must_be(known, "cancelled", _S.DRAFT, _S.SCHEDULED, _S.RUNNING, _S.PAUSED)
            return msgspec.structs.replace(
                known, state=_S.CANCELLED, due_at=None, paused_at=None, open=(), ended_at=now
            )

        record = await self._change(project.key, name, cancelled, CampaignRuns.CANCEL)
        await self._wake("")
        return record

    async def standing(self, project: Key, name: str) -> Standing:
        """How far it is, and what came of it. Raises NotFound."""
        record = await self._settled(await self.get(project, name))
        keys = record.open or (() if record.last is None else (record.last,))
        progress = _summed([await self._store.trail.progress(project, key) for key in keys])
        reached = await self._store.campaigns.reached(project, keys, record.campaign.goal)
        runs = await self._store.campaigns.runs_of(project, name, record.number, SHOWN_RUNS)
        return Standing(record, progress, reached, runs)

    # --- what the scheduler does --------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Begin the runs that are due, and see which ones are over."""
        for record in await self._store.campaigns.due(self._clock.now(), AT_ONCE):
            await self._logged(self._run, record)
        for record in await self._store.campaigns.running():
            await self._logged(self._settled, record)

    async def _logged(self, step: Callable[[CampaignRecord], Awaitable[Any]], record: CampaignRecord) -> None:
        """One campaign that fails holds up no other; it is looked at again."""
        try:
            await step(record)
        except Exception:
            log.exception("a campaign failed and will be tried again", campaign=record.campaign.name)

    async def _run(self, record: CampaignRecord) -> None:
        """The run that is due. If somebody else was faster, nothing."""
        now = self._clock.now()
        assert record.due_at is not None
        campaign = record.campaign
        moment, skipped, following = schedules.turn(campaign.schedule, record.due_at, now)
        if campaign.expires_at is not None and (following is None or following >= campaign.expires_at):
            following = None
        if campaign.expires_at is not None and now >= campaign.expires_at:
            moment, following = None, None
        after = msgspec.structs.replace(record, due_at=following, skipped=record.skipped + skipped)
        made: list[Notification] = []
        if moment is not None:
            [key] = await self._store.trail.reserve(1)
            made = [_run_of(record, key, moment, now)]
            after = msgspec.structs.replace(
                after,
                state=_S.RUNNING,
                open=(*record.open, key),
                last=key,
                audience=await self._count(record, now),
                runs=record.runs + 1,
            )
        elif not record.open:
            state = _S.DONE if following is None else _S.SCHEDULED
            after = msgspec.structs.replace(after, state=state, ended_at=now if following is None else None)
        effects = Effects(notifications=made, work=[audience.further(one, 0, now) for one in made])
        if await self._store.campaigns.change(record, _next(after), effects, None, now) and made:
            await self._wake("audience")

    async def _settled(self, record: CampaignRecord) -> CampaignRecord:
        """The same, without the runs that are over; without any it is done, or waits for the next."""
        if not record.open or record.state is not _S.RUNNING:
            return record
        project, now = record.project, self._clock.now()
        unfinished = await self._store.campaigns.unfinished(project, record.open)
        open_ = [
            key for key in record.open if key in unfinished or waits(await self._store.trail.progress(project, key))
        ]
        if len(open_) == len(record.open):
            return record
        state = _S.RUNNING if open_ else _S.DONE if record.due_at is None else _S.SCHEDULED
        ended_at = now if state is _S.DONE else None
        after = _next(msgspec.structs.replace(record, open=tuple(open_), state=state, ended_at=ended_at))
        if await self._store.campaigns.change(record, after, Effects(), None, now):
            return after
        return await self._store.campaigns.get(project, record.campaign.name) or record

    # --- what these share ---------------------------------------------------------------------------------------------

    async def _change(
        self,
        project: Key,
        name: str,
        changed: Callable[[CampaignRecord, Millis], CampaignRecord],
        runs: CampaignRuns | None = None,
    ) -> CampaignRecord:
        for _ in range(TRIES):
            known = await self.get(project, name)
            now = self._clock.now()
            after = changed(known, now)
            if after == known:
                return known
            after = _next(after)
            if await self._store.campaigns.change(known, after, Effects(), runs, now):
                return after
        raise Conflict(f"{name} is being changed by somebody else")

    async def _check(self, project: Project, campaign: Campaign) -> None:
        problems = [
            FieldError(f"schedule.{field}", words)
            for field, words in schedules.check(campaign.schedule, self._clock.now())
        ]
        try:
            await self._accepting.check(project, campaign.notification, campaign.to)
        except InvalidRequest as error:
            told = [
                one if one.field.startswith("to") else FieldError(f"notification.{one.field}", one.message)
                for one in error.errors
            ]
            problems += told
        if problems:
            raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in problems), errors=problems)

    async def _count(self, record: CampaignRecord, now: Millis) -> int:
        """How many people a run that begins now is for."""
        project, to = record.project, record.campaign.to
        crowd = crowd_of(to, await self._catalog.segments(project), now)
        if crowd is not None:
            return await self._store.audiences.count(project, crowd)
        return await self._store.campaigns.people(project) if to.everyone else len(audience.people(to))


def run_id(record: CampaignRecord, moment: Millis) -> str:
    """The same for whoever makes the run of that moment."""
    told = f"campaign\n{record.campaign.name}\n{record.number}\n{moment}"
    return blake2b(told.encode(), digest_size=16).hexdigest()


def _run_of(record: CampaignRecord, key: Key, moment: Millis, now: Millis) -> Notification:
    campaign = record.campaign
    return Notification(
        key=key,
        id=run_id(record, moment),
        project=record.project,
        message=campaign.notification,
        to=campaign.to,
        created_at=now,
        send_at=moment,
        sent_by=record.sent_by,
        campaign=campaign.name,
        local_time=schedules.local_time_of(campaign.schedule, moment),
        rate=campaign.rate,
        ends_at=campaign.expires_at,
    )


def _next(record: CampaignRecord) -> CampaignRecord:
    return msgspec.structs.replace(record, changed=record.changed + 1)


def _first(campaign: Campaign, now: Millis) -> Millis | None:
    due_at = schedules.first_run(campaign.schedule, now)
    late = due_at is not None and campaign.expires_at is not None and due_at >= campaign.expires_at
    return None if late else due_at


def _must_be(record: CampaignRecord, verb: str, *states: CampaignState) -> None:
    if record.state not in states:
        allowed = " or ".join(states)
        raise Conflict(f"{record.campaign.name} is {record.state} and cannot be {verb}: it must be {allowed}")


def _summed(every: Sequence[Progress]) -> Progress:
    reasons: dict[str, int] = {}
    deliveries: dict[DeliveryState, int] = {}
    for one in every:
        for reason, count in one.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
        for state, count in one.deliveries.items():
            deliveries[state] = deliveries.get(state, 0) + count
    due = [one.due_at for one in every if one.due_at is not None]
    return Progress(reasons, deliveries, min(due, default=None))
