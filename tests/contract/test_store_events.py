"""What happened: stored once, together, and handed on to automations."""

import asyncio

from clarion.ports import EventsWork, Store
from contract.support import NOW, claim, claim_one, event, new_project, new_user, soon

NOTHING: frozenset[str] = frozenset()
ORDERS = frozenset({"order"})


async def test_an_event_is_stored_with_its_user_and_gets_a_key(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    told = event(properties={"sku": "A", "sizes": [1, 2.5]}, id="e1", occurred_at=NOW - 7)
    assert await store.events.add(project.key, [told], NOTHING, NOW) == [True]
    [found] = await store.events.of_user(project.key, user, 10)
    assert found.key is not None
    assert (found.user_id, found.name, found.properties) == ("u1", "order", {"sku": "A", "sizes": [1, 2.5]})
    assert (found.id, found.occurred_at, found.user) == ("e1", NOW - 7, user)
    assert await store.events.load(project.key, [found.key]) == [found]


async def test_a_user_first_named_by_an_event_exists_from_then_on(store: Store) -> None:
    project = await new_project(store)
    await store.events.add(project.key, [event("new"), event("new", "paid")], NOTHING, NOW)
    user = await store.users.get(project.key, "new")
    assert user is not None
    assert user.created_at == NOW
    assert len(await store.events.of_user(project.key, user.key, 10)) == 2


async def test_an_id_counts_once_also_within_a_batch(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    first = [event(id="e1"), event(id="e2"), event(id="e1", name="again")]
    assert await store.events.add(project.key, first, NOTHING, NOW) == [True, True, False]
    assert await store.events.add(project.key, [event(id="e2"), event(id="e3")], NOTHING, NOW) == [False, True]
    stored = await store.events.of_user(project.key, user, 10)
    assert sorted((found.id, found.name) for found in stored) == [("e1", "order"), ("e2", "order"), ("e3", "order")]


async def test_events_without_an_id_all_count(store: Store) -> None:
    project = await new_project(store)
    assert await store.events.add(project.key, [event(), event()], NOTHING, NOW) == [True, True]
    assert await store.events.add(project.key, [event()], NOTHING, NOW) == [True]


async def test_watched_events_become_work_and_others_do_not(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    batch = [event(id="e1"), event(name="view"), event(id="e1"), event(id="e2")]
    await store.events.add(project.key, batch, ORDERS, NOW)
    lease = await claim_one(store, "trigger")
    stored = {found.key: found.id for found in await store.events.of_user(project.key, user, 10)}
    assert isinstance(lease.job, EventsWork)
    assert lease.project == project.key
    assert [stored[key] for key in lease.job.events] == ["e1", "e2"]


async def test_events_that_nobody_watches_or_that_are_known_make_no_work(store: Store) -> None:
    project = await new_project(store)
    await store.events.add(project.key, [event(id="e1")], frozenset({"paid"}), NOW)
    await store.events.add(project.key, [event(id="e1")], ORDERS, NOW)
    assert await claim(store, "trigger") == []


async def test_events_of_a_user_come_newest_first_up_to_the_limit(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    for number in range(5):
        await store.events.add(project.key, [event(name=f"n{number}", occurred_at=NOW + number)], NOTHING, NOW + number)
    assert [found.name for found in await store.events.of_user(project.key, user, 3)] == ["n4", "n3", "n2"]


async def test_load_leaves_out_what_is_not_there(store: Store) -> None:
    project = await new_project(store)
    assert await store.events.load(project.key, [999_999]) == []
    assert await store.events.load(project.key, []) == []


async def test_an_empty_batch_is_no_event(store: Store) -> None:
    project = await new_project(store)
    assert await store.events.add(project.key, [], ORDERS, NOW) == []


async def test_a_hundred_callers_at_once_each_get_their_own_answer(store: Store) -> None:
    project = await new_project(store)
    batches = [[event(f"u{n % 7}", id=f"e{n}"), event(f"u{n % 7}", id=f"e{n % 10}")] for n in range(100)]
    answers = await soon(asyncio.gather(*(store.events.add(project.key, batch, ORDERS, NOW) for batch in batches)))
    accepted: dict[str, int] = {}
    for batch, answer in zip(batches, answers, strict=True):
        for told, new in zip(batch, answer, strict=True):
            accepted[str(told.id)] = accepted.get(str(told.id), 0) + new
    assert accepted == {f"e{n}": 1 for n in range(100)}
    assert await _watched_ids(store, project.key) == sorted(accepted)


async def test_a_bad_batch_among_a_hundred_fails_alone(store: Store) -> None:
    project = await new_project(store)
    bad = event("bad", id="bad", properties={"what": object()})

    async def add(number: int) -> list[bool]:
        batch = [event(f"u{number}", id=f"e{number}")]
        if number % 25 == 3:
            batch = [event("bad"), bad]
        if number % 25 == 4:
            batch = [event("strange", id=f"nul\x00{number}")]  # an engine may refuse it or keep it
        return await store.events.add(project.key, batch, ORDERS, NOW)

    answers = await soon(asyncio.gather(*map(add, range(100)), return_exceptions=True))
    good = [number for number in range(100) if number % 25 not in {3, 4}]
    assert [answers[number] for number in good] == [[True]] * len(good)
    assert all(isinstance(answers[number], Exception) for number in range(3, 100, 25))
    assert await store.users.get(project.key, "bad") is None
    watched = [id for id in await _watched_ids(store, project.key) if not id.startswith("nul")]
    assert watched == sorted(f"e{number}" for number in good)


async def _watched_ids(store: Store, project: int) -> list[str]:
    """The ids of the events in all waiting work."""
    keys: list[int] = []
    for lease in await claim(store, "trigger"):
        assert isinstance(lease.job, EventsWork)
        keys += lease.job.events
    assert len(keys) == len(set(keys))
    return sorted(str(found.id) for found in await store.events.load(project, keys))
