"""Stories run on the in-memory store; what must hold on every engine is told in tests/contract."""

import pytest

from clarion.testing import ManualClock, MemoryStore, SeededChance
from story.world import World


@pytest.fixture
async def world(clock: ManualClock, chance: SeededChance) -> World:
    return await World(MemoryStore(clock), clock, chance).begin()
