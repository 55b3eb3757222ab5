"""What waits for a digest, in memory."""

from clarion.model import Key
from clarion.ports import Collected, Effects
from clarion.testing.memory.tables import Tables


def collected_of(tables: Tables, users: set[Key]) -> dict[Key, list[Collected]]:
    """What waits, by person, as it was collected."""
    found: dict[Key, list[Collected]] = {}
    rows = [one for one, digest in tables.collected.values() if digest is None and one.user in users]
    for one in sorted(rows, key=lambda one: (one.user, one.at, one.notification)):
        found.setdefault(one.user, []).append(one)
    return found


def write_collected(tables: Tables, effects: Effects) -> None:
    """What begins to wait, and what ends to: in a digest, or by itself."""
    for new in effects.collected:
        tables.collected.setdefault((new.user, new.notification), (new, None))
    for user, notification, digest in effects.released:
        found = tables.collected.pop((user, notification), None)
        if found is not None and digest is not None:
            tables.collected[user, notification] = found[0], digest


def move_collected(tables: Tables, notification: Key, new: Key, row: tuple[Collected, Key | None] | None) -> None:
    """What was known of a decision goes with it."""
    tables.collected.pop((new, notification), None)
    if row is not None:
        tables.collected[new, notification] = row[0]._replace(user=new), row[1]
