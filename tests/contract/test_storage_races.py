"""What happens at the same moment: people are erased or merged while somebody decides about them, processes meet."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from clarion.model import Audience, Message, Reason
from clarion.ports import Effects, Store
from clarion.storage.postgres import PostgresStore
from clarion.storage.sqlite import SqliteStore
from clarion.testing import ManualClock
from contract.support import (
    NOW,
    claim,
    claim_one,
    consent,
    decision,
    delivery,
    event,
    facts_query,
    new_channel,
    new_notification,
    new_project,
    new_user,
    new_users,
    pairs_work,
    push_message,
    put_work,
    receipt,
    register,
    registration,
    soon,
    stays_blocked,
)

NOTHING: frozenset[str] = frozenset()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, clock: ManualClock) -> Callable[[], Store]:
    """As everywhere, without the memory store: it knows no moment."""
    if request.param == "sqlite":
        folder = request.getfixturevalue("sqlite_folder")
        return lambda: SqliteStore(folder, now=clock.now)
    url = request.getfixturevalue("postgres_url")
    return lambda: PostgresStore(url, now=clock.now)


async def test_a_person_erased_while_somebody_decides_leaves_no_trace(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    device = await register(store, project, user)
    notification = await new_notification(store, project)
    await put_work(store, project, pairs_work((notification.key, user)))
    lease = await claim_one(store)
    async with store.steps.deciding(project.key, facts_query([user])) as deciding:
        erasing = asyncio.create_task(store.users.erase(project.key, "u1"))
        assert await stays_blocked(erasing)
        effects = Effects(decisions=[decision(notification, user)], deliveries=[delivery(notification, device)])
        assert await soon(deciding.commit(lease, effects))
    assert await soon(erasing)
    progress = await store.trail.progress(project.key, notification.key)
    assert (progress.reasons, progress.deliveries) == ({}, {})


async def test_a_visitor_who_logs_in_while_somebody_decides_takes_the_decision_along(store: Store) -> None:
    project = await new_project(store)
    anonymous = await store.users.create_anonymous(project.key, "anon", NOW)
    known = await new_user(store, project)
    notification = await new_notification(store, project)
    await put_work(store, project, pairs_work((notification.key, anonymous.key)))
    lease = await claim_one(store)
    async with store.steps.deciding(project.key, facts_query([anonymous.key])) as deciding:
        merging = asyncio.create_task(store.users.merge(project.key, anonymous.key, known, NOW))
        assert await stays_blocked(merging)
        assert await soon(deciding.commit(lease, Effects(decisions=[decision(notification, anonymous.key)])))
    await soon(merging)
    page = await store.trail.decisions(
        project.key, notification=notification.key, user=known, reason=None, cursor=None, limit=10
    )
    assert [(record.user_id, record.reason) for record in page.items] == [("u1", Reason.SEND)]


async def test_who_refuses_as_somebody_that_was_just_merged_refuses_as_the_known_person(store: Store) -> None:
    project = await new_project(store)
    anonymous = await store.users.create_anonymous(project.key, "anon", NOW)
    known = await new_user(store, project)
    await store.users.merge(project.key, anonymous.key, known, NOW)
    await store.consents.append(project.key, [consent(anonymous.key, False)])
    assert await store.consents.of_user(project.key, known) == [consent(known, False)]
    device, _ = await store.devices.register(project.key, anonymous.key, registration(), "d1", NOW)
    assert device.user == known


async def test_a_chain_of_merges_still_finds_the_person(store: Store) -> None:
    project = await new_project(store)
    first, second = [await store.users.create_anonymous(project.key, id, NOW) for id in ("a", "b")]
    device = await register(store, project, first.key)
    notification = await new_notification(store, project)
    queued = delivery(notification, device)
    await store.steps.commit(Effects(decisions=[decision(notification, first.key)], deliveries=[queued]))
    known = await new_user(store, project)
    await store.users.merge(project.key, first.key, second.key, NOW)
    await store.users.merge(project.key, second.key, known, NOW)
    assert await store.trail.add_receipts([receipt(project, queued)], NOW) == [True]
    assert len(await store.trail.receipts_of_user(project.key, known, 10)) == 1


async def test_erasing_strikes_the_person_from_the_audiences_that_named_them(store: Store) -> None:
    project = await new_project(store)
    users = await store.users.resolve(project.key, ["u1", "u2"], NOW, create=True)
    words = Message(title="Happy birthday, Zoë")
    alone = await new_notification(store, project, "alone", message=words, to=Audience(users=["u1"]))
    both = await new_notification(store, project, "both", message=words, to=Audience(users=["u1", "u2"]))
    await store.steps.commit(Effects(decisions=[decision(each, users["u1"]) for each in (alone, both)]))
    await store.users.erase(project.key, "u1")
    found = await store.trail.load(project.key, [alone.key, both.key])
    assert found[both.key].to.users == ["u2"]
    assert found[alone.key].to.users == []
    assert found[alone.key].message == Message()


async def test_a_large_batch_with_rows_that_are_there_keeps_them(store: Store) -> None:
    project = await new_project(store)
    users = await new_users(store, project, 300)
    notification = await new_notification(store, project)
    some = [decision(notification, user, Reason.OPTED_OUT) for user in users[::7]]
    await store.steps.commit(Effects(decisions=some))
    await store.steps.commit(Effects(decisions=[decision(notification, user) for user in users]))
    progress = await store.trail.progress(project.key, notification.key)
    assert progress.reasons == {"opted_out": len(some), "send": 300 - len(some)}


# --- several processes on one PostgreSQL database --------------------------------------------------------------------


@pytest.fixture
async def processes(postgres_url: str) -> AsyncIterator[list[PostgresStore]]:
    stores = [PostgresStore(postgres_url, pool_size=6) for _ in range(3)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()


@pytest.mark.postgres
async def test_processes_share_the_work_and_no_job_twice(processes: list[PostgresStore]) -> None:
    project = await new_project(processes[0])
    for number in range(60):
        await put_work(processes[0], project, pairs_work((number, 1)))
    claims = [store.work.claim("decide", 7, NOW, 15_000) for _ in range(4) for store in processes]
    leases = [lease for claimed in await soon(asyncio.gather(*claims)) for lease in claimed]
    assert len({lease.key for lease in leases}) == len(leases) >= 21
    rest = await claim(processes[0])
    assert len(rest) + len(leases) == 60


@pytest.mark.postgres
async def test_processes_count_an_event_id_once_and_make_a_person_once(processes: list[PostgresStore]) -> None:
    project = await new_project(processes[0])
    batch = [event(f"u{n % 20}", id=f"e{n}") for n in range(200)]
    orders = frozenset({"order"})
    calls = [
        store.events.add(project.key, batch[start:] + batch[:start], orders, NOW)
        for start in (0, 50, 120)
        for store in processes
    ]
    answers = await soon(asyncio.gather(*calls))
    assert sum(sum(answer) for answer in answers) == 200
    watched = [key for lease in await claim(processes[0], "trigger") for key in lease.job.events]
    stored = await processes[1].events.load(project.key, watched)
    assert sorted(str(found.id) for found in stored) == sorted(str(each.id) for each in batch)
    assert len(await processes[2].users.resolve(project.key, [f"u{n}" for n in range(20)], NOW, create=False)) == 20


@pytest.mark.postgres
async def test_processes_register_one_address_as_one_device(processes: list[PostgresStore]) -> None:
    project = await new_project(processes[0])
    users = await new_users(processes[0], project, 4)
    told = [registration(installation=f"i{number % 2}") for number in range(12)]
    calls = [
        processes[number % 3].devices.register(project.key, users[number % 4], each, f"d{number}", NOW)
        for number, each in enumerate(told)
    ]
    await soon(asyncio.gather(*calls))
    found = [device for user in users for device in await processes[0].devices.of_user(project.key, user)]
    assert len([device for device in found if device.address is not None]) == 1


@pytest.mark.postgres
async def test_processes_accept_a_source_once_and_keep_one_message_of_a_topic(processes: list[PostgresStore]) -> None:
    device, channel = await new_channel(processes[0])
    batches = [
        [push_message(device, channel, b"%d" % n, source=b"%016d" % (n % 10), topic=f"t{n % 2}")] for n in range(60)
    ]
    calls = [processes[number % 3].push.add(batch, NOW) for number, batch in enumerate(batches)]
    keys = [key for [key] in await soon(asyncio.gather(*calls)) if key is not None]
    assert len(set(keys)) == len(keys) == 10
    waiting = await processes[0].push.waiting(device, 0, 100, NOW)
    assert sorted(str(message.topic) for message in waiting) == ["t0", "t1"]
    assert {message.key for message in waiting} <= set(keys)


@pytest.mark.postgres
async def test_processes_that_decide_about_the_same_people_go_one_after_the_other(
    processes: list[PostgresStore],
) -> None:
    store = processes[0]
    project = await new_project(store)
    users = await new_users(store, project, 8)
    for _ in range(12):
        await put_work(store, project, pairs_work((1, 1)))
    leases = await claim(store)

    async def decide(number: int) -> int:
        query = facts_query(users[number % 3 : 8 - number % 2], content=[9])
        async with processes[number % 3].steps.deciding(project.key, query) as deciding:
            seen = {user for user, _ in deciding.facts.sent_content}
            new = [(user, 9) for user in query.users or () if user not in seen]
            assert await deciding.commit(leases[number], Effects(sent_content=new))
            return len(new)

    assert sum(await soon(asyncio.gather(*map(decide, range(12))))) == 8
