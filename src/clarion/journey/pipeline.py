"""The way a notification takes, from end to end: the application service that api, demo, cli and workers call.

    permission → registration → trigger → audience → decide → compose → deliver → display → learn

The stages are pure functions over batches; here they are joined. What must survive a crash is written before it is
answered: each step writes its effects and ends its lease in one transaction.
"""

import asyncio
from collections.abc import Mapping, Sequence

from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.errors import InvalidRequest, NotFound
from clarion.journey import arming, learn, permission, registration, trigger
from clarion.journey.accepting import Accepting
from clarion.journey.automations.automating import Automating
from clarion.journey.automations.calling import Calling, Webhooks
from clarion.journey.campaigns import Campaigns
from clarion.journey.catalog import Catalog
from clarion.journey.consenting import Consenting
from clarion.journey.cutting import Cutting
from clarion.journey.deciding import DecidingSteps
from clarion.journey.delivering import Delivering
from clarion.journey.dry_run import DryRun
from clarion.journey.firing import AtOnce, Firing
from clarion.journey.gates import Gates, Pause
from clarion.journey.loss_watch import LossWatch
from clarion.journey.records import records
from clarion.journey.rules import is_withdrawal
from clarion.journey.story import Chapter, tell
from clarion.journey.updating import Updating
from clarion.model import (
    Audience,
    Automation,
    Device,
    DeviceKind,
    Event,
    LocalTime,
    Message,
    Millis,
    Notification,
    Project,
    Receipt,
    Registration,
    User,
)
from clarion.ports import (
    ArmedWork,
    AudienceWork,
    BadCredentials,
    Begin,
    BeginWork,
    Bus,
    CatchUpWork,
    Chance,
    Clock,
    DeliverWork,
    Effects,
    EventsWork,
    Lease,
    NewWork,
    PairsWork,
    Provider,
    Recorder,
    RetryAfter,
    RunsWork,
    SpanWork,
    Store,
    Throttle,
    WatchWork,
    WebhookWork,
    queue_of,
)

WAKE = "work"
"""Bus topic: the payload is the name of a queue that has something to do."""
HANDED_OUT = 10_000
"""Runs of automations that become work in one transaction."""
ALL_QUEUES = ""
"""In place of a name: any queue may have."""


