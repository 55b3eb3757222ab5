"""The embedded engine: one server a folder, one writer, and a disk that may be full."""

import asyncio
import os
import resource
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType

import pytest
from sqlalchemy import Connection, insert, select

from clarion.errors import ConfigurationError, Conflict, Unavailable
from clarion.model import ProjectSettings
from clarion.storage import schema
from clarion.storage.sqlite import SqliteDatabase, SqliteStore
from contract.support import (
    NOW,
    claim,
    credential,
    event,
    facts_query,
    new_project,
    new_user,
    pairs_work,
    put_work,
    soon,
)

Open = Callable[..., "asyncio.Future[SqliteStore]"]


@pytest.fixture
async def opened(sqlite_folder: Path) -> AsyncIterator[Open]:
    """Opens stores on one folder; what a test leaves open is closed after it."""
    stores: list[SqliteStore] = []

    async def open_store(*, server: bool = True) -> SqliteStore:
        store = SqliteStore(sqlite_folder, server=server)
        await store.open()
        stores.append(store)
        return store

    yield open_store
    for store in stores:
        await store.close()


async def test_a_second_server_on_the_same_folder_is_refused(opened: Open, sqlite_folder: Path) -> None:
    first = await opened()
    with pytest.raises(ConfigurationError, match=f"process {os.getpid()}.*{sqlite_folder.name}"):
        await opened()
    await first.close()
    await opened()


async def test_a_short_command_beside_the_server_is_not_refused(opened: Open) -> None:
    server, command = await opened(), await opened(server=False)
    project = await new_project(command)
    assert await server.projects.find("shop") == project
    await put_work(command, project, pairs_work((1, 1)))
    [lease] = await claim(server)
    await opened(server=False)
    assert await claim(server, now=lease.until - 1) == [], "a command leaves the server's leases alone"


async def test_keys_of_a_command_and_of_the_server_never_meet(opened: Open) -> None:
    server, command = await opened(), await opened(server=False)
    keys = [key for store in (server, command, server, command) for key in await store.trail.reserve(3)]
    assert len(set(keys)) == 12


async def test_a_server_voids_the_leases_of_the_one_before_it(opened: Open) -> None:
    first = await opened()
    await put_work(first, await new_project(first), pairs_work((1, 1)))
    [lost] = await claim(first)
    await first.close()
    second = await opened()
    [held] = await claim(second, now=NOW)
    assert (held.key, held.token != lost.token) == (lost.key, True)


def test_a_killed_server_leaves_a_folder_that_opens(sqlite_folder: Path) -> None:
    """The child forks while it serves, as a pool of processes would, and dies without closing anything."""
    child = os.fork()
    if child == 0:  # pragma: no cover - ends by its own signal
        asyncio.run(_serve_and_die(sqlite_folder))
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert asyncio.run(_finds_the_project(sqlite_folder))


async def _finds_the_project(folder: Path) -> bool:
    store = SqliteStore(folder)
    await store.open()
    found = await store.projects.find("shop")
    await store.close()
    return found is not None


async def _serve_and_die(folder: Path) -> None:
    store = SqliteStore(folder)
    await store.open()
    await new_project(store)
    if os.fork() == 0:
        signal.sigtimedwait([signal.SIGUSR1], 20)  # outlives its parent
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_job_that_fails_fails_alone_in_its_commit(opened: Open) -> None:
    store = await opened()
    made = [store.projects.create("same", "Same", ProjectSettings(), credential(), NOW) for _ in range(3)]
    others = [new_project(store, f"p{number}") for number in range(20)]
    answers = await soon(asyncio.gather(*made, *others, return_exceptions=True))
    assert sorted(type(answer).__name__ for answer in answers[:3]) == ["Conflict", "Conflict", "Project"]
    assert not any(isinstance(answer, Exception) for answer in answers[3:])
    assert {project.id for project in await store.projects.all()} == {"same", *(f"p{n}" for n in range(20))}


@pytest.mark.parametrize("bad", [0, 1, 2])
async def test_what_a_failed_job_had_written_is_gone_wherever_it_stood_in_its_commit(
    sqlite_folder: Path, bad: int
) -> None:
    database = SqliteDatabase(sqlite_folder, server=True, now=lambda: NOW)
    await database.open()
    running, let_go = threading.Event(), threading.Event()
    names = [f"job-{number}" for number in range(3)]
    try:
        held = asyncio.ensure_future(database.write(lambda _: running.set() or let_go.wait(20)))
        await asyncio.to_thread(running.wait, 20)
        calls = [asyncio.ensure_future(database.write(_founding, name, fails=name == names[bad])) for name in names]
        await asyncio.sleep(0)  # all three wait for the one that is held, and so share the next commit
        let_go.set()
        answers = await soon(asyncio.gather(held, *calls, return_exceptions=True))
        assert [type(answer) for answer in answers[1:]] == [Conflict if n == bad else NoneType for n in range(3)]
        kept = await database.read(lambda conn: conn.execute(select(schema.project.c.id)).scalars().all())
        assert sorted(kept) == [name for name in names if name != names[bad]]
    finally:
        await database.close()


def _founding(conn: Connection, id: str, *, fails: bool) -> None:
    values = {"id": id, "name": id, "settings": "{}", "vapid_public_key": "", "created_at": NOW}
    conn.execute(insert(schema.project).values(values))
    if fails:
        raise Conflict("too late")


async def test_a_disk_that_takes_no_more_is_told_and_forgotten_when_it_does_again(opened: Open) -> None:
    store = await opened()
    project = await new_project(store)
    big = {"text": "x" * 1_000_000}
    with _full_disk():
        calls = [store.events.add(project.key, [event(properties=big, id=f"e{n}")], frozenset(), NOW) for n in range(4)]
        answers = await soon(asyncio.gather(*calls, return_exceptions=True))
        assert [type(answer) for answer in answers] == [Unavailable] * 4
        with pytest.raises(Unavailable):
            await store.ping()
    await store.ping()
    assert await store.events.add(project.key, [event(id="e0")], frozenset(), NOW) == [True]


@contextmanager
def _full_disk() -> Iterator[None]:
    """No file of this process may grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_folder_that_cannot_be_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigurationError, match="file"):
        await SqliteStore(tmp_path / "file").open()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clarion.db").write_bytes(b"something else " * 1000)
    with pytest.raises(ConfigurationError, match="data"):
        await SqliteStore(tmp_path / "data").open()
    (tmp_path / "data" / "clarion.db").unlink()
    store = SqliteStore(tmp_path / "data")
    await store.open()
    await store.close()


async def test_closing_ends_what_was_accepted_first(opened: Open) -> None:
    store = await opened()
    project = await new_project(store)
    writing = [asyncio.create_task(new_user(store, project, f"u{number}")) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    answers = await soon(asyncio.gather(*writing, return_exceptions=True))
    again = await opened()
    for number, answer in enumerate(answers):
        found = await again.users.get(project.key, f"u{number}")
        assert isinstance(answer, Unavailable) if found is None else answer == found.key
    with pytest.raises(Unavailable):
        await store.ping()


async def test_deciding_does_not_keep_other_writers_waiting(opened: Open) -> None:
    store = await opened()
    project = await new_project(store)
    user = await new_user(store, project)
    async with store.steps.deciding(project.key, facts_query([user])):
        assert await soon(store.events.add(project.key, [event("u1")], frozenset(), NOW)) == [True]
        with pytest.raises(Conflict):
            await soon(store.users.create_anonymous(project.key, "u1", NOW))
