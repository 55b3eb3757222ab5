"""Projects, their keys and their credentials: few rows, read often, cached by callers."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, Row, and_, case, delete, insert, literal, select, update

from clarion.errors import Conflict
from clarion.model import ApiKey, Category, Credential, DeviceKind, Key, Millis, Project, ProjectSettings
from clarion.storage import definitions
from clarion.storage.database import Database, to_json, upsert
from clarion.storage.schema import api_key, credential, project

# Made before there are threads: msgspec looks at a struct's fields when it is first decoded, and a second thread that
# comes meanwhile meets what is half made, and brings the process down.
_decode_settings = msgspec.json.Decoder(ProjectSettings).decode
_decode_scopes = msgspec.json.Decoder(list[str]).decode


class SqlProjects:
    """See `ports.Projects`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, id: str, name: str, settings: ProjectSettings, vapid: Credential, now: Millis) -> Project:
        """See `ports.Projects`; the project of `vapid` is not looked at.

        Raises:
            Conflict: the id is taken.
        """
        return await self._db.write(_create, id, name, settings, vapid, now)

    async def get(self, key: Key) -> Project | None:
        return await self._db.read(_find, project.c.key == key)

    async def find(self, id: str) -> Project | None:
        return await self._db.read(_find, project.c.id == id)

    async def all(self) -> list[Project]:
        return await self._db.read(_all)

    async def update(self, project: Project) -> None:
        await self._db.write(_update, project)

    async def add_key(self, key: ApiKey, hash: bytes) -> ApiKey:
        return await self._db.write(_add_key, key, hash)

    async def find_key(self, hash: bytes) -> ApiKey | None:
        return await self._db.read(_find_key, hash)

    async def keys(self, project: Key) -> list[ApiKey]:
        return await self._db.read(_keys, project)

    async def change_key(self, project: Key, id: str, name: str, scopes: list[str]) -> ApiKey | None:
        return await self._db.write(_change_key, project, id, name, scopes)

    async def revoke_key(self, project: Key, id: str, now: Millis) -> bool:
        return await self._db.write(_revoke_key, project, id, now)

    async def credentials(self, project: Key, kind: DeviceKind) -> list[Credential]:
        return await self._db.read(_credentials, project, kind)

    async def all_credentials(self, project: Key) -> list[Credential]:
        return await self._db.read(_all_credentials, project)

    async def add_credential(self, credential: Credential) -> bool:
        return await self._db.write(_add_credential, credential)

    async def replace_credential(self, credential: Credential, was: bytes | None = None) -> bool:
        return await self._db.write(_replace_credential, credential, was)

    async def pace(
        self, project: Key, kind: DeviceKind, name: str, messages: int, now: Millis, patience_ms: int
    ) -> Millis:
        return await self._db.write(_pace, _named(project, kind, name), messages, now, patience_ms)

    async def delete_credential(self, project: Key, kind: DeviceKind, name: str) -> bool:
        return await self._db.write(_delete_credential, project, kind, name)

    async def use_web_push_key(self, project: Key, name: str) -> bool:
        return await self._db.write(_use_web_push_key, project, name)


def _create(conn: Connection, id: str, name: str, settings: ProjectSettings, vapid: Credential, now: Millis) -> Project:
    row = {"id": id, "name": name, "settings": to_json(settings), "vapid_public_key": vapid.name, "created_at": now}
    added = upsert(conn, project).values(row).on_conflict_do_nothing().returning(project.c.key)
    key = conn.execute(added).scalar()
    if key is None:
        raise Conflict(f"a project with the id {id!r} exists")
    _add_credential(conn, msgspec.structs.replace(vapid, project=key))
    general = Category(name="general")
    definitions.put(conn, key, "categories", general.name, msgspec.to_builtins(general), now)
    return Project(
        key=key,
        id=id,
        name=name,
        settings=settings,
        vapid_public_key=vapid.name,
        identity_key=None,
        created_at=now,
    )


def _find(conn: Connection, condition: ColumnElement[bool]) -> Project | None:
    row = conn.execute(select(project).where(condition)).first()
    return _project(row) if row else None


def _all(conn: Connection) -> list[Project]:
    return [_project(row) for row in conn.execute(select(project).order_by(project.c.key))]


def _update(conn: Connection, changed: Project) -> None:
    values = {"name": changed.name, "settings": to_json(changed.settings), "identity_key": changed.identity_key}
    conn.execute(update(project).where(project.c.key == changed.key).values(values))


def _add_key(conn: Connection, key: ApiKey, hash: bytes) -> ApiKey:
    values = msgspec.structs.asdict(key) | {"scopes": to_json(key.scopes), "hash": hash}
    del values["key"]
    added = conn.execute(insert(api_key).values(values).returning(api_key.c.key)).scalar_one()
    return msgspec.structs.replace(key, key=added)


