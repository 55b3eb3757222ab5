"""Deciding and composing a batch: what must be known is asked for at once, what was decided is written at once."""

from collections.abc import Collection, Mapping, Sequence

from clarion.crypto.receipts import ReceiptTokens
from clarion.journey import audience, judgement
from clarion.journey.candidate import candidates, facts_query, with_digests, with_wishes, without_own_content
from clarion.journey.carried_over import carried_over
from clarion.journey.catalog import Catalog
from clarion.journey.compose import Scene
from clarion.journey.conditions import Around
from clarion.journey.decide import Law, capping, slots
from clarion.journey.digests import digest
from clarion.journey.digests.coming_along import asked_together
from clarion.journey.dry_run import DryRun, dry_run
from clarion.journey.experiments.winning import Winning
from clarion.journey.segments.lookup import crowd_of, with_crowds
from clarion.journey.texts.words import project_facts, time_told
from clarion.journey.updating import Updating
from clarion.model import DeviceKind, Key, Millis, Notification, Project
from clarion.ports import Clock, Lease, NewWork, PairsWork, SpanWork, Store


class DecidingSteps:
    """One for each process. `reachable`: the kinds of devices that there are providers for."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        updating: Updating,
        reachable: Collection[DeviceKind],
        receipts: ReceiptTokens,
        receipts_url: str,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._updating = updating
        self._reachable = reachable
        self._receipts = receipts
        self._receipts_url = receipts_url
        self._winning = Winning(store)

    async def step(self, lease: Lease, job: SpanWork | PairsWork) -> Sequence[NewWork]:
        """Decide and compose a batch, and write it under its people's locks. Returns the work that was written."""
        project = await self._catalog.project(lease.project)
        now = self._clock.now()
        named = job
        job, notifications, keys = await asked_together(self._store, self._catalog, project.key, job, now)
        if lease.notification in notifications and notifications[lease.notification].is_paused:
            await self._store.work.set_aside(lease, now)
            return ()
        if _is_crumb(lease, job, notifications):
            lease = await self._store.work.gather(lease, now, audience.BATCH)
            assert isinstance(lease.job, PairsWork)
            job = named = lease.job
        scene = await self._scene(project, list(notifications.values()), now)
        scene = scene._replace(winners=await self._winning.winners(notifications.values(), now))
        law = self._law(project, scene, now)
        only, standing = await self._only(notifications), await self._updating.where(job, notifications)
        query = facts_query(job, notifications, scene.events, capping(law, notifications.values()))
        query = with_wishes(query, law.categories, project.settings)
        query = with_crowds(query, notifications.values(), await self._catalog.segments(project.key), now)
        query = with_digests(query, job, law.categories, digest.marks(notifications, law.categories, law.around))
        async with self._store.steps.deciding(project.key, query) as deciding:
            facts = without_own_content(deciding.facts, notifications)
            judged = await judgement.judge(
                candidates(job, notifications, facts, only, standing), facts, law, scene, keys
            )
            judged = judgement.only_news(judgement.without(judged, facts.begun), named)
            held = isinstance(job, PairsWork) and job.held
            further = await carried_over(self._store, project.key, named, notifications, deciding.facts, now)
            further += await self._updating.onwards(project.key, judged.decided, now)
            taken = slots([*judged.decided, *judged.digests], law)
            effects = judgement.effects(
                judged,
                project.key,
                now,
                held_before=held,
                chosen=facts.chosen,
                waiting=facts.collected,
                slots=taken,
                further=further,
            )
            committed = await deciding.commit(lease, effects)
        return effects.work if committed else ()

    async def dry_run(self, project: Project, notification: Notification) -> DryRun:
        """What would become of a notification that was only imagined."""
        now = notification.created_at
        scene = await self._scene(project, [notification], now)
        law = self._law(project, scene, now)
        crowd = crowd_of(notification.to, await self._catalog.segments(project.key), now)
        return await dry_run(self._store, notification, law, scene, crowd)

    def _law(self, project: Project, scene: Scene, now: Millis) -> Law:
        around = Around(scene.project_facts, scene.events, now)
        return Law(project.settings, scene.categories, self._reachable, now, around)

    async def _scene(self, project: Project, notifications: Sequence[Notification], now: Millis) -> Scene:
        keys = [one.event for one in notifications if one.event is not None]
        events = await self._store.events.load(project.key, keys) if keys else []
        return Scene(
            project=project.key,
            project_facts=project_facts(project),
            categories=await self._catalog.categories(project.key),
            templates=await self._catalog.templates_for(project.key, (one.message for one in notifications)),
            events={event.key: event for event in events if event.key is not None},
            receipts_for=self._receipts.for_notification,
            receipts_url=self._receipts_url,
            now_text=time_told(now),
            partials=await self._catalog.partials(project.key),
            zone=project.settings.default_timezone,
        )

    async def _only(self, notifications: Mapping[Key, Notification]) -> dict[Key, frozenset[Key]]:
        """The devices by notification, where the sender named devices."""
        return {
            key: frozenset(
                device.key for device in await self._store.devices.find(notification.project, notification.to.devices)
            )
            for key, notification in notifications.items()
            if notification.to.devices is not None and notification.update is None
        }


def _is_crumb(lease: Lease, job: SpanWork | PairsWork, notifications: Mapping[Key, Notification]) -> bool:
    """Whether it is a few people of many whose moment it is: each batch has some of every time zone."""
    if not isinstance(job, PairsWork) or not job.held or job.collected or lease.attempts:
        return False
    notification = notifications.get(lease.notification or 0)
    return notification is not None and audience.is_cut_later(notification.to) and len(job.pairs) <= audience.BATCH // 2
