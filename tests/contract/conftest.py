"""What tests of the API begin with: one project behind the door, on the in-memory store."""

import pytest

from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.api_world import ApiWorld
from story.world import World


@pytest.fixture
async def api(clock: ManualClock, chance: SeededChance) -> ApiWorld:
    return ApiWorld(await World(MemoryStore(clock), clock, chance).begin())
