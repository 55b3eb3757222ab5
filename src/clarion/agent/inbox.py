"""Messages on disk from before their acknowledgement until they are on the screen, and the ids of those before."""

import sqlite3
from typing import NamedTuple

REMEMBERED = 5_000
"""Ids of deliveries; a push service keeps 150 messages for a device that is away."""
CAPACITY = 500
"""Messages that wait for the screen; past that the oldest go."""


class Waiting(NamedTuple):
    """A message that is not known to be on the screen. `attempted`: it may be there."""

    id: str
    payload: bytes
    attempted: bool
    failures: int


class Inbox:
    """Every method is one statement or few: group them by `State.transaction`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def take(self, id: str, tag: str, payload: bytes) -> bool:
        """Keep a new message, in the place of an older one of the same tag; False when its id is known."""
        fresh = self._db.execute("INSERT OR IGNORE INTO seen (id) VALUES (?)", (id,)).rowcount > 0
        if not fresh:
            return False
        self._db.execute("DELETE FROM seen WHERE number <= (SELECT max(number) FROM seen) - ?", (REMEMBERED,))
        self._db.execute("DELETE FROM inbox WHERE tag = ?", (tag,))
        self._db.execute("INSERT INTO inbox (id, tag, payload) VALUES (?, ?, ?)", (id, tag, payload))
        self._db.execute("DELETE FROM inbox WHERE number <= (SELECT max(number) FROM inbox) - ?", (CAPACITY,))
        return True

    def waiting(self) -> list[Waiting]:
        """Oldest first."""
        rows = self._db.execute("SELECT id, payload, attempted, failures FROM inbox ORDER BY number")
        return [Waiting(id, payload, bool(attempted), failures) for id, payload, attempted, failures in rows]

    def attempt(self, id: str) -> bool:
        """From now on it may be on the screen; False when a newer message took its place."""
        return self._db.execute("UPDATE inbox SET attempted = 1 WHERE id = ?", (id,)).rowcount > 0

    def failed(self, id: str) -> None:
        """It is certainly not on the screen."""
        self._db.execute("UPDATE inbox SET attempted = 0, failures = failures + 1 WHERE id = ?", (id,))

    def done(self, id: str) -> None:
        """It is on the screen, or never will be."""
        self._db.execute("DELETE FROM inbox WHERE id = ?", (id,))
