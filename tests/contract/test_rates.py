"""The rate of a credential: so many messages a second, whichever process and lane they leave from."""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.model import DeliveryState, DeviceKind
from clarion.ports import Store
from clarion.testing import ManualClock, MemoryStore, SeededChance
from contract.api_world import ApiWorld
from contract.support import NOW, credential, new_project
from story.world import World

PATIENCE_MS = 1_000


def check(leaves: Sequence[tuple[int, int]], rate: int) -> None:
    """Over any window no more than the rate and one chunk, to the millisecond. `leaves`: when, and how many."""
    largest = max(count for _, count in leaves)
    sent = [0, *itertools.accumulate(count for _, count in leaves)]
    for first, last in itertools.combinations_with_replacement(range(len(leaves)), 2):
        took_ms = leaves[last][0] - leaves[first][0] + 1
        assert sent[last + 1] - sent[first] <= rate * took_ms / 1000 + largest


@settings(max_examples=50)
@given(
    rate=st.integers(1, 5_000),
    asked=st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 500)), min_size=1, max_size=40),
)
def test_no_window_has_more_than_the_rate_and_one_chunk(rate: int, asked: list[tuple[int, int]]) -> None:
    async def run() -> list[tuple[int, int]]:
        store = MemoryStore(ManualClock())
        project = await new_project(store)
        limited = msgspec.structs.replace(credential(project.key, DeviceKind.APNS, "team"), rate=rate)
        await store.projects.add_credential(limited)
        now, leaves = NOW, []
        for wait, count in asked:
            now += wait
            turn = await store.projects.pace(project.key, DeviceKind.APNS, "team", count, now, PATIENCE_MS)
            assert turn >= now
            if turn <= now + PATIENCE_MS:
                leaves.append((turn, count))
        return leaves

    check(asyncio.run(run()), rate)


async def test_turns_are_given_one_after_the_other_and_none_beyond_patience(store: Store) -> None:
    project = await new_project(store)
    limited = msgspec.structs.replace(credential(project.key, DeviceKind.APNS, "team"), rate=100)
    await store.projects.add_credential(limited)

    async def turn(messages: int, now: int = NOW) -> int:
        return await store.projects.pace(project.key, DeviceKind.APNS, "team", messages, now, PATIENCE_MS) - NOW

    assert [await turn(40), await turn(40), await turn(40)] == [0, 400, 800]
    assert [await turn(1), await turn(1)] == [1_200, 1_200], "too far away: nothing was taken"
    assert await turn(1, NOW + 200) == 1_200
    assert await turn(1, NOW + 5_000) == 5_000, "what was not used is not saved up"
    assert sorted(await asyncio.gather(*(turn(10, NOW + 9_000) for _ in range(5)))) == [
        9_000,
        9_100,
        9_200,
        9_300,
        9_400,
    ]


async def test_small_chunks_are_not_faster_than_large_ones(store: Store) -> None:
    project = await new_project(store)
    limited = msgspec.structs.replace(credential(project.key, DeviceKind.APNS, "team"), rate=30_000)
    await store.projects.add_credential(limited)
    turns = [await store.projects.pace(project.key, DeviceKind.APNS, "team", 1, NOW, PATIENCE_MS) for _ in range(100)]
    assert turns[-1] - NOW == 4, "99 messages at 30 a millisecond"


async def test_without_a_rate_there_is_no_turn_to_wait_for(store: Store) -> None:
    project = await new_project(store)
    await store.projects.add_credential(credential(project.key, DeviceKind.APNS, "team"))
    for name in ("team", "nobody"):
        assert await store.projects.pace(project.key, DeviceKind.APNS, name, 10**6, NOW, PATIENCE_MS) == NOW


async def test_a_broadcast_leaves_at_the_rate_that_the_api_was_told(
    store: Store, clock: ManualClock, chance: SeededChance
) -> None:
    world = await World(store, clock, chance).begin()
    api = ApiWorld(world)
    people = [f"u{number}" for number in range(45)]
    for user_id in people:
        await world.subscribe(user_id)
    path = f"/v1/credentials/{world.project.vapid_public_key}"
    assert (await api.server.get(path)).json["rate"] is None
    assert (await api.server.put(path, {"kind": "webpush", "rate": 10})).json["rate"] == 10
    notification = await world.notify(*people)
    begun = clock.now()
    for _ in range(20):
        await world.work()
        clock.advance(milliseconds=250)
    check([(call.now, len(call.batch)) for call in world.browser.calls], 10)
    assert set(await world.states(notification)) == {DeliveryState.ACCEPTED}
    assert {one.attempts for one in await world.deliveries(notification)} == {1}
    assert world.browser.calls[-1].now - begun == 4_000, "no slower than it may be"
    assert (await api.server.put(path, {"kind": "webpush"})).json["rate"] is None


@pytest.mark.parametrize(
    ("rate", "words"), [(0, "a whole number >= 1"), (1_000_001, "number <= 1000000"), ("fast", "a whole number")]
)
async def test_a_rate_is_a_number_of_messages(api: ApiWorld, rate: object, words: str) -> None:
    refused = await api.server.post("/v1/credentials", {"kind": "webpush", "rate": rate})
    assert refused.status == 400
    assert words in refused.fields["rate"]
