"""What a project is and has defined, remembered for a few seconds so that the way does not ask for each message."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from clarion.crypto.keys import key_hash, looks_like_key
from clarion.crypto.sealing import Sealer
from clarion.errors import NotFound
from clarion.model import ApiKey, Automation, Category, DeviceKind, Key, Millis, Project, Template
from clarion.ports import Bus, Clock, Store

TOPIC = "catalog"
# A process that missed the word on the bus is wrong for so long at most.
MEMORY_MS = 2_000
MEMORY_ITEMS = 10_000

T = TypeVar("T")


def credential_context(project_id: str, kind: DeviceKind, name: str) -> str:
    """What a sealed credential is bound to, so that it opens in its own place only."""
    return f"credential/{project_id}/{kind}/{name}"


class Catalog:
    """Cached reads by project. Whoever changes something says `changed`, and all processes forget what they knew."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock, bus: Bus) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._bus = bus
        self._known: dict[tuple[Any, ...], tuple[Millis, Any]] = {}
        bus.subscribe(TOPIC, self._told)

    async def project(self, key: Key) -> Project:
        """Raises NotFound."""
        project = await self._remember(("project", key), lambda: self._store.projects.get(key))
        if project is None:
            raise NotFound("the project is gone")
        return project

    async def by_key_text(self, text: str) -> tuple[Project, ApiKey] | None:
        """Whose key this is, unless it is unknown or revoked."""
        if not looks_like_key(text):
            return None
        hashed = key_hash(text)
        key = await self._remember(("key", hashed), lambda: self._store.projects.find_key(hashed))
        if key is None or key.revoked_at is not None:
            return None
        return await self.project(key.project), key

    async def categories(self, project: Key) -> dict[str, Category]:
        """By name."""
        return await self._defined(project, "categories", Category)

    async def templates(self, project: Key) -> dict[str, Template]:
        """By name."""
        return await self._defined(project, "templates", Template)

    async def automations(self, project: Key) -> dict[str, Automation]:
        """By name."""
        return await self._defined(project, "automations", Automation)

    async def secrets(self, project: Project, kind: DeviceKind) -> dict[str, bytes]:
        """The project's unsealed credentials of one kind of push service, by name."""

        async def load() -> dict[str, bytes]:
            return {
                credential.name: self._sealer.open(
                    credential.sealed, credential_context(project.id, kind, credential.name)
                )
                for credential in await self._store.projects.credentials(project.key, kind)
            }

        return await self._remember(("secrets", project.key, kind), load)

    async def changed(self) -> None:
        """Something of a project was changed here: forget, and tell the other processes."""
        self._known.clear()
        await self._bus.publish(TOPIC)

    async def _told(self, _payload: bytes) -> None:
        self._known.clear()

    async def _defined(self, project: Key, kind: str, noun: type[T]) -> dict[str, T]:
        async def load() -> dict[str, T]:
            bodies = await self._store.definitions.all(project, kind)
            return {body["name"]: msgspec.convert(body, noun) for body in bodies}

        return await self._remember((kind, project), load)

    async def _remember(self, what: tuple[Any, ...], load: Callable[[], Awaitable[T]]) -> T:
        now = self._clock.now()
        known = self._known.get(what)
        if known is not None and now - known[0] < MEMORY_MS:
            return known[1]  # type: ignore[no-any-return] # the key says the type
        value = await load()
        if len(self._known) >= MEMORY_ITEMS:
            self._known.clear()
        self._known[what] = (now, value)
        return value
