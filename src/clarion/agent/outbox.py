"""Receipts on disk until the server took them: they outlive being offline, and a restart."""

import sqlite3
from typing import NamedTuple

from clarion.model import ReceiptKind
from clarion.wire.payload import WebPayload

CAPACITY = 1_000
"""Past that the oldest go."""


class Receipt(NamedTuple):
    """What happened to a delivery; `at` is RFC 3339."""

    number: int
    url: str
    receipt: str
    kind: str
    action: str | None
    at: str


class Outbox:
    """In the order in which things happened."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, payload: WebPayload, kind: ReceiptKind, at: str, action: str | None = None) -> None:
        """Keep a receipt."""
        self._db.execute(
            "INSERT INTO outbox (url, receipt, kind, action, at) VALUES (?, ?, ?, ?, ?)",
            (payload.receipts_url, payload.receipt, kind.value, action, at),
        )
        self._db.execute("DELETE FROM outbox WHERE number <= (SELECT max(number) FROM outbox) - ?", (CAPACITY,))

    def batch(self, size: int) -> list[Receipt]:
        """The oldest ones that go to the same address."""
        rows = self._db.execute(
            "SELECT number, url, receipt, kind, action, at FROM outbox"
            " WHERE url = (SELECT url FROM outbox ORDER BY number LIMIT 1) ORDER BY number LIMIT ?",
            (size,),
        )
        return [Receipt(*row) for row in rows]

    def drop(self, receipts: list[Receipt]) -> None:
        """They are taken, or never will be."""
        self._db.executemany("DELETE FROM outbox WHERE number = ?", [(each.number,) for each in receipts])

    def __len__(self) -> int:
        [count] = self._db.execute("SELECT count(*) FROM outbox").fetchone()
        return int(count)
