"""The engine for many processes: a server that refuses, goes away and comes back, and locks that nobody leaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import psycopg
import pytest

from clarion.errors import ConfigurationError, InvalidRequest, Unavailable
from clarion.model import UserChange
from clarion.ports import Effects
from clarion.storage import notify
from clarion.storage.notify import PostgresBus
from clarion.storage.postgres import PostgresStore
from contract.support import NOW, claim_one, event, facts_query, new_project, new_user, pairs_work, put_work, soon

pytestmark = pytest.mark.postgres


@pytest.fixture
async def small(postgres_url: str) -> AsyncIterator[PostgresStore]:
    """A store with three connections: one to decide, two for the rest."""
    store = PostgresStore(postgres_url, pool_size=3)
    await store.open()
    yield store
    await store.close()


async def test_an_unknown_database_is_a_wrong_setting(postgres_url: str) -> None:
    url = postgres_url.replace("clarion@", "clarion:hidden-password@")
    with pytest.raises(ConfigurationError, match="nowhere") as told:
        await PostgresStore(url.rsplit("/", 1)[0] + "/nowhere").open()
    assert "hidden-password" not in str(told.value)


async def test_a_server_that_is_not_there_is_unavailable(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_LONGEST_PAUSE", 0.3)
    url = f"postgresql://clarion@127.0.0.1:{unused_tcp_port}/clarion"
    with pytest.raises(Unavailable) as told:
        await PostgresStore(url).open()
    assert "127.0.0.1" in told.value.why
    assert "127.0.0.1" not in told.value.detail, "callers are told"
    with pytest.raises(Unavailable):
        await soon(PostgresBus(url).open())


def test_what_is_no_url_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="CLARION_DATABASE_URL"):
        PostgresStore("somewhere")


async def test_broken_connections_are_told_once_and_replaced(small: PostgresStore, postgres_url: str) -> None:
    project = await new_project(small)
    await asyncio.gather(*(new_user(small, project, f"u{number}") for number in range(6)))
    _disconnect_all(postgres_url)
    refused = 0
    for number in range(10):
        try:
            await small.users.put(project.key, f"u{number}", UserChange(locale="de"), NOW)
        except Unavailable:
            refused += 1
    assert refused <= 1, "one broken connection is enough to replace all of them"
    await small.ping()
    user = await small.users.get(project.key, "u9")
    assert user is not None
    assert user.locale == "de"


async def test_a_decision_whose_connection_breaks_writes_nothing_and_leaves_the_job(
    small: PostgresStore, postgres_url: str
) -> None:
    project = await new_project(small)
    user = await new_user(small, project)
    await put_work(small, project, pairs_work((1, 1)))
    lease = await claim_one(small)
    async with small.steps.deciding(project.key, facts_query([user], content=[1])) as deciding:
        _disconnect_all(postgres_url)
        with pytest.raises(Unavailable):
            await deciding.commit(lease, Effects(sent_content=[(user, 1)]))
    with suppress(Unavailable):
        await small.ping()
    async with small.steps.deciding(project.key, facts_query([user], content=[1])) as deciding:
        assert deciding.facts.sent_content == {}
        assert await deciding.commit(lease, Effects(sent_content=[(user, 1)]))


async def test_who_is_cancelled_while_waiting_for_a_lock_gives_the_connection_back(
    small: PostgresStore, postgres_url: str
) -> None:
    project = await new_project(small)
    user = await new_user(small, project)
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT key FROM person FOR UPDATE")
        for _ in range(5):
            waiting = asyncio.create_task(_decide(small, project.key, user))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await soon(waiting)
    await soon(_decide(small, project.key, user))


async def test_however_many_writers_wait_for_a_lock_its_holder_commits(small: PostgresStore) -> None:
    project = await new_project(small)
    user = await new_user(small, project)
    await put_work(small, project, pairs_work((1, 1)))
    lease = await claim_one(small)
    async with small.steps.deciding(project.key, facts_query([user])) as deciding:
        change = UserChange(locale="fr")
        writers = [asyncio.create_task(small.users.put(project.key, "u1", change, NOW)) for _ in range(10)]
        others = [asyncio.create_task(_decide(small, project.key, user)) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert await soon(deciding.commit(lease, Effects(sent_content=[(user, 1)])))
    await soon(asyncio.gather(*writers, *others))


async def test_text_that_postgres_cannot_hold_is_the_callers_fault(small: PostgresStore) -> None:
    project = await new_project(small)
    for attributes in ({"name": "a\0b"}, {"a\0b": 1}):
        with pytest.raises(InvalidRequest, match="NUL"):
            await small.users.put(project.key, "u1", UserChange(attributes=attributes), NOW)
    with pytest.raises(InvalidRequest, match="NUL"):
        await small.users.put(project.key, "u\0", UserChange(), NOW)
    strange = [event("u1", id=f"e{number}", properties={"text": "\0"}) for number in range(50)]
    with pytest.raises(InvalidRequest, match="NUL"):
        await small.events.add(project.key, strange, frozenset(), NOW)


async def test_the_bus_listens_again_after_its_connection_broke(postgres_url: str) -> None:
    bus = PostgresBus(postgres_url)
    await bus.open()
    heard = asyncio.Event()

    async def hear(_: bytes) -> None:
        heard.set()

    bus.subscribe("news", hear)
    _disconnect_all(postgres_url)
    async with asyncio.timeout(20):
        while not heard.is_set():  # what is published while nobody listens may be lost
            await bus.publish("news")
            with suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 0.1)
    await bus.close()


async def test_the_bus_refuses_what_a_notify_does_not_carry(postgres_url: str) -> None:
    bus = PostgresBus(postgres_url)
    with pytest.raises(ValueError, match="6000 bytes"):
        await bus.publish("news", b"x" * 6000)


async def test_closing_the_bus_sends_what_was_published(postgres_url: str) -> None:
    ear, mouth = PostgresBus(postgres_url), PostgresBus(postgres_url)
    await ear.open()
    await mouth.open()
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ear.subscribe("news", heard.put)
    for number in range(500):
        await mouth.publish("news", b"%d" % number)
    await mouth.close()
    assert [int(await soon(heard.get())) for _ in range(500)] == list(range(500))
    await ear.close()


async def _decide(store: PostgresStore, project: int, user: int) -> None:
    async with store.steps.deciding(project, facts_query([user])):
        pass


def _disconnect_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_page_of_deliveries_is_found_before_the_statistics_know_the_notification(postgres_url: str) -> None:
    people = 3_000
    store = PostgresStore(postgres_url)
    await store.open()
    project = (await new_project(store)).key
    await store.close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(_PEOPLE, {"project": project, "people": people})
        for notification in (1, 2):
            connection.execute(_SENT, {"project": project, "people": people, "notification": notification})
            if notification == 1:
                connection.execute("ANALYZE")
        before = _decisions_read(connection)
        await store.open()
        page = await store.trail.deliveries(
            project, notification=2, user=None, state=None, cursor=f"2.{people // 2}.0", limit=100
        )
        await store.close()  # a connection tells the statistics at its end
        assert len(page.items) == 100
        async with asyncio.timeout(20):
            while (read := _decisions_read(connection) - before) == 0:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)
    assert read < 3 * len(page.items), "one decision for each delivery, not all of them for each"


_PEOPLE = """
WITH numbers AS (SELECT generate_series(1, %(people)s) AS key),
devices AS (
    INSERT INTO device
        (key, project, id, person, kind, permission, state, details, registered_at, created_at, updated_at)
    SELECT key, %(project)s, key::text, key, 'apns', 'granted', 'active', '{}', 0, 0, 0 FROM numbers
)
INSERT INTO person (key, project, id, attributes, anonymous, created_at, updated_at)
SELECT key, %(project)s, key::text, '{}', false, 0, 0 FROM numbers
"""
_SENT = """
WITH numbers AS (SELECT generate_series(1, %(people)s) AS key),
decisions AS (
    INSERT INTO decision (project, notification, person, reason, gates, at, revision)
    SELECT %(project)s, %(notification)s, key, 'send', 0, 0, 0 FROM numbers
),
deliveries AS (
    INSERT INTO delivery (project, notification, person, device, kind, state, attempts, updated_at)
    SELECT %(project)s, %(notification)s, key, key, 'apns', 4, 1, 0 FROM numbers
)
INSERT INTO notification (key, project, id, request, created_at)
VALUES (%(notification)s, %(project)s, %(notification)s::text, '{}', 0)
"""


def _decisions_read(connection: psycopg.Connection) -> int:
    counted = "SELECT COALESCE(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_user_tables WHERE relname = 'decision'"
    [number] = connection.execute(counted).fetchone() or (0,)
    return int(number)
