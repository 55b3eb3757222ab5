"""Whatever happens, in any order, on any engine: nobody gets what they must not get, and all is written down."""

import os

import pytest

from clarion.ports import Store
from clarion.testing import MemoryStore
from invariants.living import live
from invariants.platform import AnyClock

SOAK = os.environ.get("CLARION_SOAK_ROUNDS")
ROUNDS = int(SOAK or "50")
STORIES = {"memory": 2.4, "sqlite": 0.2, "postgres": 0.2}
"""Stories for each round of a soak: those of databases take longer."""

HAND_TO_HAND = {
    "arms",
    "fires",
    "registers",
    "comes_without_a_name",
    "somebody_takes_a_job",
    "somebody_goes_on",
    "all_is_decided",
}
"""What happens while devices go from hand to hand, and something is armed: too seldom among all that can happen."""


@pytest.mark.soak
async def test_whatever_happens_nobody_gets_what_they_must_not_get(
    store: Store, clock: AnyClock, request: pytest.FixtureRequest
) -> None:
    stories = max(1, round(ROUNDS * STORIES[request.node.callspec.params["database"]]))
    memory = isinstance(store, MemoryStore)  # a new one for each story costs nothing there
    # A change is judged by the same stories each time; new ones are what a soak is for.
    await live(lambda: MemoryStore(clock) if memory else store, clock, stories, derandomize=SOAK is None)


@pytest.mark.soak
async def test_what_is_armed_reaches_whoever_has_the_devices_by_then(clock: AnyClock) -> None:
    await live(lambda: MemoryStore(clock), clock, ROUNDS * 4, HAND_TO_HAND, derandomize=SOAK is None)
