"""Audiences: rules looked up in one statement, and the lists of people that are kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, delete, except_, func, literal, select, text, union_all
from sqlalchemy.exc import DBAPIError

from clarion.model import DeviceKind, DeviceState, Key, Millis, Permission
from clarion.ports import Crowd, Effects, Page, Reach, RosterKind
from clarion.storage.crowds import is_list, matching
from clarion.storage.database import Database, Dialect, columns_of, int_cursor, upsert
from clarion.storage.merging import present
from clarion.storage.people import find, resolve
from clarion.storage.schema import device, person, roster, roster_member

_MEMBER = columns_of(roster_member)
_ANY_KIND = ""
_TOGETHER = 5
"""Crowds that are counted by one statement: PostgreSQL keeps the hash tables of all of them to its end."""


class SqlAudiences:
    """See `ports.Audiences`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def keys(self, project: Key, crowd: Crowd, after: Key, limit: int) -> list[Key]:
        return await self._db.read(_keys, project, crowd, after, limit)

    async def page(self, project: Key, crowd: Crowd, cursor: str | None, limit: int) -> Page[str]:
        return await self._db.read(_page, project, crowd, cursor, limit)

    async def count(self, project: Key, crowd: Crowd) -> int:
        return await self._db.read(_count, project, crowd)

    async def counts(self, project: Key, crowds: Sequence[Crowd]) -> list[int]:
        return await self._db.read(_counts, project, crowds)

    async def reach(self, project: Key, crowd: Crowd) -> Reach:
        return await self._db.read(_reach, project, crowd)

    async def add(self, project: Key, kind: RosterKind, name: str, users: Sequence[str], now: Millis) -> int:
        return await self._db.write(_add, self._db.dialect, project, kind, name, users, now)

    async def remove(self, project: Key, kind: RosterKind, name: str, users: Sequence[str]) -> int:
        return await self._db.write(_remove, self._db.dialect, project, kind, name, users)

    async def listed(self, project: Key, kind: RosterKind, name: str, cursor: str | None, limit: int) -> Page[str]:
        return await self._db.read(_listed, project, kind, name, cursor, limit)

    async def unlike(
        self, project: Key, crowd: Crowd, kind: RosterKind, name: str, after: Key, limit: int
    ) -> list[tuple[Key, bool]]:
        return await self._db.read(_unlike, project, crowd, kind, name, after, limit)

    async def sizes(self, project: Key, kind: RosterKind, names: Sequence[str]) -> dict[str, int]:
        return await self._db.read(_sizes, project, kind, names)

    async def of_user(self, project: Key, kind: RosterKind, user: Key) -> list[str]:
        return await self._db.read(_of_user, project, kind, user)

    async def drop(self, project: Key, kind: RosterKind, name: str) -> None:
        await self._db.write(_drop, project, kind, name)


def members_of(conn: Connection, project: Key, crowd: Crowd, users: Sequence[Key]) -> frozenset[Key]:
    """Who of these people is in it."""
    if not users:
        return frozenset()
    with _planned(conn, crowd):
        return frozenset(row.key for row in conn.execute(matching(conn, project, crowd, users)))


