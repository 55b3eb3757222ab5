"""The migrations end in exactly the schema that the code speaks of, on both engines."""

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from clarion.journey.registration import lane_of
from clarion.model import DeviceKind, Registration
from clarion.ports import DeliverWork, Store
from clarion.storage import migrate
from clarion.storage.postgres import PostgresStore
from clarion.storage.schema import metadata, sqlite_metadata
from clarion.storage.sqlite import SqliteStore
from contract.support import NOW, event, new_project

_SPACES = re.compile(r" ?([(),]) ?")


def differences(url: str) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as conn:
        opts = {"compare_type": True, "include_name": _is_no_part, "include_object": _is_for(conn)}
        all_of_it = [metadata, sqlite_metadata] if conn.dialect.name == "sqlite" else metadata
        found = compare_metadata(MigrationContext.configure(conn, opts=opts), all_of_it)
    engine.dispose()
    return list(found)


def _is_no_part(name: str | None, type_: str, _: object) -> bool:
    """The parts of a table belong to its data: they come and go."""
    return type_ != "table" or "_part_" not in (name or "")


def _is_for(conn: Connection) -> Callable[..., bool]:
    """Alembic would look for an index that only the other engine has."""

    def is_for(thing: object, *_: object) -> bool:
        only = getattr(thing, "_ddl_if", None)
        return only is None or only.dialect == conn.dialect.name

    return is_for


def test_sqlite_is_migrated_to_the_schema(sqlite_folder: Path) -> None:
    assert differences(f"sqlite:///{sqlite_folder / 'clarion.db'}") == []


@pytest.mark.postgres
def test_postgres_is_migrated_to_the_schema(postgres_url: str) -> None:
    assert differences(postgres_url.replace("postgresql:", "postgresql+psycopg:")) == []


def test_sqlite_tables_are_made_as_the_schema_says(sqlite_folder: Path, tmp_path: Path) -> None:
    """What `compare_metadata` does not see: AUTOINCREMENT, WITHOUT ROWID, the conditions of indexes."""
    made = tmp_path / "made.db"
    for each in (metadata, sqlite_metadata):
        each.create_all(create_engine(f"sqlite:///{made}"))
    migrated = _definitions(sqlite_folder / "clarion.db")
    del migrated["alembic_version"], migrated["sqlite_stat1"]  # what is in them is no schema
    assert migrated == _definitions(made)


