"""What tests of the API begin with: one project behind the door, on the in-memory store."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.api_world import ApiWorld
from story.world import World


@pytest.fixture
async def api(clock: ManualClock, chance: SeededChance) -> ApiWorld:
    return ApiWorld(await World(MemoryStore(clock), clock, chance).begin())


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on asyncio's own loop; those of a module with `ON_BOTH_LOOPS` also on the one that servers use."""
    both = getattr(getattr(item, "module", None), "ON_BOTH_LOOPS", False)
    return {"asyncio": asyncio.new_event_loop} | ({"uvloop": uvloop.new_event_loop} if both else {})