_PLANNING = {
    "plan_cache_mode": "force_custom_plan",
    "work_mem": "64MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
_HASHING = _PLANNING | {"enable_nestloop": "off"}
_PLAN, _HASH = (
    text("; ".join(f"SET {name} = '{value}'" for name, value in each.items())) for each in (_PLANNING, _HASHING)
)
_PLAN_AS_BEFORE = text("; ".join(f"RESET {name}" for name in _HASHING))


@contextmanager
def _planned(conn: Connection, crowd: Crowd, *, joined: bool = False) -> Iterator[None]:
    """PostgreSQL plans each of these statements for its own values, which decide everything; with memory for hashes.

    A plan for any values, which it makes for a statement that comes often, takes thirty times as long; compiling it
    costs more than it saves. And what happened of late is in no statistics: with a thousand rows where it expects one
    it would go through them all for each person, so it may only hash or merge. It does
    so alone: of a join with a group it lets each of its helpers make the whole group. A list may be short, unless all
    on it are `joined` with more.
    """
    if conn.dialect.name != "postgresql":
        yield
        return
    conn.execute(_PLAN if is_list(crowd) and not joined else _HASH)
    try:
        yield
    finally:
        with suppress(DBAPIError):  # of a transaction that failed, the settings went with it
            conn.execute(_PLAN_AS_BEFORE)


def _keys(conn: Connection, project: Key, crowd: Crowd, after: Key, limit: int) -> list[Key]:
    beyond = matching(conn, project, crowd).where(person.c.key > after).order_by(person.c.key).limit(limit)
    with _planned(conn, crowd):
        return [row.key for row in conn.execute(beyond)]


def _page(conn: Connection, project: Key, crowd: Crowd, cursor: str | None, limit: int) -> Page[str]:
    [after] = int_cursor(cursor, 1) or (0,)
    keys = _keys(conn, project, crowd, after, limit + 1)
    named = select(person.c.id).where(person.c.project == project, person.c.key.in_(keys[:limit]))
    ids = conn.execute(named.order_by(person.c.key)).scalars()
    return Page(items=list(ids), next_cursor=str(keys[limit - 1]) if len(keys) > limit else None)


def _count(conn: Connection, project: Key, crowd: Crowd) -> int:
    found = matching(conn, project, crowd).subquery()
    with _planned(conn, crowd):
        return conn.execute(select(func.count()).select_from(found)).scalar_one()


def _counts(conn: Connection, project: Key, crowds: Sequence[Crowd]) -> list[int]:
    counted: list[int] = []
    for start in range(0, len(crowds), _TOGETHER):
        some = crowds[start : start + _TOGETHER]
        found = [matching(conn, project, each).subquery() for each in some]
        people = func.count().label("people")
        each = [select(literal(at).label("at"), people).select_from(one) for at, one in enumerate(found)]
        with _planned(conn, next((one for one in some if not is_list(one)), some[0])):
            rows = {row.at: row.people for row in conn.execute(union_all(*each))}
        counted += [rows[at] for at in range(len(some))]
    return counted


def _reach(conn: Connection, project: Key, crowd: Crowd) -> Reach:
    found = matching(conn, project, crowd).cte("found")
    mine = (device.c.project == project) & (device.c.state == DeviceState.ACTIVE.value)
    mine &= device.c.permission.in_((Permission.GRANTED.value, Permission.PROVISIONAL.value))
    theirs = select(device.c.kind, device.c.person).join(found, found.c.key == device.c.person).where(mine)
    shown = theirs.distinct().cte("shown")
    people = func.count(shown.c.person.distinct())
    by_kind = select(shown.c.kind, func.count().label("people")).group_by(shown.c.kind)
    with _planned(conn, crowd, joined=True):
        rows = conn.execute(union_all(by_kind, select(literal(_ANY_KIND), people))).all()
    counts = {row.kind: row.people for row in rows}
    return Reach(counts.pop(_ANY_KIND), {DeviceKind(kind): count for kind, count in counts.items()})


def _roster(conn: Connection, project: Key, kind: str, name: str) -> Key | None:
    mine = (roster.c.project == project) & (roster.c.kind == kind) & (roster.c.name == name)
    return conn.execute(select(roster.c.key).where(mine)).scalar()


def _add(
    conn: Connection, dialect: Dialect, project: Key, kind: str, name: str, users: Sequence[str], now: Millis
) -> int:
    made = upsert(conn, roster).values(project=project, kind=kind, name=name, created_at=now)
    conn.execute(made.on_conflict_do_nothing())
    list_ = _roster(conn, project, kind, name)
    named = resolve(conn, dialect, project, users, now)
    # Who is erased or merged at this moment must not stay on the list as nobody.
    keys = sorted(set(present(conn, project, sorted(named.values())).values()))
    return dialect.insert(conn, "roster_member", _MEMBER, [(project, list_, key) for key in keys])


def _remove(conn: Connection, dialect: Dialect, project: Key, kind: str, name: str, users: Sequence[str]) -> int:
    list_ = _roster(conn, project, kind, name)
    if list_ is None:
        return 0
    keys = sorted(find(conn, dialect, project, users).values())
    gone = 0
    for start in range(0, len(keys), 1000):
        these = roster_member.c.person.in_(keys[start : start + 1000])
        gone += conn.execute(delete(roster_member).where(roster_member.c.roster == list_, these)).rowcount
    return gone


def _listed(conn: Connection, project: Key, kind: str, name: str, cursor: str | None, limit: int) -> Page[str]:
    [after] = int_cursor(cursor, 1) or (0,)
    list_ = _roster(conn, project, kind, name)
    query = select(person.c.key, person.c.id).join(roster_member, roster_member.c.person == person.c.key)
    query = query.where(roster_member.c.roster == list_, roster_member.c.person > after)
    rows = conn.execute(query.order_by(roster_member.c.person).limit(limit + 1)).all()
    more = len(rows) > limit
    return Page(items=[row.id for row in rows[:limit]], next_cursor=str(rows[limit - 1].key) if more else None)


def _unlike(
    conn: Connection, project: Key, crowd: Crowd, kind: RosterKind, name: str, after: Key, limit: int
) -> list[tuple[Key, bool]]:
    members = select(matching(conn, project, crowd).where(person.c.key > after).cte("members").c.key)
    named = roster_member.c.roster == _roster(conn, project, kind, name)
    listed = select(roster_member.c.person.label("key")).where(named, roster_member.c.person > after)
    # Not as joins: SQLite takes any list for short, and would look through all of the other for each who is on it.
    missing, extra = except_(members, listed).subquery(), except_(listed, members).subquery()
    both = union_all(select(missing.c.key, literal(value=True)), select(extra.c.key, literal(value=False)))
    with _planned(conn, crowd):
        return [(key, bool(is_in)) for key, is_in in conn.execute(both.order_by("key").limit(limit))]


def write_listed(conn: Connection, dialect: Dialect, project: Key, effects: Effects, now: Millis) -> None:
    """Onto lists and off them, of those who are still there."""
    for kind, name, users, on in effects.listed:
        if not users:
            continue
        made = upsert(conn, roster).values(project=project, kind=kind, name=name, created_at=now)
        conn.execute(made.on_conflict_do_nothing())
        list_ = _roster(conn, project, kind, name)
        if on:
            keys = sorted(set(present(conn, project, sorted(users)).values()))
            dialect.insert(conn, "roster_member", _MEMBER, [(project, list_, key) for key in keys])
            continue
        for start in range(0, len(users), 1000):
            these = roster_member.c.person.in_(users[start : start + 1000])
            conn.execute(delete(roster_member).where(roster_member.c.roster == list_, these))


def _sizes(conn: Connection, project: Key, kind: str, names: Sequence[str]) -> dict[str, int]:
    query = select(roster.c.name, func.count(roster_member.c.person).label("people"))
    query = query.outerjoin(roster_member, roster_member.c.roster == roster.c.key).group_by(roster.c.name)
    query = query.where(roster.c.project == project, roster.c.kind == kind, roster.c.name.in_(names))
    return dict.fromkeys(names, 0) | {row.name: row.people for row in conn.execute(query)}


def _of_user(conn: Connection, project: Key, kind: str, user: Key) -> list[str]:
    query = select(roster.c.name).join(roster_member, roster_member.c.roster == roster.c.key)
    query = query.where(roster_member.c.person == user, roster.c.project == project, roster.c.kind == kind)
    return sorted(conn.execute(query).scalars())


def _drop(conn: Connection, project: Key, kind: str, name: str) -> None:
    list_ = _roster(conn, project, kind, name)
    if list_ is not None:
        conn.execute(delete(roster_member).where(roster_member.c.roster == list_))
        conn.execute(delete(roster).where(roster.c.key == list_))
