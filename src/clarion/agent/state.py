"""The agent's memory: one file that only its owner may read, and that a crash leaves whole.

It is an SQLite database: its transactions join what must not come apart (a message taken and its id remembered, a
notification shown and its receipt written), and it is on disk when they return.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from clarion.crypto import base64url
from clarion.crypto.webpush import Receiver
from clarion.errors import ConfigurationError

_VERSION = 1
_SCHEMA = """
CREATE TABLE kept (only INTEGER PRIMARY KEY CHECK (only = 1), what TEXT NOT NULL);
CREATE TABLE seen (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
CREATE TABLE inbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tag TEXT NOT NULL, payload BLOB NOT NULL,
    attempted INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE on_screen (
    number INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT NOT NULL UNIQUE, payload BLOB NOT NULL, handle TEXT
);
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, receipt TEXT NOT NULL, kind TEXT NOT NULL,
    action TEXT, at TEXT NOT NULL
);
"""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Who this device is, to itself, to the push service and to the server."""

    installation: str
    private: str
    auth: str
    server: str | None = None
    """Whose all the following is, with `key`."""
    key: str | None = None
    project: str | None = None
    push_url: str | None = None
    vapid: str | None = None
    """The VAPID key that the project uses."""
    uaid: str | None = None
    channel_id: str | None = None
    channel_vapid: str | None = None
    """The VAPID key that the channel is bound to."""
    endpoint: str | None = None
    device_id: str | None = None
    user_id: str | None = None
    told: str | None = None
    """A digest of what the server was told of this device."""
    told_endpoint: str | None = None
    user_token: str | None = None
    """The secret of the anonymous user that the server made for us."""

    @property
    def receiver(self) -> Receiver:
        """The keys that messages are encrypted for."""
        return Receiver.of(base64url.decode(self.private), base64url.decode(self.auth))


class State:
    """The open file. For one event loop: a commit takes a few milliseconds, and messages to one person are few."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError when the file cannot be used."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            if sys.platform != "win32":
                path.chmod(0o600)
            self.db = _opened(path)
            self._kept = self._read()
        except (OSError, sqlite3.Error, msgspec.MsgspecError) as error:
            raise ConfigurationError(f"{path} cannot be used as the agent's state (--state): {error}") from None

    @property
    def kept(self) -> Kept:
        """Who this device is."""
        return self._kept

    def keep(self, **changes: Any) -> None:
        """Change some of it; on disk when this returns."""
        self._kept = msgspec.structs.replace(self._kept, **changes)
        self._write()

    def forget_server(self) -> None:
        """Another server, or another project: nothing that this one knew of us counts there, secrets least of all."""
        mine = self._kept
        self._kept = Kept(installation=mine.installation, private=mine.private, auth=mine.auth)
        self._write()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing, and on disk at the end."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def close(self) -> None:
        """Nothing is lost: everything is on disk."""
        self.db.close()

    def _read(self) -> Kept:
        found = self.db.execute("SELECT what FROM kept").fetchone()
        if found is not None:
            return msgspec.json.decode(found[0], type=Kept)
        self._kept = _newborn()
        self._write()
        return self._kept

    def _write(self) -> None:
        what = msgspec.json.encode(self._kept).decode()
        self.db.execute("INSERT OR REPLACE INTO kept (only, what) VALUES (1, ?)", (what,))


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous=FULL")
        [version] = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"it was written by another version of this program ({version})")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _newborn() -> Kept:
    receiver = Receiver.generate()
    return Kept(
        installation=str(uuid4()),
        private=base64url.encode(receiver.private),
        auth=base64url.encode(receiver.auth),
    )