def test_the_head_that_opens_without_alembic_is_the_last_revision() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_opening_a_database_at_the_head_runs_no_revision(sqlite_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alembic.command.upgrade", lambda *_: pytest.fail("the schema is up to date"))
    asyncio.run(_open_and_close(SqliteStore(sqlite_folder)))


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(conn, *_: object) -> None:
        conn.execute(text("CREATE TABLE half (key INTEGER)"))
        raise RuntimeError("the machine stopped")

    with monkeypatch.context() as patch:
        patch.setattr(migrate, "upgrade", half)
        with pytest.raises(RuntimeError, match="stopped"):
            asyncio.run(_open_and_close(SqliteStore(tmp_path)))
    asyncio.run(_open_and_close(SqliteStore(tmp_path)))
    assert "half" not in _definitions(tmp_path / "clarion.db")


DEVICES = [
    # kind, address, details, lane
    ("apns", "ab12", '{"environment":"sandbox","bundle_id":"com.example.app"}', "sandbox/com.example.app"),
    ("apns", "cd34", '{"environment":"production"}', "production/"),
    ("fcm", "token", '{"address_kind":"token"}', ""),
    ("webpush", "https://fcm.googleapis.com/fcm/send/x", "{}", "fcm.googleapis.com"),
    ("webpush", "https://updates.push.services.mozilla.com/wpush/v2/x", "{}", "updates.push.services.mozilla.com"),
    ("webpush", "https://web.push.apple.com/x", "{}", "web.push.apple.com"),
    ("webpush", "https://wns2-by3p.notify.windows.com/w/x", "{}", "notify.windows.com"),
    ("webpush", "https://push.example/x", "{}", None),
    ("webpush", "https://[::1/x", "{}", None),
    ("webpush", None, "{}", ""),
]
_ADD = """
INSERT INTO device
    (project, id, person, kind, address, permission, state, details, registered_at, created_at, updated_at)
VALUES (1, :id, 1, :kind, :address, 'granted', 'active', :details, 0, 0, 0)
"""
_WAITING = """
INSERT INTO work (key, project, queue, due_at, attempts)
VALUES (77, 5, 'deliver.webpush', 0, 2), (78, 5, 'decide', 0, 0)
"""
_BODY = {"type": "deliver", "kind": "webpush", "decided_at": 7, "messages": []}


def upgrade_to(conn: Connection, revision: str) -> None:
    config = Config(attributes={"connection": conn})
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    command.upgrade(config, revision)


def lanes_after_migration(url: str, store: Store) -> dict[str, str]:
    """What devices that were there before have; `url`: of `store`'s database, empty yet."""
    engine = create_engine(url)
    rows = [
        {"id": str(number), "kind": row[0], "address": row[1], "details": row[2]} for number, row in enumerate(DEVICES)
    ]
    with engine.begin() as conn:
        upgrade_to(conn, "0003")
        conn.execute(text(_ADD), rows)
        conn.execute(text(_WAITING))
        body = {"body": msgspec.msgpack.encode(_BODY)}
        conn.execute(text("INSERT INTO work_body (work, body) VALUES (77, :body), (78, :body)"), body)
    asyncio.run(_check_waiting(store))
    with engine.connect() as conn:
        found = {row.id: row.lane for row in conn.execute(text("SELECT id, lane FROM device"))}
    engine.dispose()
    return found


async def _check_waiting(store: Store) -> None:
    """Jobs of before have no lane; the deliveries among them are found in a queue of their project."""
    await store.open()
    assert set(await store.work.waiting()) == {"decide", "deliver.webpush.5."}
    [lease] = await store.work.claim("deliver.webpush.5.", 10, 1, 1_000)
    assert (lease.key, lease.attempts) == (77, 2)
    assert lease.job == DeliverWork(kind=DeviceKind.WEBPUSH, decided_at=7, messages=[])
    await store.close()


def check_lanes(found: dict[str, str]) -> None:
    for number, (kind, address, details, lane) in enumerate(DEVICES):
        told = Registration(kind=DeviceKind(kind), address=address, details=msgspec.json.decode(details))
        wanted = lane if lane is not None else lane_of(told, "https://own.example", [told.details.get("bundle_id", "")])
        assert found[str(number)] == wanted, (kind, address)


def test_devices_of_before_get_their_lanes_on_sqlite(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'clarion.db'}"
    check_lanes(lanes_after_migration(url, SqliteStore(tmp_path)))
    assert differences(url) == []


@pytest.mark.postgres
def test_devices_of_before_get_their_lanes_on_postgres(postgres_server) -> None:
    with postgres_server.database() as plain:
        url = plain.replace("postgresql:", "postgresql+psycopg:")
        check_lanes(lanes_after_migration(url, PostgresStore(plain)))
        assert differences(url) == []


async def check_events_of_before(url: str, store: Store) -> None:
    """They keep their keys and their ids; the next one gets a key of its own."""
    engine = create_engine(url)
    with engine.begin() as conn:
        upgrade_to(conn, "0009")
        for number in (1, 2, 3):
            values = f"1, {number}, 'seen', '{{}}', {number}, {'NULL' if number == 2 else number}"
            conn.execute(
                text(f"INSERT INTO event (project, person, name, properties, occurred_at, id) VALUES ({values})")
            )
    await store.open()
    again = [event(id="1"), event(id="3"), event(id="2")]
    assert await store.events.add(1, again, frozenset(), NOW) == [False, False, True]
    with engine.connect() as conn:
        found = conn.execute(text("SELECT key, id FROM event ORDER BY key")).all()
    assert found == [(1, "1"), (2, None), (3, "3"), (4, "2")]
    await store.close()
    engine.dispose()


async def test_events_of_before_stay_on_sqlite(tmp_path: Path) -> None:
    await check_events_of_before(f"sqlite:///{tmp_path / 'clarion.db'}", SqliteStore(tmp_path))


@pytest.mark.postgres
async def test_events_of_before_stay_on_postgres(postgres_server) -> None:
    with postgres_server.database() as plain:
        url = plain.replace("postgresql:", "postgresql+psycopg:")
        await check_events_of_before(url, PostgresStore(plain))
        assert differences(url) == []


_NOES = """
INSERT INTO consent (project, person, category, channel, granted, source, at, said_at) VALUES
(1, 1, 'offers', 'push', false, 'unsubscribe', :now, NULL), (1, 1, 'offers', 'push', false, 'unsubscribe', :now, NULL),
(1, 2, 'offers', 'push', true, 'form', :now, NULL), (1, 3, 'offers', 'push', false, 'import', :now, NULL),
(1, 4, 'offers', 'push', false, 'crm', :now, 5), (1, 5, 'offers', 'push', false, 'form', 5, NULL),
(1, 6, '*', 'push', false, 'browser_revoked', :now, NULL)
"""
_DEAD = """
INSERT INTO device (key, project, id, person, kind, permission, state, details, registered_at, created_at, updated_at)
VALUES (9, 1, 'd', 7, 'fcm', 'granted', 'retired', '{}', 0, 0, :now),
(8, 1, 'e', 8, 'fcm', 'granted', 'active', '{}', 0, 0, :now)
"""


def losses_after_migration(url: str) -> list[tuple]:
    engine = create_engine(url)
    with engine.begin() as conn:
        upgrade_to(conn, "0011")
        now = {"now": time.time_ns() // 1_000_000 - 60_000}
        conn.execute(text(_NOES), now)
        conn.execute(text(_DEAD), now)
        upgrade_to(conn, "0012")
        found = conn.execute(text("SELECT person, kind, category, channel, device FROM loss ORDER BY person"))
        rows = [tuple(row) for row in found]
    engine.dispose()
    return rows


NOES_OF_BEFORE = [
    (1, "opt_out", "offers", "push", 0),
    (6, "permission", "", "push", 0),
    (7, "subscription", "", "push", 9),
]


def test_who_said_no_in_the_days_before_is_known_on_sqlite(tmp_path: Path) -> None:
    assert losses_after_migration(f"sqlite:///{tmp_path / 'clarion.db'}") == NOES_OF_BEFORE


@pytest.mark.postgres
def test_who_said_no_in_the_days_before_is_known_on_postgres(postgres_server) -> None:
    with postgres_server.database() as plain:
        assert losses_after_migration(plain.replace("postgresql:", "postgresql+psycopg:")) == NOES_OF_BEFORE


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[Store], None]]:
    """Stores that are closed at the end of the test."""
    stores: list[Store] = []
    yield stores.append
    await asyncio.gather(*(store.close() for store in stores))


