"""Deliver, joined to the world: composed messages get their last look, leave, and what came of it is written."""

from collections.abc import Awaitable, Callable, Mapping

from clarion.journey import deliver
from clarion.journey.catalog import Catalog
from clarion.journey.deliver import Sifted
from clarion.model import DeviceKind, Project
from clarion.ports import Clock, DeliverWork, Effects, Lease, Provider, ProviderOutcome, Store

Commit = Callable[[Lease, Effects], Awaitable[None]]
"""Write the effects and finish the lease in one transaction, then wake whom it gave work."""


class Delivering:
    """The delivery step of the pipeline."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        clock: Clock,
        providers: Mapping[DeviceKind, Provider],
        commit: Commit,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._providers = providers
        self._commit = commit

    async def step(self, lease: Lease, job: DeliverWork) -> None:
        """Hand to the provider what may still leave, and write what came of it."""
        project = await self._catalog.project(lease.project)
        sifted = await self._last_look(project, job)
        sent_at = self._clock.now()
        outcomes = await self._send(project, job.kind, sifted) if sifted.outgoing else []
        effects = deliver.settle(
            sifted,
            outcomes,
            project=project.key,
            kind=job.kind,
            decided_at=job.decided_at,
            sent_at=sent_at,
            now=self._clock.now(),
        )
        await self._commit(lease, effects)

    async def _last_look(self, project: Project, job: DeliverWork) -> Sifted:
        messages = job.messages
        notifications = await self._store.trail.load(project.key, sorted({one.notification for one in messages}))
        addresses = await self._store.steps.addresses(project.key, [one.device for one in messages])
        strangers = deliver.strangers(messages, addresses)
        successors = await self._store.users.successors(project.key, strangers) if strangers else {}
        users = sorted({successors.get(one.user, one.user) for one in messages})
        words = await self._store.steps.refused_since(project.key, users, job.decided_at)
        return deliver.sift(messages, notifications, addresses, words, successors, self._clock.now())

    async def _send(self, project: Project, kind: DeviceKind, sifted: Sifted) -> list[ProviderOutcome]:
        secrets = await self._catalog.secrets(project, kind)
        return await self._providers[kind].send(sifted.outgoing, secrets, self._clock.now())
