"""Projects, their keys, credentials and definitions, in memory."""

import msgspec

from clarion.errors import Conflict
from clarion.model import ApiKey, Category, Credential, DeviceKind, Json, Key, Millis, Project, ProjectSettings
from clarion.ports import Page
from clarion.testing.memory.tables import Tables, page, stored


class MemoryProjects:
    """`ports.Projects`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def create(self, id: str, name: str, settings: ProjectSettings, vapid: Credential, now: Millis) -> Project:
        if await self.find(id) is not None:
            raise Conflict(f"id: there is a project {id!r} already")
        project = Project(
            key=next(self._tables.keys),
            id=id,
            name=name,
            settings=settings,
            vapid_public_key=vapid.name,
            identity_key=None,
            created_at=now,
        )
        self._tables.projects[project.key] = project
        await self.add_credential(msgspec.structs.replace(vapid, project=project.key))
        self._tables.definitions[project.key, "categories", "general"] = msgspec.to_builtins(Category(name="general"))
        return project

    async def get(self, key: Key) -> Project | None:
        return self._tables.projects.get(key)

    async def find(self, id: str) -> Project | None:
        return next((project for project in self._tables.projects.values() if project.id == id), None)

    async def all(self) -> list[Project]:
        return list(self._tables.projects.values())

    async def update(self, project: Project) -> None:
        known = self._tables.projects[project.key]
        self._tables.projects[project.key] = msgspec.structs.replace(
            known, name=project.name, settings=project.settings, identity_key=project.identity_key
        )

    async def add_key(self, key: ApiKey, hash: bytes) -> ApiKey:
        saved = msgspec.structs.replace(key, key=next(self._tables.keys))
        self._tables.api_keys[hash] = saved
        return saved

    async def find_key(self, hash: bytes) -> ApiKey | None:
        return self._tables.api_keys.get(hash)

    async def keys(self, project: Key) -> list[ApiKey]:
        return [key for key in self._tables.api_keys.values() if key.project == project]

    async def change_key(self, project: Key, id: str, name: str, scopes: list[str]) -> ApiKey | None:
        return self._replace(project, id, name=name, scopes=scopes)

    async def revoke_key(self, project: Key, id: str, now: Millis) -> bool:
        return self._replace(project, id, revoked_at=now) is not None

    def _replace(self, project: Key, id: str, **changes: object) -> ApiKey | None:
        """The key after the change; None when it is unknown or revoked."""
        for hash_, key in self._tables.api_keys.items():
            if (key.project, key.id) == (project, id) and key.revoked_at is None:
                changed = self._tables.api_keys[hash_] = msgspec.structs.replace(key, **changes)
                return changed
        return None

    async def credentials(self, project: Key, kind: DeviceKind) -> list[Credential]:
        return [row for row in self._tables.credentials.values() if (row.project, row.kind) == (project, kind)]

    async def all_credentials(self, project: Key) -> list[Credential]:
        mine = [row for row in self._tables.credentials.values() if row.project == project]
        return sorted(mine, key=lambda row: (row.name, row.kind))

    async def add_credential(self, credential: Credential) -> bool:
        if any(row.name == credential.name for row in await self.all_credentials(credential.project)):
            return False
        self._tables.credentials[credential.project, credential.kind, credential.name] = credential
        return True

    async def replace_credential(self, credential: Credential, was: bytes | None = None) -> bool:
        place = (credential.project, credential.kind, credential.name)
        known = self._tables.credentials.get(place)
        if known is None or was not in (None, known.sealed):
            return False
        self._tables.credentials[place] = msgspec.structs.replace(known, sealed=credential.sealed, rate=credential.rate)
        return True

    async def pace(
        self, project: Key, kind: DeviceKind, name: str, messages: int, now: Millis, patience_ms: int
    ) -> Millis:
        place = (project, kind, name)
        known = self._tables.credentials.get(place)
        if known is None or known.rate is None:
            return now
        start = max(self._tables.paced_until.get(place, 0), now * 1000)
        if start <= (now + patience_ms) * 1000:
            self._tables.paced_until[place] = start + -(-messages * 1_000_000 // known.rate)
        return -(-start // 1000)

    async def delete_credential(self, project: Key, kind: DeviceKind, name: str) -> bool:
        return self._tables.credentials.pop((project, kind, name), None) is not None

    async def use_web_push_key(self, project: Key, name: str) -> bool:
        if (project, DeviceKind.WEBPUSH, name) not in self._tables.credentials:
            return False
        known = self._tables.projects[project]
        self._tables.projects[project] = msgspec.structs.replace(known, vapid_public_key=name)
        return True


class MemoryDefinitions:
    """`ports.Definitions`."""

    def __init__(self, tables: Tables) -> None:
        self._definitions = tables.definitions

    async def add(self, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:
        return (project, kind, name) not in self._definitions and await self.put(project, kind, name, body, now)

    async def put(self, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:  # noqa: ARG002 - the port's
        new = (project, kind, name) not in self._definitions
        self._definitions[project, kind, name] = stored(body, Json)
        return new

    async def get(self, project: Key, kind: str, name: str) -> Json | None:
        return self._definitions.get((project, kind, name))

    async def all(self, project: Key, kind: str) -> list[Json]:
        """By name."""
        return [body for key, body in sorted(self._definitions.items(), key=_by_key) if key[:2] == (project, kind)]

    async def page(self, project: Key, kind: str, cursor: str | None, limit: int) -> Page[Json]:
        return page(await self.all(project, kind), cursor, limit)

    async def delete(self, project: Key, kind: str, name: str) -> bool:
        return self._definitions.pop((project, kind, name), None) is not None


def _by_key(row: tuple[tuple[Key, str, str], Json]) -> tuple[Key, str, str]:
    return row[0]
