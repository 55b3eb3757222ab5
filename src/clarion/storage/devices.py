"""Addresses of people: found again by installation, previous address or address, whoever they belonged to before."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, insert, literal_column, select, update

from clarion.errors import NotFound
from clarion.model import Device, DeviceKind, DeviceState, Key, Millis, Permission, Registration
from clarion.ports import permission_line, revoked
from clarion.storage.consents import add_lines
from clarion.storage.database import Database, Dialect, to_json
from clarion.storage.departing import hand_on
from clarion.storage.losses import add_losses
from clarion.storage.merging import present
from clarion.storage.schema import device, person

DELETED = "deleted"
"""The state of a device that its owner took away: only its id and keys stay, for the trail."""

# Spelled out, because a partial index is only used for a condition that is known when the query is planned.
_DOUBTFUL = device.c.state == literal_column(f"'{DeviceState.QUARANTINED.value}'")
_GONE = {"state": DELETED, "state_reason": None, "address": None, "installation": None, "details": "{}"}


class SqlDevices:
    """See `ports.Devices`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def register(
        self, project: Key, user: Key, registration: Registration, device_id: str, now: Millis
    ) -> tuple[Device, bool]:
        """See `ports.Devices`; an installation is known within its kind.

        Raises:
            NotFound: there is no such user.
        """
        return await self._db.write(_register, self._db.dialect, project, user, registration, device_id, now)

    async def get(self, project: Key, device_id: str) -> Device | None:
        found = await self.find(project, [device_id])
        return found[0] if found else None

    async def of_user(self, project: Key, user: Key) -> list[Device]:
        return await self._db.read(_devices, project, device.c.person == user)

    async def find(self, project: Key, device_ids: Sequence[str]) -> list[Device]:
        return await self._db.read(_devices, project, device.c.id.in_(device_ids))

    async def delete(self, project: Key, device_id: str) -> bool:
        return await self._db.write(_delete, project, device.c.id == device_id, self._db.now())

    async def end_doubts(self, project: Key, kind: DeviceKind, now: Millis) -> int:
        return await self._db.write(_return, and_(device.c.project == project, device.c.kind == kind.value), now)

    async def retry_doubtful(self, before: Millis, now: Millis, limit: int) -> int:
        longest = select(device.c.key).where(_DOUBTFUL, device.c.updated_at < before).limit(limit)
        return await self._db.write(_return, device.c.key.in_(longest), now)


def _register(
    conn: Connection,
    dialect: Dialect,
    project: Key,
    user: Key,
    registration: Registration,
    device_id: str,
    now: Millis,
) -> tuple[Device, bool]:
    owner = present(conn, project, [user]).get(user)
    if owner is None:
        raise NotFound("there is no such user any more")
    known = _known(conn, project, registration)
    values = _values(registration) | {"person": owner}
    if known:
        (key, before), *rest = known.items()
        if before.person != owner:
            hand_on(conn, dialect, project, before.person, now)
        if others := [each for each, _ in rest]:
            _delete(conn, project, device.c.key.in_(others), now)
        told = values | {"registered_at": now, "updated_at": _changed(values, now)}
        conn.execute(update(device).where(device.c.key == key).values(told))
        answered = Permission(before.permission)
        line = permission_line(owner, registration.kind, answered, registration.permission, now)
        add_lines(conn, project, [line] if line else [])
        add_losses(conn, project, revoked(line, key))
    else:
        made = {"project": project, "id": device_id, "registered_at": now, "created_at": now, "updated_at": now}
        added = insert(device).values(values | made)
        key = conn.execute(added.returning(device.c.key)).scalar_one()
    row = conn.execute(_select(project, device.c.key == key)).one()
    return _device(row), not known


def _known(conn: Connection, project: Key, registration: Registration) -> dict[Key, Row[Any]]:
    """Rows that are this device, as they were, the surest first: by installation, previous address, address."""
    marks = (
        (device.c.installation, registration.installation),
        (device.c.address, registration.previous_address),
        (device.c.address, registration.address),
    )
    mine = (device.c.project == project) & (device.c.kind == registration.kind.value)
    found: dict[Key, Row[Any]] = {}
    for column, value in marks:
        if value is not None:
            columns = device.c.key, device.c.person, device.c.permission
            these = select(*columns).where(mine, column == value).with_for_update()
            found |= {row.key: row for row in conn.execute(these)}
    return found


def _values(registration: Registration) -> dict[str, Any]:
    return {
        "kind": registration.kind.value,
        "address": registration.address,
        "permission": registration.permission.value,
        "state": DeviceState.ACTIVE.value,
        "state_reason": None,
        "locale": registration.locale,
        "timezone": registration.timezone,
        "app_version": registration.app_version,
        "model": registration.model,
        "installation": registration.installation,
        "details": to_json(registration.details),
        "lane": registration.lane,
    }


def _changed(values: dict[str, Any], now: Millis) -> ColumnElement[Millis]:
    """When a device that told all this last changed: an app tells the same at each start, which changes nothing."""
    same = and_(*(device.c[name].is_not_distinct_from(value) for name, value in values.items()))
    return case((same, device.c.updated_at), else_=now)


def _delete(conn: Connection, project: Key, condition: ColumnElement[bool], now: Millis) -> bool:
    mine = and_(device.c.project == project, condition, device.c.state != DELETED)
    return conn.execute(update(device).where(mine).values(_GONE | {"updated_at": now})).rowcount > 0


def _return(conn: Connection, condition: ColumnElement[bool], now: Millis) -> int:
    active = {"state": DeviceState.ACTIVE.value, "state_reason": None, "updated_at": now}
    return conn.execute(update(device).where(condition, _DOUBTFUL).values(active)).rowcount


def _devices(conn: Connection, project: Key, condition: ColumnElement[bool]) -> list[Device]:
    return [_device(row) for row in conn.execute(_select(project, condition).order_by(device.c.key))]


def _select(project: Key, condition: ColumnElement[bool]) -> Select[Any]:
    query = select(device, person.c.id.label("user_id")).join(person, person.c.key == device.c.person)
    return query.where(device.c.project == project, device.c.state != DELETED, condition)


def _device(row: Row[Any]) -> Device:
    return Device(
        key=row.key,
        id=row.id,
        project=row.project,
        user=row.person,
        user_id=row.user_id,
        kind=DeviceKind(row.kind),
        address=row.address,
        permission=Permission(row.permission),
        state=DeviceState(row.state),
        state_reason=row.state_reason,
        locale=row.locale,
        timezone=row.timezone,
        app_version=row.app_version,
        model=row.model,
        installation=row.installation,
        details=msgspec.json.decode(row.details, type=dict[str, str]),
        lane=row.lane,
        registered_at=row.registered_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
