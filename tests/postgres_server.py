"""A PostgreSQL server of the tests' own: started on a free port in a folder of its own, gone afterwards."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from free_ports import free_port

DURABLE = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_wal_size": "256MB",
    "shared_buffers": "64MB",
    "max_connections": "200",
}
# What was handed to the system outlives every process; only a machine that stops would lose it.
KILLABLE = {**DURABLE, "fsync": "off"}
# What is thrown away in a minute need not reach the disk.
FAST = {**DURABLE, "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}

CUT_OFF_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


_SECONDS_TO_DIE = 30


class PostgresServer:
    """A running server and its databases. `data` is its folder."""

    def __init__(self, binaries: Path, data: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self._binaries = binaries
        self._data = data
        self._options = " ".join(["-p", str(self.port), *(f"-c {name}='{value}'" for name, value in settings.items())])
        self._created = 0

    def start(self) -> None:
        """Returns when it takes connections, its recovery from a crash included."""
        self._control("start", "-w", "-l", self._data.parent / "log", "-o", self._options)

    def stop(self) -> None:
        """At once, as in a crash of its own."""
        self._control("stop", "-w", "-m", "immediate")

    def kill(self) -> None:
        """SIGKILL to all of its processes (Linux only): nothing of it runs when this returns; `start` begins anew."""
        lock = self._data / "postmaster.pid"
        postmaster = int(lock.read_text("ascii").split()[0])
        os.kill(postmaster, signal.SIGSTOP)  # or it would notice, and begin to recover, or have children that we miss
        processes = [postmaster, *_children(postmaster)]
        for process in processes:
            os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + _SECONDS_TO_DIE
        while any(map(_alive, processes)):
            assert time.monotonic() < deadline, "PostgreSQL does not die"
            time.sleep(0.005)
        lock.unlink()  # a dead process that nobody has waited for yet would count as a running server

    def _control(self, verb: str, *arguments: str | Path) -> None:
        _call(self._binaries / "pg_ctl", verb, "-D", self._data, *arguments)

    def url(self, database: str) -> str:
        return f"postgresql://clarion@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new empty database; yields its URL and drops it, whoever is still connected."""
        self._created += 1
        name = f"test_{self._created}"
        self.create(name)
        try:
            yield self.url(name)
        finally:
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def create(self, name: str) -> str:
        """A new empty database that stays; its URL."""
        self._run("CREATE DATABASE {}", name)
        return self.url(name)

    def clear(self, name: str) -> str:
        """Delete every row of a migrated database, whoever is still connected; its URL. Far cheaper than a new one."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(CUT_OFF_OTHERS)
            tables = [sql.Identifier(table) for (table,) in connection.execute(TABLES)]
            connection.execute(sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(table) for table in tables))
        return self.url(name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def find_binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: in PATH, else the newest that Debian installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


@contextmanager
def running_server(binaries: Path, settings: Mapping[str, str] = FAST) -> Iterator[PostgresServer]:
    """Start a server and stop it at the end. PostgreSQL refuses to be root, so root runs it as `postgres`."""
    folder = Path(tempfile.mkdtemp(prefix="clarion-postgres-"))
    data = folder / "data"
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        _call(binaries / "initdb", "-D", data, "-U", "clarion", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        server = PostgresServer(binaries, data, settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _children(parent: int) -> list[int]:
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _told(stat)[1] == str(parent)]


def _alive(process: int) -> bool:
    return _told(Path(f"/proc/{process}/stat"))[0] not in ("", "Z", "X")


def _told(stat: Path) -> tuple[str, str]:
    """State and parent of a process (proc_pid_stat(5)), whose name in parentheses may contain anything."""
    try:
        state, parent = stat.read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    return state, parent


def _call(program: Path, *arguments: str | Path) -> None:
    command = [str(program), *map(str, arguments)]
    if os.geteuid() == 0:
        command = ["runuser", "-u", "postgres", "--", *command]
    # The server outlives pg_ctl and would hold a pipe open: its words go to a file.
    with tempfile.TemporaryFile() as words:
        if subprocess.run(command, stdout=words, stderr=words, cwd="/", check=False).returncode:
            words.seek(0)
            raise RuntimeError(f"{program.name} failed: {words.read().decode(errors='replace')}")
