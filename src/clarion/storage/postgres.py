"""The engine for many processes: a PostgreSQL server, a bounded pool of connections, a thread for each.

A decision holds its users by row locks, in a transaction that stays open while the event loop decides. These
transactions have connections and threads of their own: however many writers wait for such a lock, its holder commits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Concatenate

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from clarion.errors import ConfigurationError, InvalidRequest, Unavailable
from clarion.model import Key, Millis
from clarion.storage import migrate
from clarion.storage.database import Dialect, P, Row, T, Transactions, from_json, to_json, wall_clock
from clarion.storage.postgres_dialect import JsonText, JsonTextDumper, PostgresDialect, driver_of
from clarion.storage.store import SqlStore

_MIGRATING = 0x636C6172696F6E  # the advisory lock of who brings the schema up to date
_AGAIN = ("40001", "40P01", "23505")  # a race that a second try wins: serialization, deadlock, the same new row
_TRIES = 4
_UNREADABLE = ("22021", "22P05")  # NUL in a text, or in a text inside JSON
_NOT_NOW = ("08", "25006", "40", "53", "55P03", "57")  # connection, read-only, rolled back, resources, locks, shutdown
_STARTING = ("starting up", "shutting down", "in recovery mode", "too many", "connection slots")
_SECONDS_TO_CONNECT = 5
_CONNECTING = {
    "application_name": "clarion",
    "connect_timeout": _SECONDS_TO_CONNECT,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# A process that stands still must not hold others for ever.
_LIMITS = "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'"
_SECONDS_FOR_A_CONNECTION = 20
_SECONDS_BETWEEN_CANCELS = 0.2


class PostgresStore(SqlStore):
    """`ports.Store` in a PostgreSQL database: `postgresql://user@host/database`; `pool_size` connections at most."""

    def __init__(self, url: str, *, pool_size: int = 12, now: Callable[[], Millis] = wall_clock) -> None:
        self._database = PostgresDatabase(url, pool_size=pool_size, now=now)
        super().__init__(self._database)

    async def open(self) -> None:
        """Connect and migrate; several processes may do so at once.

        Raises:
            ConfigurationError: the server refuses us: no such database, a wrong password.
            Unavailable: the server cannot be reached.
        """
        await self._database.open()

    async def close(self) -> None:
        """Wait for what is under way and let the connections go."""
        await self._database.close()


class PostgresDatabase:
    """`database.Database` over a pool."""

    def __init__(self, url: str, *, pool_size: int, now: Callable[[], Millis]) -> None:
        self.dialect: Dialect = PostgresDialect()
        self.now = now
        self.key_block = 1
        self._holders = max(1, pool_size // 3)
        self._holding = asyncio.Semaphore(self._holders)
        self._others = max(1, pool_size - self._holders)
        self._engine = _engine(url, self._holders + self._others)
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._threads: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        await asyncio.to_thread(self._open)
        self._threads = ThreadPoolExecutor(self._others, thread_name_prefix="clarion-sql")
        self._holder_threads = ThreadPoolExecutor(self._holders, thread_name_prefix="clarion-decide")

    async def close(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
            await asyncio.to_thread(self._holder_threads.shutdown)
            await asyncio.to_thread(self._engine.dispose)

    async def read(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `database.Database`: each statement sees what is committed when it starts."""
        return await self._run(self._read, lambda conn: work(conn, *args, **kwargs))

    async def write(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `database.Database`; `work` runs again when it lost a race."""
        return await self._run(self._write, lambda conn: work(conn, *args, **kwargs))

    @asynccontextmanager
    async def holding(
        self, project: Key, span: tuple[Key, Key] | None, users: Sequence[Key]
    ) -> AsyncIterator[Transactions]:
        """See `database.Database`: row locks, taken in the order of keys."""
        self._opened()
        async with self._holding:
            held = _Held(self._engine, self._holder_threads)
            try:
                await held.read(_lock, self.dialect, project, span, users)
                yield held
            finally:
                await asyncio.shield(asyncio.create_task(held.let_go()))

    def _opened(self) -> ThreadPoolExecutor:
        if self._threads is None:
            raise Unavailable("the database is closed")
        return self._threads

    async def _run(self, run: Callable[[Callable[[Connection], T]], T], work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._opened(), run, work)

    def _open(self) -> None:
        try:
            with self._engine.begin() as conn:
                conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
                migrate.upgrade(conn)
        except DBAPIError as error:
            words = str(error.orig)
            if "FATAL" in words and not any(starting in words for starting in _STARTING):
                raise ConfigurationError(f"CLARION_DATABASE_URL: PostgreSQL refuses the connection: {words}") from error
            raise _told(error) from error

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as conn:
                return _watched(self._engine, conn, work)
        except (DBAPIError, psycopg.Error, PoolTimeoutError) as error:
            raise _told(error) from error

    def _write(self, work: Callable[[Connection], T]) -> T:
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                with self._engine.begin() as conn:
                    return _watched(self._engine, conn, work)
            except (DBAPIError, psycopg.Error, PoolTimeoutError) as error:
                if not tries_left or _state(error) not in _AGAIN:
                    raise _told(error) from error
        raise AssertionError("the last try returns or raises")


class _Held:
    """One open transaction; its calls run one after the other, in threads kept for such transactions."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._threads = threads
        self._conn: Connection | None = None
        self._driver: psycopg.Connection[Row] | None = None
        self._running: asyncio.Future[Any] | None = None

    async def read(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(lambda conn: work(conn, *args, **kwargs), commit=False)

    async def write(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(lambda conn: work(conn, *args, **kwargs), commit=True)

    async def let_go(self) -> None:
        """Undo what is not committed and give the connection back, whatever still runs on it."""
        while self._running is not None and not self._running.done():
            await asyncio.to_thread(self._cancel)
            await asyncio.wait([self._running], timeout=_SECONDS_BETWEEN_CANCELS)
        if self._conn is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._close, self._conn)

    async def _run(self, work: Callable[[Connection], T], *, commit: bool) -> T:
        call = partial(self._call, work, commit=commit)
        self._running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        return await asyncio.shield(self._running)  # who gives up leaves it to `let_go`

    def _call(self, work: Callable[[Connection], T], *, commit: bool) -> T:
        try:
            if self._conn is None:
                self._conn = self._engine.connect()
                self._driver = driver_of(self._conn)
            result = _watched(self._engine, self._conn, work)
            if commit:
                self._conn.commit()
        except (DBAPIError, psycopg.Error, PoolTimeoutError) as error:
            raise _told(error) from error
        return result

    def _cancel(self) -> None:
        if self._driver is not None:
            with suppress(psycopg.Error):
                self._driver.cancel_safe(timeout=_SECONDS_TO_CONNECT)

    def _close(self, conn: Connection) -> None:
        try:
            conn.close()
        except (DBAPIError, psycopg.Error):
            conn.invalidate()


def _lock(conn: Connection, dialect: Dialect, project: Key, span: tuple[Key, Key] | None, users: Sequence[Key]) -> None:
    keys = "key BETWEEN ? AND ?" if span is not None else f"key {dialect.within('bigint')}"
    values = span if span is not None else (dialect.listed(users),)
    locked = f"(SELECT key FROM person WHERE +project = ? AND {keys} ORDER BY key FOR NO KEY UPDATE)"  # noqa: S608 - ours
    dialect.rows(conn, ("count(*)",), f"FROM {locked} AS locked", project, *values)


def _engine(url: str, pool_size: int) -> Engine:
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
    except ArgumentError as error:
        raise ConfigurationError("CLARION_DATABASE_URL: takes postgresql://user@host/database") from error
    engine = create_engine(
        parsed,
        hide_parameters=True,  # an error's words go to the log, what people wrote does not
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_SECONDS_FOR_A_CONNECTION,
        json_serializer=to_json,
        json_deserializer=from_json,
        use_native_hstore=False,
        connect_args=_CONNECTING,
    )
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(driver: psycopg.Connection[Any], _: object) -> None:
    driver.adapters.register_dumper(JsonText, JsonTextDumper)
    driver.execute(_LIMITS)
    driver.commit()


def _watched(engine: Engine, conn: Connection, work: Callable[[Connection], T]) -> T:
    """Run it; a connection that breaks takes the idle ones with it: they are likely to be dead too."""
    try:
        return work(conn)
    except psycopg.Error:
        if not conn.invalidated and driver_of(conn).closed:
            conn.invalidate()
            engine.dispose()
        raise


def _state(error: Exception) -> str:
    """The SQLSTATE of an error; empty when it has none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None) or ""


def _told(error: Exception) -> Exception:
    """The error as the callers of a store know it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = _state(error)
    if state in _UNREADABLE or (isinstance(cause, psycopg.DataError) and not state):
        return InvalidRequest("a text contains a NUL character, which cannot be stored")
    lost = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError) and not state
    if lost or state.startswith(_NOT_NOW) or isinstance(error, PoolTimeoutError):
        return Unavailable("the database cannot be used now", retry_after=1, why=str(cause))
    return error
