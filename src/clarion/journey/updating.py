"""Live updates, joined to the world: what was sent is replaced or withdrawn on the screens where it may stand.

An update is a notification of its own, with decisions and deliveries of its own. The newest one of a first one counts:
storing it supersedes all others in the same transaction. It goes to whoever the first one was sent to; who waits for
the first one still (quiet hours, a large audience) gets the newest instead, when their turn comes.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from clarion.errors import Conflict, NotFound
from clarion.journey import audience
from clarion.journey.candidate import Decided
from clarion.journey.on_screens import NOWHERE, Where, by_user
from clarion.model import Audience, Key, Message, Millis, Notification, Project, Reason, Update, UpdateKind
from clarion.ports import AudienceWork, Clock, Effects, NewWork, PairsWork, SpanWork, Store
from clarion.wire.apns import TOPIC

_PEOPLE_A_STEP: Final = 5 * audience.BATCH
_FIRST_LOOK_MS: Final = 2_000
_SETTLED_MS: Final = 30_000
"""Twice as long as a lease: what was under way when an update came has been written down by then."""
_WORDS: Final = ("title", "body", "url")

Check = Callable[[Project, Message], Awaitable[None]]
"""Raises InvalidRequest for a message that cannot be sent."""


class Updating:
    """What the pipeline does to make updates, and to find who gets them."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], str], check: Check) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._check = check

    async def replace(
        self,
        project: Project,
        first: Notification,
        changes: Mapping[str, Any],
        *,
        renotify: bool,
        id: str | None,
        sent_by: str | None,
    ) -> tuple[Notification, list[NewWork]]:
        """The update, not yet written. `changes`: fields of the message; all others stay as the first one has them.

        Raises:
            Conflict: nothing of it can be on a screen yet, or not any more.
            InvalidRequest: names the fields.
        """
        if first.is_armed:
            raise Conflict(f"the notification {first.id} is armed and was not fired: cancel it, and make another one")
        if await self._withdrawal(project, first) is not None:
            raise Conflict(f"the notification {first.id} was withdrawn: send a new one")
        message = _changed(first.message, changes)
        await self._check(project, message)
        return await self._made(first, UpdateKind.REPLACE, message, renotify=renotify, id=id, sent_by=sent_by)

    async def withdraw(
        self, project: Project, first: Notification, *, id: str | None, sent_by: str | None
    ) -> tuple[Notification, list[NewWork]]:
        """The withdrawal, not yet written; or the one that there is, with nothing to do."""
        known = await self._withdrawal(project, first)
        if known is not None:
            return known, []
        own = first.message
        topic = (own.apns.get("headers") or {}).get(TOPIC)
        message = Message(
            category=own.category,
            ttl=own.ttl,
            urgency=own.urgency,
            collapse_key=own.collapse_key,
            apns={} if topic is None else {"headers": {TOPIC: topic}},
        )
        return await self._made(first, UpdateKind.WITHDRAW, message, renotify=False, id=id, sent_by=sent_by)

    async def first_of(self, project: Project, named: Notification) -> Notification:
        """The one that a caller means who names it, or an update of it. Raises NotFound when it is gone."""
        found = await self._store.trail.load(project.key, [named.first])
        if named.first not in found:
            raise NotFound(f"the notification that {named.id} updates is not there any more")
        return found[named.first]

    async def _withdrawal(self, project: Project, first: Notification) -> Notification | None:
        newest = await self.newest_of(project.key, first)
        return newest if newest is not None and _kind(newest) is UpdateKind.WITHDRAW else None

    async def newest_of(self, project: Key, notification: Notification) -> Notification | None:
        """The update that counts now; None where there is none."""
        if notification.updated_by is None:
            return None
        return (await self._store.trail.load(project, [notification.updated_by])).get(notification.updated_by)

    async def _made(
        self,
        first: Notification,
        kind: UpdateKind,
        message: Message,
        *,
        renotify: bool,
        id: str | None,
        sent_by: str | None,
    ) -> tuple[Notification, list[NewWork]]:
        now = self._clock.now()
        [key] = await self._store.trail.reserve(1)
        made = Notification(
            key=key,
            id=id or self._new_id(),
            project=first.project,
            message=message,
            to=Audience() if audience.is_cut_later(first.to) else first.to,  # to be told of, not to be asked
            created_at=now,
            event=first.event,
            sent_by=sent_by,
            update=Update(kind=kind, first=first.key, first_id=first.id, renotify=renotify),
        )
        return made, [audience.further(made, 0, now)]

    # --- who gets it ---

    async def spread(self, notification: Notification, job: AudienceWork, now: Millis) -> Effects:
        """Work for those who have the first one, in parts; and another look for what was under way meanwhile."""
        update = notification.update
        if update is None or notification.updated_by is not None:
            return Effects()
        project, age = notification.project, now - notification.created_at
        people = await self._store.trail.holders(project, update.first, notification.key, job.cursor, _PEOPLE_A_STEP)
        found = by_user(await self._store.trail.standings(project, update.first, people), update.kind)
        # What is in flight may arrive after its own withdrawal, so that waits; a replacement is what comes last anyhow.
        waits = update.kind is UpdateKind.WITHDRAW and age < _SETTLED_MS
        chosen = [user for user, where in found.items() if where.devices and not (waits and where.unsettled)]
        work = audience.candidates(notification, chosen, now)
        again = job.again or any(where.unsettled for where in found.values())
        if len(people) == _PEOPLE_A_STEP:
            work.append(_look(notification, people[-1], now, again=again))
        elif age < _SETTLED_MS and (again or await self._busy(project, update.first, now)):
            work.append(_look(notification, 0, now + max(_FIRST_LOOK_MS, age), again=False))
        return Effects(work=work)

    async def _busy(self, project: Key, first: Key, now: Millis) -> bool:
        due_at = (await self._store.trail.progress(project, first)).due_at
        return due_at is not None and due_at < now + _SETTLED_MS

    async def where(
        self, job: SpanWork | PairsWork, notifications: Mapping[Key, Notification]
    ) -> Mapping[tuple[Key, Key], Where]:
        """By (update, user) of a job, the devices that it goes to; who is missing never had the first one."""
        updates = {key: one.update for key, one in notifications.items() if one.update is not None}
        if not updates or isinstance(job, SpanWork):
            return NOWHERE
        found: dict[tuple[Key, Key], Where] = {}
        for key, update in updates.items():
            users = [user for other, user in job.pairs if other == key]
            project = notifications[key].project
            places = by_user(await self._store.trail.standings(project, update.first, users), update.kind)
            found.update({(key, user): where for user, where in places.items()})
        return found

    async def onwards(self, project: Key, decided: Iterable[Decided], now: Millis) -> list[NewWork]:
        """Work for who was about to get something that is superseded: they get what took its place."""
        waiting: dict[Key, list[Key]] = {}
        for one in decided:
            newest = one.notification.updated_by
            if one.reason is Reason.SUPERSEDED and newest is not None:
                waiting.setdefault(newest, []).append(one.recipient.key)
        if not waiting:
            return []
        found = await self._store.trail.load(project, sorted(waiting))
        return [
            work
            for key, users in waiting.items()
            if key in found and _kind(found[key]) is UpdateKind.REPLACE
            for work in audience.candidates(found[key], users, now)
        ]


def _changed(message: Message, changes: Mapping[str, Any]) -> Message:
    """The first one's message with what is new. Another template speaks for itself, in its newest version."""
    anew = dict.fromkeys((*_WORDS, "template_version")) if "template" in changes else {}
    return msgspec.structs.replace(message, **(anew | {"content_key": None} | dict(changes)))


def _kind(notification: Notification) -> UpdateKind | None:
    return None if notification.update is None else notification.update.kind


def _look(notification: Notification, cursor: Key, due_at: Millis, *, again: bool) -> NewWork:
    return NewWork(
        project=notification.project,
        job=AudienceWork(notification=notification.key, cursor=cursor, again=again),
        due_at=due_at,
        notification=notification.key,
    )
