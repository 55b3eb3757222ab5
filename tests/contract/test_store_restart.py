"""What was written is there again after a restart."""

import traceback
from collections.abc import Callable

from clarion.ports import Store
from contract.support import (
    NOW,
    api_key,
    claim,
    claim_one,
    new_channel,
    new_project,
    pairs_work,
    push_message,
    put_work,
)
from contract.world import new_world, read_all


async def test_everything_survives_a_restart(store: Store, database: Callable[[], Store]) -> None:
    world = await new_world(store, "shop")
    device, channel = await new_channel(store)
    await store.push.add([push_message(device, channel)], NOW)
    before = await read_all(store, world.project.key, world, world.people[0])
    await store.close()
    again = database()
    await again.open()
    try:
        assert await read_all(again, world.project.key, world, world.people[0]) == before
        assert [message.data for message in await again.push.waiting(device, 0, 10, NOW)] == [b"secret"]
    finally:
        await again.close()


async def test_a_job_that_nobody_finished_comes_back_after_a_restart(
    store: Store, database: Callable[[], Store]
) -> None:
    project = await new_project(store)
    await put_work(store, project, pairs_work((1, 2)))
    lost = await claim_one(store)
    await store.close()
    again = database()
    await again.open()
    try:
        found = await claim_one(again, now=lost.until + 1)
        assert (found.key, found.job) == (lost.key, lost.job)
        assert await claim(again, now=lost.until + 1) == []
    finally:
        await again.close()


async def test_opening_twice_and_closing_twice_do_no_harm(store: Store, database: Callable[[], Store]) -> None:
    await store.ping()
    await store.close()
    await store.close()
    again = database()
    await again.open()
    await again.ping()
    await again.close()


async def test_reserved_keys_are_not_given_again_after_a_restart(store: Store, database: Callable[[], Store]) -> None:
    first = await store.trail.reserve(10)
    await store.close()
    again = database()
    await again.open()
    try:
        assert not set(first) & set(await again.trail.reserve(10))
    finally:
        await again.close()


async def test_an_error_goes_to_the_log_without_what_people_wrote(store: Store) -> None:
    """Nothing but a fault of ours gets here, and its words are written down with all that it was about."""
    project = await new_project(store)
    written = "what people wrote"
    await store.projects.add_key(api_key(project.key, name=written), b"h" * 32)
    told = ""
    try:
        await store.projects.add_key(api_key(project.key, name=written), b"h" * 32)
    except Exception as error:  # noqa: BLE001 - whichever it is; the fake in memory raises none
        told = "".join(traceback.format_exception(error))
    assert written not in told
