"""What people asked for themselves: quiet hours of their own, a pause of marketing. Nobody has to ask for anything."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from clarion.model import Key, Millis, PersonPreference, PreferenceChange, QuietHours
from clarion.storage.database import Database, upsert
from clarion.storage.merging import PREFERENCES, present
from clarion.storage.schema import person_preference

_HOUR = 60


class SqlPreferences:
    """See `ports.Preferences`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self, project: Key, user: Key) -> PersonPreference:
        return await self._db.read(_get, project, user)

    async def put(self, project: Key, user: Key, change: PreferenceChange, now: Millis) -> PersonPreference | None:
        return await self._db.write(_put, project, user, change, now)


def _get(conn: Connection, project: Key, user: Key) -> PersonPreference:
    row = _row(conn, project, user)
    return PersonPreference() if row is None else _read(row)


def _put(conn: Connection, project: Key, user: Key, change: PreferenceChange, now: Millis) -> PersonPreference | None:
    who = present(conn, project, [user]).get(user)
    if who is None:
        return None
    given = _columns(change) | {"updated_at": now}
    statement = upsert(conn, person_preference).values(project=project, person=who, **given)
    conn.execute(statement.on_conflict_do_update(index_elements=["person"], set_=given))
    return _get(conn, project, who)


def preference(start: int | None, end: int | None, days: str | None, paused: Millis | None) -> PersonPreference:
    """A row's columns, in the order of `merging.PREFERENCES`, as the noun."""
    hours = None
    if start is not None and end is not None:
        hours = QuietHours(start=_clock(start), end=_clock(end), days=tuple(days.split()) if days else None)
    return PersonPreference(quiet_hours=hours, marketing_paused_until=paused)


def _row(conn: Connection, project: Key, user: Key) -> Row[Any] | None:
    mine = (person_preference.c.project == project) & (person_preference.c.person == user)
    return conn.execute(select(person_preference).where(mine)).first()


def _read(row: Row[Any]) -> PersonPreference:
    return preference(*(getattr(row, name) for name in PREFERENCES))


def _columns(change: PreferenceChange) -> dict[str, int | str | None]:
    columns: dict[str, int | str | None] = {}
    if change.marketing_paused_until is not msgspec.UNSET:
        columns["marketing_paused_until"] = change.marketing_paused_until
    hours = change.quiet_hours
    if hours is None:
        columns |= {"quiet_start": None, "quiet_end": None, "quiet_days": None}
    elif hours is not msgspec.UNSET:
        days = " ".join(hours.days) if hours.days else None
        columns |= {"quiet_start": _minutes(hours.start), "quiet_end": _minutes(hours.end), "quiet_days": days}
    return columns


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * _HOUR + int(minutes)


def _clock(minutes: int) -> str:
    return f"{minutes // _HOUR:02}:{minutes % _HOUR:02}"
