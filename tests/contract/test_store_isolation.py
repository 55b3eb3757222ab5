"""Two projects with the same public ids never see or touch each other."""

import dataclasses
from contextlib import suppress

import msgspec
import pytest

from clarion.errors import ClarionError
from clarion.model import Receipt, UserChange
from clarion.ports import FactsQuery, Store
from contract.support import NOW, consent, event, new_user, receipt, register, registration
from contract.world import READS_BY_KEY, Look, World, new_world, read_all


@pytest.fixture
async def worlds(store: Store) -> tuple[World, World]:
    return await new_world(store, "alpha"), await new_world(store, "beta")


async def test_every_read_shows_a_project_its_own(store: Store, worlds: tuple[World, World]) -> None:
    for world, name, other in ((worlds[0], "alpha", "beta"), (worlds[1], "beta", "alpha")):
        answers = await read_all(store, world.project.key, world, world.people[0])
        assert [read for read, answer in answers.items() if f"{other}-" in answer] == []
        silent = {read for read, answer in answers.items() if f"{name}-" not in answer}
        numbers = {"trail.progress", "tallies.of_notifications"}
        assert silent == numbers | {
            "losses.touches",
            "trail.holders",
            "trail.standings",
            "users.resolve",
            "users.ids",
            "steps.addresses",
        }


async def test_no_read_finds_the_keys_of_another_project(store: Store, worlds: tuple[World, World]) -> None:
    mine, theirs = worlds
    nowhere = _with_unknown_keys(theirs)
    for name, read in READS_BY_KEY.items():
        found = repr(await read(Look(store, mine.project.key, theirs, theirs.people[0])))
        nothing = repr(await read(Look(store, mine.project.key, nowhere, nowhere.people[0])))
        assert found == nothing, f"{name} found something of another project"


async def test_spans_hold_no_user_of_another_project(store: Store, worlds: tuple[World, World]) -> None:
    mine, theirs = worlds
    for number in range(3):
        await new_user(store, theirs.project, f"more-{number}")
    await new_user(store, mine.project, "last")
    spans = await store.steps.user_span(mine.project.key, 0, 1000, 10)
    found = [
        recipient.user_id
        for span in spans
        for recipient in (await store.steps.facts(mine.project.key, FactsQuery(span=span))).recipients
    ]
    assert sorted(found) == ["last", "u0"]


async def test_what_one_project_changes_leaves_the_other_as_it_was(store: Store, worlds: tuple[World, World]) -> None:
    mine, theirs = worlds
    project, person = mine.project, mine.people[0]
    before = await read_all(store, theirs.project.key, theirs, theirs.people[0])
    await store.users.put(project.key, "u0", UserChange(attributes={"secret": None}, locale="de"), NOW + 1)
    await register(store, project, await new_user(store, project, "u9"), person.device.address, now=NOW + 1)
    await store.consents.append(project.key, [consent(person.key, False, at=NOW + 1)])
    assert await store.events.add(project.key, [event("u0", id="event-u0")], frozenset(), NOW) == [False]
    assert await store.events.add(project.key, [event("u0", id="new")], frozenset(), NOW) == [True]
    assert await store.trail.cancel(project.key, mine.notification.key, NOW)
    await store.definitions.put(project.key, "templates", "t1", {"name": "changed"}, NOW)
    assert await store.definitions.delete(project.key, "templates", "t1")
    assert await store.projects.revoke_key(project.key, "k1", NOW)
    assert await store.devices.delete(project.key, person.device.id)
    assert await store.users.erase(project.key, "u0")
    assert await read_all(store, theirs.project.key, theirs, theirs.people[0]) == before


async def test_keys_of_another_project_change_nothing_there(store: Store, worlds: tuple[World, World]) -> None:
    mine, theirs = worlds
    project, victim = mine.project.key, theirs.people[0]
    before = await read_all(store, theirs.project.key, theirs, victim)
    with suppress(ClarionError):
        await store.devices.register(project, victim.key, registration("https://evil.example"), "evil", NOW + 1)
    with suppress(ClarionError):
        await store.consents.append(project, [consent(victim.key, False, at=NOW + 1)])
    with suppress(ClarionError):
        await store.users.merge(project, victim.key, mine.people[0].key, NOW + 1)
    with suppress(ClarionError):
        await store.users.merge(project, mine.people[0].key, victim.key, NOW + 1)
    assert not await store.trail.cancel(project, theirs.notification.key, NOW)
    assert await store.trail.add_receipts([_forged(mine, theirs)], NOW) == [False]
    assert await read_all(store, theirs.project.key, theirs, victim) == before


async def test_an_idempotency_key_belongs_to_its_project(store: Store, worlds: tuple[World, World]) -> None:
    mine, theirs = worlds
    assert await store.idempotency.begin(mine.project.key, "k", b"h" * 32, NOW) is None
    await store.idempotency.finish(mine.project.key, "k", 202, b"mine")
    assert await store.idempotency.begin(theirs.project.key, "k", b"h" * 32, NOW) is None
    await store.idempotency.abandon(theirs.project.key, "k")
    answer = await store.idempotency.begin(mine.project.key, "k", b"h" * 32, NOW)
    assert answer is not None
    assert answer.body == b"mine"


def _with_unknown_keys(world: World) -> World:
    """The same world by keys that nothing has."""
    replace, unknown = msgspec.structs.replace, 999_999
    [person] = world.people
    nobody = dataclasses.replace(person, key=unknown, device=replace(person.device, key=unknown), events=[unknown])
    return World(world.project, replace(world.notification, key=unknown), [nobody])


def _forged(mine: World, theirs: World) -> Receipt:
    return msgspec.structs.replace(receipt(mine.project, theirs.people[0].queued), action="new")
