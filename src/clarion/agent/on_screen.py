"""What stands on the screen, on disk: a tap finds its page after a restart of the agent too."""

import sqlite3

CAPACITY = 200
"""Notifications; past that a tap on the oldest does nothing."""


class OnScreen:
    """By place: the name that a notification has on the screen, which a newer one of the same tag takes over."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, place: str, payload: bytes, handle: str | None) -> None:
        """It stands there now; `handle` is what the system calls it by, where that is not the place."""
        self._db.execute(
            "INSERT OR REPLACE INTO on_screen (place, payload, handle) VALUES (?, ?, ?)", (place, payload, handle)
        )
        self._db.execute("DELETE FROM on_screen WHERE number <= (SELECT max(number) FROM on_screen) - ?", (CAPACITY,))

    def take(self, place: str) -> bytes | None:
        """The payload of what the person has answered: it is gone from the screen. None when there was nothing."""
        found = self._db.execute("DELETE FROM on_screen WHERE place = ? RETURNING payload", (place,)).fetchone()
        return None if found is None else bytes(found[0])

    def has(self, place: str) -> bool:
        """Whether something stands there, as far as we know."""
        return self._db.execute("SELECT 1 FROM on_screen WHERE place = ?", (place,)).fetchone() is not None

    def handles(self) -> dict[str, str]:
        """Handles by place."""
        return dict(self._db.execute("SELECT place, handle FROM on_screen WHERE handle IS NOT NULL ORDER BY number"))
