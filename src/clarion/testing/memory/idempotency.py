"""One answer per key and project, in memory."""

import msgspec

from clarion.model import DAY_MS, Key, Millis
from clarion.ports import SavedAnswer
from clarion.testing.memory.tables import AnswerRow, Tables

CRASHED_AFTER_MS = 60_000


class MemoryIdempotency:
    """`ports.Idempotency`."""

    def __init__(self, tables: Tables) -> None:
        self._answers = tables.answers

    async def begin(self, project: Key, key: str, request_hash: bytes, now: Millis) -> SavedAnswer | None:
        known = self._answers.get((project, key))
        if known is not None:
            kept = DAY_MS if known.answer.status else CRASHED_AFTER_MS
            if now - known.begun_at < kept:
                return known.answer
        self._answers[project, key] = AnswerRow(SavedAnswer(request_hash, 0, b""), now)
        return None

    async def finish(self, project: Key, key: str, status: int, body: bytes) -> None:
        row = self._answers.get((project, key))
        if row is not None:
            row.answer = msgspec.structs.replace(row.answer, status=status, body=body)

    async def abandon(self, project: Key, key: str) -> None:
        self._answers.pop((project, key), None)
