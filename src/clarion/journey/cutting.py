"""Audience, joined to the world: who is meant, found out a step at a time and cut into batches."""

from clarion.journey import audience
from clarion.journey.audience import Pace
from clarion.journey.catalog import Catalog
from clarion.journey.segments.lookup import crowd_of
from clarion.journey.updating import Updating
from clarion.model import Key, Millis, Notification
from clarion.ports import AudienceWork, Clock, Effects, NewWork, Store


class Cutting:
    """What the pipeline does with an audience that is too large, or not known, when a notification is accepted."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock, updating: Updating) -> None:
        self._updating = updating
        self._store = store
        self._catalog = catalog
        self._clock = clock

    async def effects(self, project: Key, job: AudienceWork) -> Effects | None:
        """The next batches, and the rest as further work. None: it is paused."""
        now = self._clock.now()
        notification = (await self._store.trail.load(project, [job.notification])).get(job.notification)
        if notification is None:
            return Effects()
        if notification.is_paused:
            return None
        pace = audience.pace(notification, now)
        if notification.update is not None:
            return await self._updating.spread(notification, job, now)
        if notification.to.everyone:
            return Effects(work=await self._everyone(notification, job.cursor, pace))
        if audience.is_crowd(notification.to):
            return Effects(work=await self._crowd(notification, job.cursor, pace, now))
        return Effects(work=await self._named(notification, job.cursor, pace, now))

    async def _everyone(self, notification: Notification, cursor: int, pace: Pace) -> list[NewWork]:
        steps = self._store.steps
        spans = await steps.user_span(notification.project, cursor, pace.size, audience.SPANS_A_STEP)
        work = audience.spans(notification, spans, pace)
        if len(spans) == audience.SPANS_A_STEP:
            work.append(audience.further(notification, spans[-1][1], pace.after(len(work))))
        return work

    async def _crowd(self, notification: Notification, cursor: int, pace: Pace, now: Millis) -> list[NewWork]:
        """Who is in the segment, or subscribed to the topic, at this moment."""
        project = notification.project
        crowd = crowd_of(notification.to, await self._catalog.segments(project), now)
        assert crowd is not None
        most = _most(pace, audience.FOUND_A_STEP)
        found = await self._store.audiences.keys(project, crowd, cursor, most)
        work = audience.candidates(notification, found, pace)
        if len(found) == most:
            work.append(audience.further(notification, found[-1], pace.after(len(work))))
        return work

    async def _named(self, notification: Notification, cursor: int, pace: Pace, now: Millis) -> list[NewWork]:
        names = audience.people(notification.to)
        part = names[cursor : cursor + _most(pace, audience.NAMED_A_STEP)]
        users = await self._store.users.resolve(notification.project, part, now, create=True)
        work = audience.candidates(notification, users.values(), pace)
        if cursor + len(part) < len(names):
            work.append(audience.further(notification, cursor + len(part), pace.after(len(work))))
        return work


def _most(pace: Pace, usual: int) -> int:
    """People in a step: where they go out slowly, no more than some batches wait cut."""
    return min(usual, pace.size * audience.SPANS_A_STEP) if pace.step_ms else usual
