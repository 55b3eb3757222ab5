"""Trigger, joined to the world: a request to notify is checked, and becomes a notification with its first work."""

import asyncio
from collections.abc import Callable

from clarion.errors import InvalidRequest
from clarion.journey import audience
from clarion.journey.catalog import Catalog
from clarion.journey.draft import check_message
from clarion.journey.rules import local_time as local_times
from clarion.journey.segments.lookup import check_audience
from clarion.journey.texts import honesty
from clarion.journey.texts.words import project_facts
from clarion.model import ARMED_LIFE_MS, Audience, Device, LocalTime, Message, Millis, Notification, Project
from clarion.ports import Clock, NewWork, Store


class Accepting:
    """What the pipeline does with a request to notify, before the notification is written."""

    def __init__(self, store: Store, catalog: Catalog, clock: Clock, new_id: Callable[[], str]) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._new_id = new_id

    async def accept(
        self,
        project: Project,
        message: Message,
        to: Audience,
        *,
        send_at: Millis | None,
        local_time: LocalTime | None,
        arm: bool,
        id: str | None,
        sent_by: str | None,
    ) -> tuple[Notification, list[NewWork]]:
        """The notification, not yet written, and what is to be done first. Raises InvalidRequest naming the fields."""
        await self.check(project, message, to, arm=arm)
        now = self._clock.now()
        send_at = _beginning(send_at, local_time, now)
        [key] = await self._store.trail.reserve(1)
        notification = Notification(
            key=key,
            id=id or self._new_id(),
            project=project.key,
            message=message,
            to=to,
            created_at=now,
            send_at=send_at if send_at is not None and send_at > now else None,
            armed_until=now + ARMED_LIFE_MS if arm else None,
            sent_by=sent_by,
            local_time=local_time,
        )
        return notification, await self._first_work(notification, now)

    async def imagine(
        self,
        project: Project,
        message: Message,
        to: Audience,
        *,
        send_at: Millis | None,
        local_time: LocalTime | None,
        sent_by: str | None,
    ) -> Notification:
        """What a dry run is about: it has no key, and nobody will find it. Raises InvalidRequest naming the fields."""
        await self.check(project, message, to)
        notification = Notification(
            key=0,
            id="dry-run",
            project=project.key,
            message=message,
            to=to,
            created_at=self._clock.now(),
            send_at=_beginning(send_at, local_time, self._clock.now()),
            sent_by=sent_by,
            local_time=local_time,
        )
        if to.devices is not None:
            await self._named_devices(notification)
        return notification

    async def check(self, project: Project, message: Message, to: Audience, *, arm: bool = False) -> None:
        """Raises InvalidRequest naming the fields."""
        categories = await self._catalog.categories(project.key)
        templates = await self._catalog.templates_for(project.key, [message])
        partials, facts = await self._catalog.partials(project.key), project_facts(project)
        problems = check_message(message, categories, templates, facts, partials, armed=arm)
        if audience.is_crowd(to):
            segments, topics = await self._catalog.segments(project.key), await self._catalog.topics(project.key)
            problems += check_audience(to, segments, topics)
        if not problems and project.settings.lint:
            drafts = honesty.of_wordings(message, categories, templates, facts, partials=partials)
            problems = await asyncio.to_thread(honesty.all_refusals, message, drafts, project.settings)
        if problems:
            raise InvalidRequest("; ".join(f"{name}: {words}" for name, words in problems), errors=problems)

    async def _first_work(self, notification: Notification, now: Millis) -> list[NewWork]:
        """Named devices and few named people become candidates at once; a large audience is cut by a worker."""
        to = notification.to
        if audience.is_cut_later(to):
            due = notification.send_at if audience.is_found_out(to) and notification.send_at else now
            return [audience.further(notification, 0, due)]
        at_once = audience.Pace(now)
        if to.devices is not None:
            users = {device.user for device in await self._named_devices(notification)}
        else:
            names = audience.people(to)
            users = set((await self._store.users.resolve(notification.project, names, now, create=True)).values())
        return audience.candidates(notification, users, at_once)

    async def _named_devices(self, notification: Notification) -> list[Device]:
        names = notification.to.devices or []
        devices = await self._store.devices.find(notification.project, names)
        known = {device.id for device in devices}
        where = next((index for index, name in enumerate(names) if name not in known), None)
        if where is not None:
            raise InvalidRequest.field(f"to.devices[{where}]", "there is no such device")
        return devices


def _beginning(send_at: Millis | None, local: LocalTime | None, now: Millis) -> Millis | None:
    """By local time it begins where a day begins first, with nobody before `send_at`."""
    return send_at if local is None else local_times.begins(local, max(now, send_at or 0))
