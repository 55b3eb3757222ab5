"""What every test may ask for: a clock, chance, a store on each engine, a PostgreSQL server."""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import hypothesis
import pytest

from clarion.ports import Store
from clarion.testing import ManualClock, MemoryStore, SeededChance
from postgres_server import PostgresServer, find_binaries, running_server

# Where files of tests come from, in the order in which workers take them. Those that wait and work the longest come
# first: one that is begun last would keep a single worker at the end.
TESTS = Path(__file__).parent
TURNS = ("processes", "browsers", "invariants", "fuzz", "contract", "story")

OpenDatabase: TypeAlias = Callable[[], Store]

# Databases and shared machines have slow moments; an example is not wrong for that.
hypothesis.settings.register_profile("clarion", deadline=None)
hypothesis.settings.load_profile("clarion")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _expect_names_of_their_own(items)
    items.sort(key=lambda item: TURNS.index(item.path.relative_to(TESTS).parts[0]))


def _expect_names_of_their_own(items: list[pytest.Item]) -> None:
    """Of tests with the same name workers would run one, and nobody would miss the others."""
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        raise pytest.UsageError(f"several tests have one name: {', '.join(twice[:5])}")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def chance() -> SeededChance:
    return SeededChance()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, clock: ManualClock) -> OpenDatabase:
    """An empty, migrated database: each call gives a new store on it, not yet open."""
    if request.param == "memory":
        store = MemoryStore(clock)
        return lambda: store
    if request.param == "sqlite":
        return _sqlite_database(request.getfixturevalue("sqlite_folder"), clock)
    return _postgres_database(request.getfixturevalue("postgres_url"), clock)


@pytest.fixture
async def store(database: OpenDatabase) -> AsyncIterator[Store]:
    """An open, empty store: the same test runs on every engine."""
    opened = database()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    binaries = find_binaries()
    if binaries is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(
            "PostgreSQL is not installed: no initdb in PATH or /usr/lib/postgresql (Debian: apt install postgresql)"
        )
    with running_server(binaries) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _migrated_postgres: str) -> str:
    """A migrated database without a row, whatever the tests before left in it."""
    return postgres_server.clear(_migrated_postgres)


@pytest.fixture
def sqlite_folder(tmp_path: Path, _migrated_sqlite: Path) -> Path:
    """A folder with a migrated database of this test's own."""
    return Path(shutil.copytree(_migrated_sqlite, tmp_path / "data"))


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_server: PostgresServer) -> str:
    name = "migrated"
    _migrate(_postgres_database(postgres_server.create(name), ManualClock())())
    return name


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated") / "data"
    _migrate(_sqlite_database(folder, ManualClock())())
    return folder


def _sqlite_database(folder: Path, clock: ManualClock) -> OpenDatabase:
    from clarion.storage.sqlite import SqliteStore  # noqa: PLC0415 - only when a test asks for it

    return lambda: SqliteStore(folder, now=clock.now)


def _postgres_database(url: str, clock: ManualClock) -> OpenDatabase:
    from clarion.storage.postgres import PostgresStore  # noqa: PLC0415 - only when a test asks for it

    return lambda: PostgresStore(url, now=clock.now)


def _migrate(store: Store) -> None:
    async def migrate() -> None:
        await store.open()
        await store.close()

    asyncio.run(migrate())
