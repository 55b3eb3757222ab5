"""Runs of automations as rows: handed out when they are due, and written as a step left them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, func, select, update

from clarion.model import Ended, Key, Millis, Run
from clarion.ports import Effects, NewWork, Page, RunRecord, RunsQuery, RunsWork, StepCount
from clarion.storage.database import (
    Columns,
    Database,
    Dialect,
    Row,
    by_other_index,
    columns_of,
    from_json,
    int_cursor,
    to_json,
)
from clarion.storage.schema import automation_run, person
from clarion.storage.work import add_work

BATCH = 1_000
_NAMES = (
    "automation", "version", "person", "run_key", "step", "waits", "due_at", "began_at", "since", "event", "data",
    "moves", "ended",
)  # fmt: skip
_SHOWN = tuple(f"r.{name}" for name in ("key", *_NAMES))
_NEW = columns_of(automation_run, "project", *_NAMES)
_MOVED = columns_of(automation_run, "key", "project", "step", "waits", "due_at", "since", "moves", "ended")
_NAMED: Columns = {"automation": "text", "run_key": "text", "person": "bigint"}
_CHANGED: Columns = {"person": "bigint", "project": "bigint", "told": "text", "at": "bigint"}

_BEGIN = f"""
INSERT INTO automation_run (project, {", ".join(_NAMES)})
SELECT project, {", ".join(_NAMES)} FROM batch WHERE true
ON CONFLICT (project, automation, run_key, person) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in ("automation", "person", "run_key"))}
WHERE automation_run.ended IS NOT NULL
"""  # noqa: S608 - our own words
# Who cancelled it meanwhile was first.
_MOVE = """
UPDATE automation_run SET
    step = batch.step, waits = batch.waits, due_at = batch.due_at, since = batch.since, moves = batch.moves,
    ended = batch.ended
FROM batch
WHERE automation_run.key = batch.key AND automation_run.project = batch.project AND automation_run.ended IS NULL
"""
_CHANGE = """
UPDATE person SET attributes = MERGED, updated_at = batch.at FROM batch
WHERE person.key = batch.person AND person.project = batch.project
"""
_MERGED = {  # key by key, null removes
    "sqlite": "json_patch(person.attributes, batch.told)",
    "postgresql": """(
        SELECT coalesce(jsonb_object_agg(name, value), '{}') FROM jsonb_each(person.attributes || batch.told::jsonb)
        AS merged (name, value) WHERE value <> 'null'
    )""",
}
_STOP = "UPDATE automation_run SET due_at = NULL WHERE key"


class SqlRuns:
    """See `ports.Runs`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def hand_out(self, now: Millis, limit: int) -> int:
        return await self._db.write(_hand_out, self._db.dialect, now, limit)

    async def load(self, project: Key, keys: Sequence[Key]) -> list[Run]:
        return await self._db.read(load_runs, self._db.dialect, project, (), RunsQuery(keys=keys))

    async def under_way(self, project: Key, users: Sequence[Key]) -> list[Run]:
        return await self._db.read(load_runs, self._db.dialect, project, users, RunsQuery(under_way=True))

    async def cancel(self, project: Key, automation: str, user: Key | None, run_key: str | None, now: Millis) -> int:
        return await self._db.write(_cancel, project, automation, user, run_key, now)

    async def page(
        self, project: Key, automation: str, user: Key | None, run_key: str | None, cursor: str | None, limit: int
    ) -> Page[RunRecord]:
        return await self._db.read(_page, self._db.dialect, project, automation, user, run_key, cursor, limit)

    async def newest(
        self,
        project: Key,
        automation: str,
        user: Key | None,
        run_key: str | None,
        limit: int,
        *,
        under_way: bool = False,
    ) -> list[RunRecord]:
        chosen = _chosen(project, automation, user, run_key)
        if under_way:
            chosen &= automation_run.c.ended.is_(None)
        return await self._db.read(_newest, self._db.dialect, project, chosen, limit)

    async def counts(self, project: Key, automation: str) -> list[StepCount]:
        return await self._db.read(_counts, project, automation)

    async def totals(self, project: Key, automations: Sequence[str]) -> dict[str, Mapping[Ended | None, int]]:
        return await self._db.read(_totals, project, automations)


def load_runs(conn: Connection, dialect: Dialect, project: Key, users: Sequence[Key], query: RunsQuery) -> list[Run]:
    """Those that a query asks for, of these people; in order of their keys."""
    rows: list[Row] = []
    if query.keys:
        rest = f"FROM automation_run r WHERE +r.project = ? AND r.key {dialect.within('bigint')}"
        rows += dialect.rows(conn, _SHOWN, rest, project, dialect.listed(query.keys))
    if query.under_way and users:
        mine = f"+r.project = ? AND r.ended IS NULL AND r.person {dialect.within('bigint')}"
        rows += dialect.rows(conn, _SHOWN, f"FROM automation_run r WHERE {mine}", project, dialect.listed(users))
    if query.named:
        same = "r.automation = b.automation AND r.run_key = b.run_key AND r.person = b.person"
        rest = f"FROM batch b JOIN automation_run r ON {same} AND r.project = {int(project)}"
        rows += dialect.joined(conn, _SHOWN, rest, _NAMED, query.named)
    return list({row[0]: _run(row) for row in sorted(rows, key=lambda row: row[0])}.values())


