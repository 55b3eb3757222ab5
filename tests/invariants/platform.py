"""A Clarion whose workers die at the worst moment, and whose push service looks at everything that it is given."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from clarion.model import Key
from clarion.ports import Effects, Lease, Outgoing, ProviderOutcome, Store
from clarion.testing import ManualClock, MemoryStore, SeededChance
from story.world import World

_seeds = itertools.count()
"""Projects of one store have ids of their own."""


class AnyClock(ManualClock):
    """One that can be put to the beginning of another story."""

    def put(self, now: int) -> None:
        self._now = now


class Died(Exception):
    """The worker, just before it could write down what it did."""


class Fragile:
    """A store, one of whose workers can be told to die. `written`: by lease, the effects that were."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.dies = False
        self.written: dict[tuple[Key, int], Effects] = {}
        self.steps = _Steps(self, store.steps)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, lease: Lease | None, effects: Effects, commit: Callable[[], Awaitable[bool]]) -> bool:
        if lease is not None and self.dies:
            raise Died
        done = await commit()
        if done and lease is not None:
            self.written[lease.key, lease.token] = effects
        return done


class _Steps:
    def __init__(self, fragile: Fragile, steps: Any) -> None:
        self._fragile, self._steps = fragile, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steps, name)

    async def commit(self, effects: Effects, lease: Lease | None = None) -> bool:
        return await self._fragile.write(lease, effects, lambda: self._steps.commit(effects, lease))

    @asynccontextmanager
    async def deciding(self, *asked: Any) -> AsyncIterator[Any]:
        async with self._steps.deciding(*asked) as deciding:
            yield _Deciding(self._fragile, deciding)


class _Deciding:
    def __init__(self, fragile: Fragile, deciding: Any) -> None:
        self._fragile, self._deciding, self.facts = fragile, deciding, deciding.facts

    async def commit(self, lease: Lease, effects: Effects) -> bool:
        return await self._fragile.write(lease, effects, lambda: self._deciding.commit(lease, effects))


async def platform(
    store: Store, clock: ManualClock, answer: Callable[[Outgoing], ProviderOutcome]
) -> tuple[World, Fragile]:
    """A new project on a store that may hold others."""
    fragile = Fragile(store)
    world = await World(fragile, clock, SeededChance(0 if isinstance(store, MemoryStore) else next(_seeds))).begin()  # type: ignore[arg-type]
    world.browser.otherwise = answer
    return world, fragile