class Pipeline:
    """One for each process; holds no state of its own beyond the catalog's memory.

    `updating`: replaces and withdraws what was sent.
    """

    def __init__(
        self,
        *,
        store: Store,
        catalog: Catalog,
        bus: Bus,
        clock: Clock,
        chance: Chance,
        providers: Mapping[DeviceKind, Provider],
        receipts: ReceiptTokens,
        anonymous: AnonymousTokens,
        receipts_url: str,
        recorder: Recorder | None = None,
        webhooks: Webhooks | None = None,
        own_origin: str = "",
        pause: Pause = asyncio.sleep,
    ) -> None:
        """`recorder`: who writes down what was fired; without one it is written before the next batch.

        `own_origin`: of the endpoints of our own push service; `pause` lets seconds pass.
        """
        self._store = store
        self._catalog = catalog
        self._bus = bus
        self._clock = clock
        self._chance = chance
        self._providers = providers
        self._anonymous = anonymous
        self._own_origin = own_origin
        self.losses = LossWatch(store, clock)
        self._gates = Gates(store, clock, bus, self._wake, pause)
        self._consenting = Consenting(store, catalog, clock)
        self._accepting = Accepting(store, catalog, clock, self._new_id)
        self.campaigns = Campaigns(store, catalog, clock, self._accepting, self._wake)
        self.updating = Updating(store, clock, self._new_id, self._accepting.check, self._begin)
        self._cutting = Cutting(store, catalog, clock, self.updating)
        self._deciding = DecidingSteps(store, catalog, clock, self.updating, providers.keys(), receipts, receipts_url)
        self._automating = Automating(store, catalog, clock)
        self._calling = Calling(webhooks, catalog, clock)
        self._delivering = Delivering(store, catalog, clock, providers, self._gates, self._commit)
        self._firing = Firing(store, catalog, clock, providers, self._delivering, self._commit, recorder or AtOnce())

    # --- permission and registration: a person says yes (or no), a device gets an address -----------------------------

    async def register(self, project: Project, user_id: str, device: Registration) -> tuple[Device, bool]:
        """The device as stored, and whether it is new. Raises InvalidRequest naming the fields."""
        complete = await self._complete(project, device)
        now = self._clock.now()
        user = (await self._store.users.resolve(project.key, [user_id], now, create=True))[user_id]
        return await self._store.devices.register(project.key, user, complete, self._new_id(), now)

    async def register_anonymous(self, project: Project, device: Registration) -> tuple[Device, bool, str]:
        """The device of a person whom nobody has named: a user of its own, and the secret that proves to be it."""
        complete = await self._complete(project, device)
        now = self._clock.now()
        user = await self._store.users.create_anonymous(project.key, f"anon_{self._new_id()[:22]}", now)
        stored, created = await self._store.devices.register(project.key, user.key, complete, self._new_id(), now)
        return stored, created, self._anonymous.make(project.key, user.key)

    async def _complete(self, project: Project, device: Registration) -> Registration:
        permission.check(device)
        secrets = await self._catalog.secrets(project, device.kind)
        return registration.complete(device, secrets, project.vapid_public_key, self._own_origin)

    async def merge(self, project: Project, anonymous: User, user_id: str) -> None:
        """The anonymous person turns out to be `user_id`. A refusal that either gave stays."""
        if not anonymous.anonymous:
            raise InvalidRequest("only an anonymous user merges into a known one")
        now = self._clock.now()
        known = (await self._store.users.resolve(project.key, [user_id], now, create=True))[user_id]
        await self._store.users.merge(project.key, anonymous.key, known, now)

    async def consent(
        self,
        project: Project,
        user_id: str,
        said: Sequence[permission.Said],
        *,
        source: str,
        wording: str | None = None,
        wording_version: str | None = None,
    ) -> None:
        """New lines in the ledger, all or none; without a channel, one for each channel of the category."""
        await self._consenting.say(
            project, user_id, said, source=source, wording=wording, wording_version=wording_version
        )

    async def take_over_consents(self, project: Project, told: Sequence[permission.Elsewhere]) -> list[bool]:
        """What many people said elsewhere, all or none; by entry whether it was news. Raises InvalidRequest."""
        return await self._consenting.take_over(project, told)

    async def preferences(
        self, project: Project, user: User | None, locale: str | None = None
    ) -> list[permission.Preference]:
        """What is on and off, for a person or for somebody of whom nothing is known."""
        return await self._consenting.preferences(project, user, locale)

    # --- trigger: something happens -----------------------------------------------------------------------------------

    async def ingest(self, project: Project, events: Sequence[Event]) -> list[bool]:
        """Durable when it returns; per event whether it is new. New ones that start an automation get work."""
        automations = await self._catalog.automations(project.key)
        watched = trigger.watched(automations.values())
        new = await self._store.events.add(project.key, events, watched, self._clock.now())
        if watched and any(fresh and event.name in watched for fresh, event in zip(new, events, strict=True)):
            await self._wake("trigger")
        return new

    async def notify(
        self,
        project: Project,
        message: Message,
        to: Audience,
        *,
        send_at: Millis | None = None,
        local_time: LocalTime | None = None,
        arm: bool = False,
        id: str | None = None,
        sent_by: str | None = None,
    ) -> Notification:
        """Accepted and on disk when it returns; under an `id` that is known, nothing happens a second time.

        `arm`: it is prepared as far as it can be, and sent when it is fired. `sent_by`: the id of the caller's key.

        Raises:
            InvalidRequest: names the fields.
        """
        notification, work = await self._accepting.accept(
            project, message, to, send_at=send_at, local_time=local_time, arm=arm, id=id, sent_by=sent_by
        )
        return await self._begin(notification, work)

    async def _begin(self, notification: Notification, work: Sequence[NewWork]) -> Notification:
        await self._store.steps.commit(Effects(notifications=[notification], work=work))
        # What it cancels is in queues of all kinds.
        await (self._wake(ALL_QUEUES) if is_withdrawal(notification) else self._wake_for(work))
        return notification

    async def cancel(self, project: Project, id: str) -> Notification:
        """What was not handed to a provider yet is dropped as `cancelled`. Raises NotFound."""
        notification = await self._named(project, id)
        if await self._store.trail.cancel(project.key, notification.key, self._clock.now()):
            await self._wake(ALL_QUEUES)
        return (await self._store.trail.notification(project.key, id)) or notification

    async def fire(self, project: Project, id: str) -> Notification:
        """What was armed is on its way when this returns; calling it again changes nothing.

        Raises:
            NotFound: there is no such notification.
            Conflict: it is not armed, not any more, or cancelled.
        """
        notification = await self._named(project, id)
        for queue in await self._store.trail.fire(project.key, notification.key, self._clock.now()):
            await self._wake(queue)
        return arming.fired(await self._named(project, id))

    async def _named(self, project: Project, id: str) -> Notification:
        notification = await self._store.trail.notification(project.key, id)
        if notification is None:
            raise NotFound(f"there is no notification {id}")
        return notification

    async def dry_run(
        self,
        project: Project,
        message: Message,
        to: Audience,
        *,
        send_at: Millis | None = None,
        local_time: LocalTime | None = None,
        sent_by: str | None = None,
    ) -> DryRun:
        """What would become of it now, with nothing sent or written."""
        imagined = await self._accepting.imagine(
            project, message, to, send_at=send_at, local_time=local_time, sent_by=sent_by
        )
        return await self._deciding.dry_run(project, imagined)

    async def check_credential(self, kind: DeviceKind, secret: bytes) -> BadCredentials | RetryAfter | None:
        """What the service itself says of a credential; None: it takes it."""
        return await self._providers[kind].check(secret, self._clock.now())

    async def credential_changed(self, project: Project, kind: DeviceKind) -> None:
        """One of this kind is new or another one: everybody forgets the old ones, and what waits for it is tried."""
        await self._catalog.changed()
        await self._gates.renew(project.key, kind)

    def throttle(self, queue: str) -> Throttle | None:
        """What the rate of a queue of deliveries leaves room for; None: it holds nothing back."""
        return self._gates.throttle(queue)

    def end(self) -> None:
        """The process is told to end: what was handed to a push service is finished, and the rest goes back."""
        self._gates.end()

    async def begin(self, project: Project, automation: str, begins: Sequence[Begin]) -> None:
        """Runs of an automation are asked for; durable when it returns."""
        work = [NewWork(project.key, BeginWork(automation, list(begins)), self._clock.now())]
        await self._store.steps.commit(Effects(work=work))
        await self._wake_for(work)

    async def automation_changed(self, project: Project, automation: Automation) -> None:
        """One is new or another one: what begins its runs by itself is looked at from now on."""
        if automation.enabled and (automation.on.segment or automation.on.attribute):
            job = WatchWork(automation.name, automation.version)
            await self._store.steps.commit(Effects(work=[NewWork(project.key, job, self._clock.now())]))
            await self._wake("watch")

    def webhook_secret(self, project: Project) -> str:
        """With what the calls of a project are signed. Raises Unavailable where this process makes none."""
        return self._calling.secret(project.id)

    async def hand_out(self) -> None:
        """Runs of automations whose time has come become work."""
        while handed_out := await self._automating.hand_out(HANDED_OUT):
            await self._wake("runs")
            if handed_out < HANDED_OUT:
                break

    # --- the workers' steps -------------------------------------------------------------------------------------------

    async def step(self, lease: Lease) -> None:
        """Do one job. Whatever is raised leaves it undone, to be tried again."""
        match lease.job:
            case EventsWork() | RunsWork() | BeginWork() | WatchWork():
                await self._wake_for(await self._automating.step(lease, lease.job))
            case WebhookWork():
                await self._commit(lease, await self._calling.effects(lease, lease.job))
            case AudienceWork():
                await self._audience(lease, lease.job)
            case SpanWork() | PairsWork():
                await self._wake_for(await self._deciding.step(lease, lease.job))
            case DeliverWork(arm=True):
                await self._firing.arm(lease, lease.job)
            case DeliverWork():
                await self._delivering.step(lease, lease.job)
            case ArmedWork():
                await self._firing.step(lease, lease.job)
            case CatchUpWork():
                await self._firing.catch_up(lease, lease.job)

    async def _audience(self, lease: Lease, job: AudienceWork) -> None:
        effects = await self._cutting.effects(lease.project, job)
        if effects is None:
            await self._store.work.set_aside(lease, self._clock.now())
        else:
            await self._commit(lease, effects)

    # --- learn: what came back ----------------------------------------------------------------------------------------

    async def learn(self, receipts: Sequence[Receipt]) -> list[bool]:
        """Durable when it returns; per receipt whether it told something new."""
        return await self._store.trail.add_receipts(learn.credible(receipts, self._clock.now()), self._clock.now())

    async def story(self, project: Project, user_id: str, notification_id: str | None = None) -> list[Chapter]:
        """Everything that happened with a person, newest fifty of each, or with one notification. Raises NotFound."""
        user = await self._store.users.get(project.key, user_id)
        if user is None:
            raise NotFound(f"there is no user {user_id}")
        key = None
        if notification_id is not None:
            key = (await self._named(project, notification_id)).key
        return tell(await records(self._store, project.key, user.key, key))

    # --- what the steps share -----------------------------------------------------------------------------------------

    async def _commit(self, lease: Lease, effects: Effects) -> None:
        if await self._store.steps.commit(effects, lease):
            await self._wake_for(effects.work)

    async def _wake_for(self, work: Sequence[NewWork]) -> None:
        now = self._clock.now()
        for queue in {queue_of(one.job, one.project) for one in work if one.due_at <= now}:
            await self._wake(queue)

    async def _wake(self, queue: str) -> None:
        await self._bus.publish(WAKE, queue.encode())

    def _new_id(self) -> str:
        return self._chance.token(16).hex()
