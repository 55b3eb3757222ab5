"""Whatever happens, in any order, on any engine: nobody gets what they must not get, and all is written down."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from clarion.ports import Store
from clarion.testing import MemoryStore
from invariants.machine import Clarion
from invariants.platform import AnyClock

ROUNDS = int(os.environ.get("CLARION_SOAK_ROUNDS", "50"))
STORIES = {"memory": 3.0, "sqlite": 0.3, "postgres": 0.3}
"""Stories for each round of a soak: those of databases take longer."""


@pytest.mark.soak
async def test_whatever_happens_nobody_gets_what_they_must_not_get(
    store: Store, clock: AnyClock, request: pytest.FixtureRequest
) -> None:
    loop = asyncio.get_running_loop()

    def wait(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=120)

    class OnThisStore(Clarion):
        """The machine with its store: a new one for each story, where that costs nothing."""

    memory = isinstance(store, MemoryStore)
    OnThisStore.store = staticmethod(lambda: MemoryStore(clock) if memory else store)  # type: ignore[assignment]
    OnThisStore.clock, OnThisStore.wait = clock, staticmethod(wait)  # type: ignore[assignment]
    stories = max(1, round(ROUNDS * STORIES[request.node.callspec.params["database"]]))
    limits = settings(
        max_examples=stories, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
    )
    await asyncio.to_thread(run_state_machine_as_test, OnThisStore, settings=limits)
