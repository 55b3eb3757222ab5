"""Deliver, joined to the world: composed messages get their last look, leave, and what came of it is written."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from clarion.journey import deliver, rules
from clarion.journey.catalog import Catalog
from clarion.journey.deliver import Attempt, Sifted
from clarion.journey.digests.coming_along import called_off_with_all
from clarion.journey.gate import Pass
from clarion.journey.gates import Gates, Next
from clarion.journey.resting import Resting
from clarion.journey.still_relevant import FRESH_MS, pointless
from clarion.journey.texts.words import project_facts
from clarion.model import Category, CategoryClass, Channel, DeviceKind, Key, Project
from clarion.ports import (
    ArmedWork,
    Clock,
    DeliverWork,
    Effects,
    Lease,
    Outgoing,
    Place,
    Provider,
    ProviderOutcome,
    Ready,
    Store,
)

IN_HAND_MS = 5_000
"""A slow batch is written down after so long, and what is left of it comes again."""
LOOK_AGAIN_MS = 500
"""A batch that waits for its turn in hand is asked for so often whether it should still leave."""

Commit = Callable[[Lease, Effects], Awaitable[None]]
"""Write the effects and finish the lease in one transaction, then wake whom it gave work."""


class Delivering:
    """The delivery step of the pipeline. `resting`: who has quiet hours, for what leaves in other steps too."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        providers: Mapping[DeviceKind, Provider],
        gates: Gates,
        commit: Commit,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._providers = providers
        self._gates = gates
        self._commit = commit
        self.resting = Resting(store, catalog)

    async def step(self, lease: Lease, job: DeliverWork) -> None:
        """Hand to the provider what may leave now, write what came of it, and put the rest back."""
        project = await self._catalog.project(lease.project)
        # Before the addresses are read: who registers again after that has nothing to do with what comes of them.
        looked_at = self._clock.now()
        sifted = await self._last_look(project, job)
        if sifted is None:
            await self._store.work.set_aside(lease, self._clock.now())
            return
        attempt = await self.attempt(project, job, sifted.outgoing)
        now = self._clock.now()
        if attempt.held and not attempt.sent and not sifted.stopped and not sifted.resting:
            due = deliver.comes_again(attempt.held, attempt.held_until, now)
            await self._store.work.release(lease, due, counts=False)
            return
        effects = deliver.settle(sifted, attempt, project=project.key, job=job, sent_at=looked_at, now=now)
        await self._commit(lease, effects)

    async def _last_look(self, project: Project, job: DeliverWork) -> Sifted | None:
        """None: all of it is one notification, which is paused."""
        messages = job.messages
        notifications = await self._store.trail.load(project.key, sorted({one.notification for one in messages}))
        if len(notifications) == 1 and next(iter(notifications.values())).is_paused:
            return None
        notifications = await called_off_with_all(self._store, project.key, notifications)
        addresses = await self._store.steps.addresses(project.key, [one.device for one in messages])
        strangers = deliver.strangers(messages, addresses)
        successors = await self._store.users.successors(project.key, strangers) if strangers else {}
        users = sorted({successors.get(one.user, one.user) for one in messages})
        # Whoever they turned out to be may have said no long before it was decided.
        since = 0 if successors else job.decided_at
        words = await self._store.steps.refused_since(project.key, users, since)
        words = words | await self._paused(project, users, messages)
        categories, now = await self._catalog.categories(project.key), self._clock.now()
        if words:
            words = {about: word for about, word in words.items() if not _is_locked(categories.get(about[1]), project)}
        told = project_facts(project)
        over = await pointless(self._store, told, job, notifications, categories, successors, now)
        now = self._clock.now()
        sifted = deliver.sift(messages, notifications, addresses, words, successors, over, now)
        # People move and ask for other hours: what was late asks them anew, whatever was known when it was decided.
        if now - job.decided_at < FRESH_MS and (job.quiet_from is None or now < job.quiet_from):
            return sifted
        named = {(each.ready.notification, each.ready.user) for each in sifted.outgoing if not each.ready.quietly}
        present = {(key, user): (key, successors.get(user, user)) for key, user in named}
        rulings = await self.resting.rulings(project, notifications, set(present.values()), now)
        return deliver.set_aside(sifted, {pair: rulings[who] for pair, who in present.items() if who in rulings})

    async def _paused(
        self, project: Project, users: Sequence[Key], messages: Sequence[Ready]
    ) -> dict[tuple[Key, str, str], bool]:
        """Who paused marketing said no to each category of it, and to each channel."""
        known = await self._catalog.categories(project.key)
        worn = [known[name] for name in {one.category for one in messages} if name in known]
        marketing = [one.name for one in worn if one.class_ is CategoryClass.MARKETING]
        if not marketing:
            return {}
        paused = await self._store.steps.paused(project.key, users, self._clock.now())
        return {(user, name, channel): False for user in paused for name in marketing for channel in Channel}

    async def attempt(self, project: Project, job: DeliverWork | ArmedWork, outgoing: Sequence[Outgoing]) -> Attempt:
        """Send in chunks, as the gate lets them through: a healthy batch is one."""
        place, begun = Place(project.key, job.kind, job.lane), self._clock.now()
        looked_at = begun
        provider = self._providers[job.kind]
        sent: Sequence[Outgoing] = ()
        outcomes: list[ProviderOutcome] = []
        after = Next(begun, begun)
        while outgoing and self._clock.now() - begun < IN_HAND_MS:
            keys = await self._catalog.keys(project, job.kind)
            names = provider.uses(job.lane, keys.secrets)
            rates = {name: keys.rates[name] for name in names if name in keys.rates} if keys.rates else keys.rates
            passed = await self._gates.leave(place, len(outgoing), rates)
            if not isinstance(passed, Pass):
                after = after._replace(rest_at=passed)
                break
            if (now := self._clock.now()) - looked_at >= LOOK_AGAIN_MS:
                looked_at = now
                if await self._is_stopped(project, job):
                    self._gates.came_to_nothing(place, passed)
                    after = after._replace(rest_at=now)
                    break
            chunk, outgoing = _cut(outgoing, passed)
            try:
                answered = await provider.send(chunk, keys.secrets, self._clock.now())
            except BaseException:
                self._gates.came_to_nothing(place, passed)
                raise
            after = await self._gates.arrived(place, passed, answered, next(iter(names), None))
            sent = [*sent, *chunk] if sent else chunk
            outcomes += answered
        return Attempt(sent, outcomes, [each.ready for each in outgoing], after.rest_at, after.refused_at)

    async def _is_stopped(self, project: Project, job: DeliverWork | ArmedWork) -> bool:
        """Whether something of a batch that is in hand was cancelled or paused meanwhile: then it is looked at anew."""
        named = {job.notification} if isinstance(job, ArmedWork) else {one.notification for one in job.messages}
        found = await self._store.trail.load(project.key, sorted(named))
        return any(one.cancelled_at is not None or one.is_paused for one in found.values())


def _is_locked(category: Category | None, project: Project) -> bool:
    """A no to what nobody can switch off is kept in the ledger, and stops nothing."""
    return category is not None and rules.locked(category, project.settings)


def _cut(outgoing: Sequence[Outgoing], passed: Pass) -> tuple[Sequence[Outgoing], Sequence[Outgoing]]:
    """What leaves now, and the rest. A probe asks all over the batch: its beginning may be one device's bad luck."""
    if passed.count == len(outgoing):
        return outgoing, ()
    if not passed.probe:
        return outgoing[: passed.count], outgoing[passed.count :]
    step = len(outgoing) // passed.count
    chosen = range(0, step * passed.count, step)
    return [outgoing[at] for at in chosen], [each for at, each in enumerate(outgoing) if at not in chosen]