def write_runs(conn: Connection, dialect: Dialect, project: Key, effects: Effects, at: Millis) -> None:
    """Runs as a step left them, and what it made of people's attributes."""
    moved = [
        (run.key, project, run.step, run.waits, run.due_at, run.since, run.moves, run.ended and run.ended.value)
        for run in effects.runs
        if run.key is not None
    ]
    if moved:
        dialect.apply(conn, _MOVE, _MOVED, moved)
    begun = [(project, *_row(run)) for run in effects.runs if run.key is None]
    if begun:
        dialect.apply(conn, _BEGIN, _NEW, begun)
    for users, values in effects.attributes:
        change = _CHANGE.replace("MERGED", _MERGED[conn.dialect.name])
        told = to_json(values)
        dialect.apply(conn, change, _CHANGED, [(user, project, told, at) for user in users])


def _row(run: Run) -> Row:
    ended = run.ended and run.ended.value
    of_event = (run.event, to_json(run.data))
    where = (run.step, run.waits, run.due_at, run.began_at, run.since)
    return (run.automation, run.version, run.user, run.run_key, *where, *of_event, run.moves, ended)


def _run(row: Row) -> Run:
    key, automation, version, user, run_key, step, waits, due_at, began_at, since, event, data, moves, ended = row
    return Run(
        key=key,
        automation=automation,
        version=version,
        user=user,
        run_key=run_key,
        step=step,
        waits=bool(waits),
        due_at=due_at,
        began_at=began_at,
        since=since,
        event=event,
        data=from_json(data) if data != "{}" else {},
        moves=moves,
        ended=None if ended is None else Ended(ended),
    )


def _hand_out(conn: Connection, dialect: Dialect, now: Millis, limit: int) -> int:
    run = automation_run.c
    due = select(run.key, run.project, run.automation, run.version, run.step).where(run.due_at <= now)
    found = conn.execute(due.order_by(run.due_at).limit(limit).with_for_update(skip_locked=True)).all()
    if not found:
        return 0
    together: dict[tuple[Key, str, int, int], list[Key]] = defaultdict(list)
    for key, project, automation, version, step in found:
        together[project, automation, version, step].append(key)
    stop = f"{_STOP} {dialect.within('bigint')} RETURNING 1"
    dialect.large(conn, stop, dialect.listed([row.key for row in found]))
    jobs = [
        NewWork(project, RunsWork(automation, version, keys[start : start + BATCH]), now)
        for (project, automation, version, _), keys in together.items()
        for start in range(0, len(keys), BATCH)
    ]
    add_work(conn, dialect, jobs)
    return len(found)


def _chosen(project: Key, automation: str, user: Key | None, run_key: str | None) -> ColumnElement[bool]:
    run = automation_run.c
    chosen = (run.project == project) & (run.automation == automation)
    if user is not None:
        chosen &= run.person == user
    return chosen if run_key is None else chosen & (run.run_key == run_key)


def _cancel(conn: Connection, project: Key, automation: str, user: Key | None, run_key: str | None, now: Millis) -> int:
    chosen = _chosen(project, automation, user, run_key) & automation_run.c.ended.is_(None)
    ended = {"ended": Ended.CANCELLED.value, "due_at": None, "waits": False, "since": now}
    return conn.execute(update(automation_run).where(chosen).values(ended)).rowcount


def _page(
    conn: Connection,
    dialect: Dialect,
    project: Key,
    automation: str,
    user: Key | None,
    run_key: str | None,
    cursor: str | None,
    limit: int,
) -> Page[RunRecord]:
    [after] = int_cursor(cursor, 1) or (0,)
    run = automation_run.c
    chosen = _chosen(project, automation, user, run_key) & (run.key > after)
    keys = conn.execute(select(run.key).where(chosen).order_by(run.key).limit(limit + 1)).scalars().all()
    items = _records(conn, dialect, project, keys[:limit])
    return Page(items=items, next_cursor=str(keys[limit - 1]) if len(keys) > limit else None)


def _newest(
    conn: Connection, dialect: Dialect, project: Key, chosen: ColumnElement[bool], limit: int
) -> list[RunRecord]:
    run = automation_run.c
    last_first = (run.began_at.desc(), run.key.desc())  # a row is taken over by the next run: its key tells no time
    keys = conn.execute(select(run.key).where(chosen).order_by(*last_first).limit(limit)).scalars().all()
    found = _records(conn, dialect, project, keys)
    return sorted(found, key=lambda one: (one.run.began_at, one.run.key), reverse=True)


def _records(conn: Connection, dialect: Dialect, project: Key, keys: Sequence[Key]) -> list[RunRecord]:
    """With whose they are, in order of their keys."""
    runs = load_runs(conn, dialect, project, (), RunsQuery(keys=keys))
    named = select(person.c.key, person.c.id).where(
        by_other_index(person.c.project) == project, person.c.key.in_([each.user for each in runs])
    )
    ids = {row.key: row.id for row in conn.execute(named)}
    return [RunRecord(ids[each.user], each) for each in runs if each.user in ids]


def _counts(conn: Connection, project: Key, automation: str) -> list[StepCount]:
    run = automation_run.c
    where = (run.version, run.step, run.ended)
    query = select(*where, func.count()).where(_chosen(project, automation, None, None)).group_by(*where)
    return [
        StepCount(version, step, None if ended is None else Ended(ended), count)
        for version, step, ended, count in conn.execute(query)
    ]


def _totals(conn: Connection, project: Key, automations: Sequence[str]) -> dict[str, Mapping[Ended | None, int]]:
    run = automation_run.c
    query = select(run.automation, run.ended, func.count()).group_by(run.automation, run.ended)
    found: dict[str, dict[Ended | None, int]] = {name: {} for name in automations}
    for name, ended, count in conn.execute(query.where(run.project == project, run.automation.in_(automations))):
        found[name][None if ended is None else Ended(ended)] = count
    return {**found}