async def test_short_commands_that_start_together_on_a_new_folder_all_open_it(tmp_path: Path, opened) -> None:
    stores = [SqliteStore(tmp_path / "new", server=False) for _ in range(4)]
    for store in stores:
        opened(store)
    await asyncio.gather(*(store.open() for store in stores))
    projects = [await new_project(store, f"p{number}") for number, store in enumerate(stores)]
    assert len({project.key for project in projects}) == 4


async def test_a_command_waits_for_another_that_is_making_the_database(
    tmp_path: Path, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / "clarion.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE soon (x)")
    other.execute("BEGIN IMMEDIATE")
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        other.execute("ROLLBACK")

    monkeypatch.setattr("clarion.storage.sqlite.time.sleep", wait)
    store = SqliteStore(tmp_path, server=False)
    opened(store)
    await store.open()
    other.close()
    assert waited
    assert (await new_project(store, "p")).key


@pytest.mark.postgres
async def test_processes_that_start_together_on_a_new_database_all_open_it(postgres_server, opened) -> None:
    with postgres_server.database() as url:
        stores = [PostgresStore(url) for _ in range(4)]
        await asyncio.gather(*(store.open() for store in stores))
        projects = [await new_project(store, f"p{number}") for number, store in enumerate(stores)]
        await asyncio.gather(*(store.close() for store in stores))
    assert len({project.key for project in projects}) == 4


async def _open_and_close(store: Store) -> None:
    await store.open()
    await store.close()


def _definitions(path: Path) -> dict[str, str]:
    """How each table and index was made (triggers are in no schema), without spaces and quotes that do not matter."""
    made = "SELECT name, sql FROM sqlite_master WHERE type != 'trigger' AND sql IS NOT NULL"
    found = sqlite3.connect(path).execute(made).fetchall()
    return {name: _SPACES.sub(r"\1", " ".join(sql.replace('"', "").split())) for name, sql in found}
