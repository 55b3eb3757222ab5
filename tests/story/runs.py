"""What stories of automations begin with: a world whose runs go on as time passes, in processes that may die."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from clarion.journey import draft
from clarion.journey.automations import kept_automations
from clarion.journey.automations.ready_made import READY_MADE_AUTOMATIONS, made_of
from clarion.model import Automation, Run, UserChange
from clarion.ports import Deciding, Effects, FactsQuery, Lease, Store
from story.world import World, titles

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LEASE = 15_000


class Crash(Exception):
    """A process that ends in the middle of a step."""


class Runs:
    """A world in which runs go on. `crashes`: at which writes of a step the process dies before, or after, it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = world.clock
        self._read = 0
        self._dying = False
        self._shown: set[bytes] = set()

    def crash(self, moments: Iterator[str]) -> None:
        """From now on each write of a step dies `before` or `after` it, or not (``)."""
        self._dying = True
        store = _Dying(self.world.store, moments)
        world = self.world
        store, world.store = world.store, store  # type: ignore[assignment]
        world.pipeline = world.another_pipeline()
        world.store = store

    async def define(self, name: str, **body: Any) -> Automation:
        """An automation, as the API would have kept it."""
        return await self._keep(msgspec.convert({"name": name, **body}, Automation))

    async def ready_made(self, kind: str, **parameters: Any) -> Automation:
        template = msgspec.convert(parameters, READY_MADE_AUTOMATIONS[kind])
        return await self._keep(made_of(template, kind, kind))

    async def _keep(self, automation: Automation) -> Automation:
        world, catalog, project = self.world, self.world.catalog, self.world.project.key
        assert draft.check_automation(automation, await self.beside()) == []
        before = (await catalog.automations(project)).get(automation.name)
        kept = await kept_automations.keep(world.store.definitions, project, automation, before, self.clock.now())
        await world.define("automations", **kept_automations.as_stored(kept))
        await world.pipeline.automation_changed(world.project, kept)
        await self.work()
        return kept

    async def beside(self) -> draft.Beside:
        catalog, project = self.world.catalog, self.world.project.key
        return draft.Beside(
            await catalog.categories(project),
            await catalog.templates(project),
            await catalog.partials(project),
            await catalog.segments(project),
            await catalog.topics(project),
            {"id": "p", "name": "Shop"},
        )

    async def work(self) -> None:
        """Everything that is due, until nothing is. What a dead process held comes back when its lease has run out."""
        while True:
            await self.world.pipeline.hand_out()
            leases = await self.world.due() or await self._left_behind()
            for lease in leases:
                try:
                    await self.world.pipeline.step(lease)
                except Crash:
                    continue
            if not leases:
                return

    async def _left_behind(self) -> list[Lease]:
        """What the dead hold, if they do."""
        if not self._dying:
            return []
        self.clock.advance(LEASE)
        return await self.world.due()

    async def pass_(self, ms: int, step: int = HOUR // 2) -> None:
        """Time passes, and the workers work."""
        until = self.clock.now() + ms
        while self.clock.now() < until:
            self.clock.advance(min(step, until - self.clock.now()))
            await self.work()

    async def happens(self, user: str, name: str, **properties: Any) -> None:
        await self.world.happens(user, name, **properties)
        await self.work()

    async def person(self, user: str, timezone: str = "Europe/Vienna", **attributes: Any) -> None:
        await self.world.subscribe(user)
        change = UserChange(timezone=timezone, attributes=attributes)
        await self.world.store.users.put(self.world.project.key, user, change, self.clock.now())

    def said(self) -> list[str]:
        """The titles that the phones show since the last time: what comes again under its id is shown once."""
        sent = self.world.browser.sent
        new = [one for one in sent[self._read :] if one.ready.id not in self._shown]
        self._read = len(sent)
        by_id = {one.ready.id: one for one in new}
        self._shown |= set(by_id)
        return titles(list(by_id.values()))

    async def all(self, automation: str) -> list[Run]:
        page = await self.world.store.runs.page(self.world.project.key, automation, None, None, None, 1_000)
        return [one.run for one in page.items]

    async def ends(self, automation: str) -> list[str | None]:
        return [run.ended for run in await self.all(automation)]


class _Dying:
    """A store whose steps are cut off: the process that was about to write, or had just written, is gone."""

    def __init__(self, store: Store, moments: Iterator[str]) -> None:
        self._store = store
        self.steps = _DyingSteps(store.steps, moments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _DyingSteps:
    def __init__(self, steps: Any, moments: Iterator[str]) -> None:
        self._steps = steps
        self._moments = moments

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steps, name)

    async def commit(self, effects: Effects, lease: Lease | None = None) -> bool:
        if lease is None:
            return await self._steps.commit(effects, lease)
        return await self._around(lambda: self._steps.commit(effects, lease))

    async def _around(self, write: Any) -> bool:
        moment = next(self._moments)
        if moment == "before":
            raise Crash
        written: bool = await write()
        if moment == "after":
            raise Crash
        return written

    @asynccontextmanager
    async def deciding(self, project: int, query: FactsQuery) -> AsyncIterator[Deciding]:
        async with self._steps.deciding(project, query) as deciding:
            yield _DyingDeciding(deciding, self._around)  # type: ignore[misc]


class _DyingDeciding:
    def __init__(self, deciding: Deciding, around: Any) -> None:
        self.facts = deciding.facts
        self._deciding = deciding
        self._around = around

    async def commit(self, lease: Lease, effects: Effects) -> bool:
        return await self._around(lambda: self._deciding.commit(lease, effects))