def _find_key(conn: Connection, hash: bytes) -> ApiKey | None:
    row = conn.execute(select(api_key).where(api_key.c.hash == hash)).first()
    return _api_key(row) if row else None


def _keys(conn: Connection, owner: Key) -> list[ApiKey]:
    found = conn.execute(select(api_key).where(api_key.c.project == owner).order_by(api_key.c.key))
    return [_api_key(row) for row in found]


def _change_key(conn: Connection, owner: Key, id: str, name: str, scopes: list[str]) -> ApiKey | None:
    changed = update(api_key).where(_valid(owner, id)).values(name=name, scopes=to_json(scopes))
    row = conn.execute(changed.returning(api_key)).first()
    return _api_key(row) if row else None


def _revoke_key(conn: Connection, owner: Key, id: str, now: Millis) -> bool:
    return conn.execute(update(api_key).where(_valid(owner, id)).values(revoked_at=now)).rowcount > 0


def _valid(owner: Key, id: str) -> ColumnElement[bool]:
    return (api_key.c.project == owner) & (api_key.c.id == id) & api_key.c.revoked_at.is_(None)


def _credentials(conn: Connection, owner: Key, kind: DeviceKind) -> list[Credential]:
    mine = select(credential).where(credential.c.project == owner, credential.c.kind == kind.value)
    return [_credential(row) for row in conn.execute(mine.order_by(credential.c.created_at, credential.c.name))]


def _all_credentials(conn: Connection, owner: Key) -> list[Credential]:
    mine = select(credential).where(credential.c.project == owner)
    return [_credential(row) for row in conn.execute(mine.order_by(credential.c.name, credential.c.kind))]


def _add_credential(conn: Connection, added: Credential) -> bool:
    same_name = select(credential.c.kind).where(credential.c.project == added.project, credential.c.name == added.name)
    if conn.execute(same_name).first() is not None:
        return False
    values = msgspec.structs.asdict(added) | {"kind": added.kind.value}
    statement = upsert(conn, credential).values(values).on_conflict_do_nothing().returning(credential.c.name)
    return conn.execute(statement).first() is not None


def _replace_credential(conn: Connection, changed: Credential, was: bytes | None) -> bool:
    known = _named(changed.project, changed.kind, changed.name)
    if was is not None:
        known &= credential.c.sealed == was
    changes = {"sealed": changed.sealed, "rate": changed.rate}
    return conn.execute(update(credential).where(known).values(changes)).rowcount > 0


def _pace(conn: Connection, named: ColumnElement[bool], messages: int, now: Millis, patience_ms: int) -> Millis:
    """One statement takes the moment, whoever else asks at the same time (GCRA with its state in microseconds)."""
    earliest, latest = now * 1000, (now + patience_ms) * 1000
    start = case((credential.c.paced_until > earliest, credential.c.paced_until), else_=earliest)
    # Rounded up, so that many small chunks are not faster than a large one.
    cost = (literal(messages * 1_000_000, BigInteger) + credential.c.rate - 1) // credential.c.rate
    mine = named & credential.c.rate.is_not(None)
    taken = update(credential).where(mine, credential.c.paced_until <= latest).values(paced_until=start + cost)
    paid = conn.execute(taken.returning(credential.c.paced_until - cost)).scalar()
    if paid is None:
        paid = conn.execute(select(credential.c.paced_until).where(mine)).scalar()
    return now if paid is None else -(-paid // 1000)


def _delete_credential(conn: Connection, owner: Key, kind: DeviceKind, name: str) -> bool:
    return conn.execute(delete(credential).where(_named(owner, kind, name))).rowcount > 0


def _use_web_push_key(conn: Connection, owner: Key, name: str) -> bool:
    if conn.execute(select(credential.c.name).where(_named(owner, DeviceKind.WEBPUSH, name))).first() is None:
        return False
    conn.execute(update(project).where(project.c.key == owner).values(vapid_public_key=name))
    return True


def _named(owner: Key, kind: DeviceKind, name: str) -> ColumnElement[bool]:
    return and_(credential.c.project == owner, credential.c.kind == kind.value, credential.c.name == name)


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        project=row.project,
        kind=DeviceKind(row.kind),
        name=row.name,
        sealed=row.sealed,
        created_at=row.created_at,
        rate=row.rate,
    )


def _project(row: Row[Any]) -> Project:
    return Project(
        key=row.key,
        id=row.id,
        name=row.name,
        settings=_decode_settings(row.settings),
        vapid_public_key=row.vapid_public_key,
        identity_key=row.identity_key,
        created_at=row.created_at,
    )


def _api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        key=row.key,
        id=row.id,
        project=row.project,
        kind=row.kind,
        name=row.name,
        scopes=_decode_scopes(row.scopes),
        hint=row.hint,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
