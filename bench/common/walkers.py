"""People on their way through an automation: a million who wait, and some whose time has come."""

from collections.abc import Iterator

import msgspec

from clarion.journey.automations.flow import check
from clarion.model import Automation
from common.crowd import NOW
from common.database import Database

HOUR_MS = 3_600_000
WAITED, WALKED = "waiting", "walking"
_COLUMNS = (
    *("project", "automation", "version", "person", "run_key", "step"),
    *("waits", "due_at", "began_at", "since", "data", "moves"),
)
_BATCH = 20_000


def walked() -> Automation:
    """Two pauses with a fork between them, and a message at the end."""
    steps = [
        {"type": "delay", "for": {"hours": 1}},
        {"type": "branch", "paths": [{"percent": 50, "to": "rest"}]},
        {"type": "update_user", "attributes": {"half": "second"}},
        {"type": "delay", "id": "rest", "for": {"hours": 1}},
        {"type": "send", "notification": {"title": "Hello {{ user.first_name }}"}},
    ]
    made = msgspec.convert({"name": WALKED, "on": {"event": "cart_added"}, "steps": steps}, Automation)
    assert check(made) == []
    return made


def add_runs(database: Database, project: int, name: str, count: int, due_at: int) -> Iterator[int]:
    """Runs of the first people, in the first pause. Yields how many there are."""
    first_key = database.one("SELECT min(key) FROM person WHERE project = ?", project)
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        began = NOW - HOUR_MS
        rows = (
            (project, name, 1, first_key + n, "", 0, True, due_at + n // 1_000, began, began, "{}", 0) for n in numbers
        )
        database.add("automation_run", _COLUMNS, rows)
        yield numbers.stop
