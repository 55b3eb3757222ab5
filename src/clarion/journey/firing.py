"""Armed notifications, joined to the world: batches are prepared, and at the fire they leave as they are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from clarion.journey import arming, audience, deliver
from clarion.journey.catalog import Catalog
from clarion.journey.changes import Fired, FiredOnes
from clarion.journey.delivering import Commit, Delivering
from clarion.journey.rules import Ruling
from clarion.journey.segments.lookup import crowd_of
from clarion.model import DeviceKind, Key, Millis, Notification, Project, Reason
from clarion.ports import (
    ArmedWork,
    CatchUpWork,
    Clock,
    Crowd,
    DeliverWork,
    Effects,
    FactsQuery,
    Lease,
    NewWork,
    Prepared,
    Provider,
    Recorder,
    Store,
)


class AtOnce:
    """`ports.Recorder` where nobody is in a hurry: written before the next step."""

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Nothing waits."""
        yield

    async def record(self, lease: Lease, effects: Effects, commit: Commit) -> None:
        """Commit it now."""
        await commit(lease, effects)


class Firing:
    """The steps of armed notifications."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        providers: Mapping[DeviceKind, Provider],
        delivering: Delivering,
        commit: Commit,
        recorder: Recorder,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._providers = providers
        self._delivering = delivering
        self._commit = commit
        self._recorder = recorder
        self._fired = FiredOnes(store, clock)

    async def arm(self, lease: Lease, job: DeliverWork) -> None:
        """Prepare a composed batch. It waits for the fire; if that has been already, it goes at once."""
        project = await self._catalog.project(lease.project)
        notifications = await self._store.trail.load(project.key, sorted({one.notification for one in job.messages}))
        addresses = await self._store.steps.addresses(project.key, [one.device for one in job.messages])
        batch = [each for each in arming.addressed(job, addresses) if each.ready.notification in notifications]
        secrets = await self._catalog.secrets(project, job.kind)
        bodies = await self._providers[job.kind].prepare(batch, secrets)
        quiet = await self._delivering.resting.own(project, sorted({each.ready.user for each in batch}))
        now = self._clock.now()
        await self._commit(lease, arming.armed(job, batch, bodies, notifications, quiet, project.key, now))

    async def step(self, lease: Lease, job: ArmedWork) -> None:
        """Send a prepared batch, if it was fired; what came of it is written behind the sending."""
        found = await self._fired.get(lease.project, job.notification)
        now = self._clock.now()
        if not isinstance(found, Fired):
            await self._commit(lease, _unsent(lease, job, found, now))
        elif found.notification.updated_by is not None:
            await self._commit(lease, await self._superseded(job, found.notification, now))
        elif deliver.is_over(found.notification.expires_at, job.attempts, now):
            await self._commit(lease, arming.come_to_nothing(job, Reason.EXPIRED))
        else:
            with self._recorder.sending():
                effects = await self._send(lease, job, found)
            if effects is not None:
                await self._recorder.record(lease, effects, self._commit)

    async def _superseded(self, job: ArmedWork, fired: Notification, now: Millis) -> Effects:
        """Newer words came before it left: who was to get it gets those, however long it still had to wait."""
        effects = arming.come_to_nothing(job, Reason.SUPERSEDED)
        [update] = (await self._store.trail.load(fired.project, [fired.updated_by or 0])).values() or [None]
        work = [] if update is None else audience.candidates(update, job.users, audience.Pace(now))
        return msgspec.structs.replace(effects, work=work)

    async def _send(self, lease: Lease, job: ArmedWork, fired: Fired) -> Effects | None:
        """None: nothing could leave now, and the job waits for its turn."""
        parted = arming.part(job, fired.notification, fired.changes)
        project, sent_at = await self._catalog.project(lease.project), self._clock.now()
        quiet = await self._quiet(project, fired.notification, parted.kept, sent_at)
        parted = arming.set_aside(parted, fired.notification, quiet)
        batch = Prepared(parted.kept, fired.notification.expires_at)
        attempt = await self._delivering.attempt(project, job, batch) if batch else None
        now = self._clock.now()
        if attempt is not None and not attempt.sent and not parted.left and not quiet:
            due = deliver.comes_again(attempt.held, attempt.held_until, now)
            await self._store.work.release(lease, due, counts=False)
            return None
        return arming.settle(job, parted, attempt, project=project.key, sent_at=sent_at, now=now)

    async def _quiet(
        self, project: Project, notification: Notification, kept: ArmedWork, now: Millis
    ) -> dict[tuple[Key, Key], Ruling]:
        """Who rests now. Where everybody may, everybody is asked; else only who had hours of their own before."""
        resting, users = self._delivering.resting, kept.users
        if not await resting.anybody_may(project, notification):
            own = set(kept.quiet)
            users = [user for user in users if user in own] if own else []
        pairs = {(notification.key, user) for user in users}
        return await resting.rulings(project, {notification.key: notification}, pairs, now)

    async def catch_up(self, lease: Lease, job: CatchUpWork) -> None:
        """Whoever changed while it was armed is decided anew, by what is known now."""
        [notification] = (await self._store.trail.load(lease.project, [job.notification])).values() or [None]
        if notification is None or notification.cancelled_at is not None:
            await self._commit(lease, Effects())
            return
        changes = await self._store.steps.changes(lease.project, notification.created_at - arming.OVERLAP_MS)
        users = await self._addressed(notification, sorted(changes.users.keys() - changes.successors.keys()))
        work = arming.decided_anew(lease.project, [(notification.key, user) for user in users], self._clock.now())
        await self._commit(lease, Effects(work=work))

    async def _addressed(self, notification: Notification, users: Sequence[Key]) -> list[Key]:
        """Those of these people whom the notification is for."""
        project, to = notification.project, notification.to
        if to.everyone:
            return list(users)
        crowd = crowd_of(to, await self._catalog.segments(project), self._clock.now())
        if crowd is not None:
            return await self._of_crowd(notification, crowd, users)
        if to.devices is not None:
            owners = {device.user for device in await self._store.devices.find(project, to.devices)}
            return [user for user in users if user in owners]
        named = set(to.users or ())
        ids = await self._store.users.ids(project, users)
        return [user for user in users if ids.get(user) in named]

    async def _of_crowd(self, notification: Notification, crowd: Crowd, users: Sequence[Key]) -> list[Key]:
        """Who is in it now, and who was when it was prepared: they are told if they are not any more."""
        found: list[Key] = []
        for start in range(0, len(users), audience.BATCH):
            query = FactsQuery(users=users[start : start + audience.BATCH], crowds=[crowd], again=[notification.key])
            facts = await self._store.steps.facts(notification.project, query)
            before = {user for _, user in facts.chosen}
            found += [one for one in query.users or () if one in before or one in facts.members[crowd.name]]
        return found


def _unsent(lease: Lease, job: ArmedWork, notification: Notification | None, now: Millis) -> Effects:
    """What becomes of a batch that is due and not to be sent."""
    if notification is None:
        return Effects()
    if notification.cancelled_at is not None:
        return arming.called_off(job, Reason.CANCELLED, "last look", now)
    if now >= notification.expires_at:
        return arming.called_off(job, Reason.EXPIRED, "never fired", now)
    # Somebody's lease was voided, or a credential is new. It goes on waiting; a fire in this moment is not missed.
    again = NewWork(project=lease.project, job=job, due_at=notification.expires_at, notification=notification.key)
    return Effects(work=[again])
