"""The embedded engine: one folder, one writer thread with group commit, a few readers.

All writes of a process run on one connection in one thread. It takes every job that waits, runs them in one
transaction, each of which can be undone alone, and commits once: the more callers wait, the cheaper each of them gets.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, NamedTuple

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from clarion.errors import ConfigurationError, Unavailable
from clarion.model import Key, Millis
from clarion.storage import migrate
from clarion.storage.database import Dialect, P, T, Transactions, from_json, to_json, wall_clock
from clarion.storage.folderlock import FolderLock
from clarion.storage.idempotency import void_unanswered
from clarion.storage.sqlite_dialect import SqliteDialect, driver_of
from clarion.storage.store import SqlStore
from clarion.storage.userlocks import UserLocks
from clarion.storage.work import void_leases

_READERS = 3
_BUSY_SECONDS = 10.0
_AGAIN_SECONDS = 0.02
_JOBS_PER_COMMIT = 1_000
_CACHE = "cache_size=-16384"  # 16 MB
_READER = (_CACHE, "query_only=ON")
_WRITER = (
    _CACHE,
    "page_size=8192",  # batches and the bodies of jobs fill pages; a tenth cheaper than the default, measured
    "journal_mode=WAL",
    "synchronous=FULL",  # a 2xx answer means that the request is on disk
    "wal_autocheckpoint=2000",
    "journal_size_limit=67108864",
    "secure_delete=FAST",  # Debian's default writes zeros over half a megabyte for every job that is done
)
# Begin, undo, end of a job's part of a transaction. Behind a savepoint SQLite keeps each page as it was, in a file:
# a quarter of what thousands of events cost. The first job needs none, since nothing was done before it.
_ALONE = ((), ("ROLLBACK", "BEGIN IMMEDIATE"), ())
_BESIDE = (("SAVEPOINT job",), ("ROLLBACK TO job",), ("RELEASE job",))
_TAKEN = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_CANNOT_NOW = (*_TAKEN, "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_READONLY")


class SqliteStore(SqlStore):
    """`ports.Store` in one folder.

    `server`: this process serves the folder, and a second one is refused. Short commands beside a server say False.
    """

    def __init__(self, folder: Path, *, server: bool = True, now: Callable[[], Millis] = wall_clock) -> None:
        self._database = SqliteDatabase(folder, server=server, now=now)
        super().__init__(self._database)

    async def open(self) -> None:
        """Make the folder if it is missing, migrate, and void the leases of the server before us.

        Raises:
            ConfigurationError: another server holds the folder, or it cannot hold a database.
        """
        await self._database.open()

    async def close(self) -> None:
        """Finish what was accepted and let go of the folder."""
        await self._database.close()


class _Job(NamedTuple):
    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


class _Done(NamedTuple):
    future: asyncio.Future[Any]
    value: Any
    error: Exception | None


class SqliteDatabase:
    """`database.Database` over one file."""

    def __init__(self, folder: Path, *, server: bool, now: Callable[[], Millis]) -> None:
        self.dialect: Dialect = SqliteDialect()
        self.now = now
        self.key_block = 256 if server else 1
        self._folder = folder
        self._server = server
        self._locks = UserLocks()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._connections: list[Connection] = []

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Jobs that are queued are still done; later ones are refused."""
        readers, self._readers = self._readers, None
        if readers is None:
            return
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(readers.shutdown)
        self._let_go()

    async def read(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `database.Database`: one snapshot for all of `work`."""
        readers = self._opened()
        return await self._loop.run_in_executor(readers, self._read, lambda conn: work(conn, *args, **kwargs))

    async def write(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `database.Database`. A caller that is cancelled may find its work done or not."""
        self._opened()
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(lambda conn: work(conn, *args, **kwargs), future))
        return await future

    @asynccontextmanager
    async def holding(
        self,
        project: Key,  # noqa: ARG002 - keys of users are unique
        span: tuple[Key, Key] | None,
        users: Sequence[Key],
    ) -> AsyncIterator[Transactions]:
        """See `database.Database`. Only the process that serves a folder decides, so its own locks are enough."""
        async with self._locks.hold(span, users):
            yield self

    def _opened(self) -> ThreadPoolExecutor:
        if self._readers is None:
            raise Unavailable("the database is closed")
        return self._readers

    def _open(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = FolderLock(self._folder) if self._server else None
            try:
                connection = self._connect()
                self._prepare(connection)
            except BaseException:
                self._let_go()
                raise
        except (OSError, DBAPIError, sqlite3.Error) as error:
            if _name(error).startswith(_TAKEN):
                raise _told(error) from error
            raise ConfigurationError(f"the folder {self._folder} cannot hold the database: {error}") from error
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="clarion-reader")
        self._writer = threading.Thread(target=self._write_all, args=(connection,), name="clarion-writer", daemon=True)
        self._writer.start()

    def _let_go(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        if self._lock is not None:
            self._lock.release()

    def _prepare(self, connection: Connection) -> None:
        with connection.begin():
            driver_of(connection).execute("BEGIN IMMEDIATE")
            migrate.upgrade(connection)
            if self._server:
                void_leases(connection)
                void_unanswered(connection)

    def _connect(self, *, reader: bool = False) -> Connection:
        path = (self._folder / "clarion.db").resolve()

        def connect() -> sqlite3.Connection:
            driver = sqlite3.connect(
                f"{path.as_uri()}?mode={'ro' if reader else 'rwc'}",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,  # we say when a transaction begins
                check_same_thread=False,  # closed by another thread than its own
                cached_statements=256,
            )
            for pragma in _READER if reader else _WRITER:
                _set(driver, pragma)
            return driver

        engine: Engine = create_engine(
            "sqlite://",
            creator=connect,
            poolclass=NullPool,
            hide_parameters=True,  # an error's words go to the log, what people wrote does not
            json_serializer=to_json,
            json_deserializer=from_json,
        )
        connection = engine.connect()
        self._connections.append(connection)
        return connection

    def _read(self, work: Callable[[Connection], T]) -> T:
        connection = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = self._connect(reader=True)
            with connection.begin():
                driver_of(connection).execute("BEGIN")
                return work(connection)
        except (DBAPIError, sqlite3.Error) as error:
            raise _told(error) from error

    def _write_all(self, connection: Connection) -> None:
        """The writer thread: until it is told to end, all that waits in one commit."""
        ending = False
        while not ending:
            jobs = [self._jobs.get()]
            try:
                while len(jobs) < _JOBS_PER_COMMIT:
                    jobs.append(self._jobs.get_nowait())
            except Empty:
                pass
            ending = None in jobs
            wanted = [job for job in jobs if job is not None and not job.future.cancelled()]
            if wanted:
                self._loop.call_soon_threadsafe(_settle, _commit(connection, wanted))


def _set(driver: sqlite3.Connection, pragma: str) -> None:
    """Patiently: SQLite waits for a lock with everything but a change of the journal, which it refuses at once."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            driver.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if not _name(error).startswith(_TAKEN) or time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _commit(connection: Connection, jobs: list[_Job]) -> list[_Done]:
    """All jobs in one transaction; those that fail leave nothing behind, and do not disturb the others."""
    driver = driver_of(connection)
    try:
        with connection.begin():
            driver.execute("BEGIN IMMEDIATE")
            return [_one(connection, driver, job, first=job is jobs[0]) for job in jobs]
    except Exception as error:  # noqa: BLE001 - each caller gets it
        told = _told(error)
        return [_Done(job.future, None, told) for job in jobs]


def _one(connection: Connection, driver: sqlite3.Connection, job: _Job, *, first: bool) -> _Done:
    begin, undo, end = _ALONE if first else _BESIDE
    for statement in begin:
        driver.execute(statement)
    try:
        done = _Done(job.future, job.work(connection), None)
    except Exception as error:
        if not driver.in_transaction:  # SQLite gave up the whole of it, as it does when the disk is full
            raise
        for statement in undo:
            driver.execute(statement)
        done = _Done(job.future, None, _told(error))
    for statement in end:
        driver.execute(statement)
    return done


def _settle(done: list[_Done]) -> None:
    for future, value, error in done:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _told(error: Exception) -> Exception:
    """The error as the callers of a store know it."""
    if _name(error).startswith(_CANNOT_NOW):
        cause = error.orig if isinstance(error, DBAPIError) else error
        return Unavailable("the database cannot be used now", retry_after=1, why=str(cause))
    return error


def _name(error: Exception) -> str:
    """SQLite's own name of an error; empty for others'."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name: str = getattr(cause, "sqlite_errorname", "")
    return name
