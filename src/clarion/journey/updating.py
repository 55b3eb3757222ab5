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

Check = Callable[[Project, Message, Audience], Awaitable[None]]
"""Raises InvalidRequest for a message that cannot be sent."""
Begin = Callable[[Notification, list[NewWork]], Awaitable[Notification]]
"""Write it with its first work, and wake whom it gave some."""


class Updating:
    """Makes updates, and finds who gets them."""

    def __init__(self, store: Store, clock: Clock, new_id: Callable[[], str], check: Check, begin: Begin) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._check = check
        self._begin = begin

    async def replace(
        self,
        project: Project,
        id: str,
        changes: Mapping[str, Any],
        *,
        renotify: bool = False,
        new_id: str | None = None,
        sent_by: str | None = None,
    ) -> Notification:
        """New words in the place of what was sent; `id` names that, or an update of it. On disk when it returns.

        `changes`: fields of the message; all others stay as the first one has them.

        Raises:
            NotFound: there is no such notification.
            Conflict: nothing of it can be on a screen yet, or not any more.
            InvalidRequest: names the fields.
        """
        first = await self._first(project, id)
        if first.is_armed:
            raise Conflict(f"the notification {first.id} is armed and was not fired: cancel it, and make another one")
        if await self._withdrawal(first) is not None:
            raise Conflict(f"the notification {first.id} was withdrawn: send a new one")
        message = _changed(first.message, changes)
        await self._check(project, message, Audience())
        update = Update(kind=UpdateKind.REPLACE, first=first.key, first_id=first.id, renotify=renotify)
        return await self._made(first, update, message, new_id, sent_by)

    async def withdraw(self, project: Project, id: str, *, sent_by: str | None = None) -> Notification:
        """Cancel what was not sent, close what is shown; once, however often it is called. Raises NotFound."""
        first = await self._first(project, id)
        known = await self._withdrawal(first)
        if known is not None:
            return known
        own = first.message
        topic = (own.apns.get("headers") or {}).get(TOPIC)
        message = Message(
            category=own.category,
            ttl=own.ttl,
            urgency=own.urgency,
            collapse_key=own.collapse_key,
            apns={} if topic is None else {"headers": {TOPIC: topic}},
        )
        update = Update(kind=UpdateKind.WITHDRAW, first=first.key, first_id=first.id)
        return await self._made(first, update, message, None, sent_by)

    async def _first(self, project: Project, id: str) -> Notification:
        named = await self._store.trail.notification(project.key, id)
        if named is None:
            raise NotFound(f"there is no notification {id}")
        if named.update is None:
            return named
        found = await self._store.trail.load(project.key, [named.first])
        if named.first not in found:
            raise NotFound(f"the notification that {id} updates is not there any more")
        return found[named.first]

    async def _withdrawal(self, first: Notification) -> Notification | None:
        newest = await self.newest_of(first)
        return newest if newest is not None and _kind(newest) is UpdateKind.WITHDRAW else None

    async def newest_of(self, notification: Notification) -> Notification | None:
        """The update that counts now; None where there is none."""
        if notification.updated_by is None:
            return None
        found = await self._store.trail.load(notification.project, [notification.updated_by])
        return found.get(notification.updated_by)

    async def _made(
        self, first: Notification, update: Update, message: Message, id: str | None, sent_by: str | None
    ) -> Notification:
        now = self._clock.now()
        [key] = await self._store.trail.reserve(1)
        made = Notification(
            key=key,
            id=id or self._new_id(),
            project=first.project,
            message=message,
            to=first.to if len(first.to.users or ()) <= audience.BATCH else Audience(),
            created_at=now,
            event=first.event,
            sent_by=sent_by,
            update=update,
        )
        return await self._begin(made, [audience.further(made, 0, now)])

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
        work = audience.candidates(notification, chosen, audience.Pace(now))
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
            for work in audience.candidates(found[key], users, audience.Pace(now))
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
