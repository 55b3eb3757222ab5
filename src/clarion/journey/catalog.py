"""What a project is and has defined, remembered for a few seconds so that the way does not ask for each message."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec

from clarion.crypto.keys import key_hash, looks_like_key
from clarion.crypto.sealing import Sealer
from clarion.errors import NotFound
from clarion.journey.automations import kept_automations
from clarion.journey.automations.flow import Flow
from clarion.journey.texts import versions
from clarion.journey.texts.wordings import every
from clarion.journey.texts.words import version_key
from clarion.model import (
    ApiKey,
    Automation,
    Category,
    DeviceKind,
    Key,
    Message,
    Millis,
    Partial,
    Project,
    Segment,
    Template,
    Topic,
)
from clarion.ports import Bus, Clock, Store

TOPIC = "catalog"
# A process that missed the word on the bus is wrong for so long at most.
MEMORY_MS = 2_000
MEMORY_ITEMS = 10_000

T = TypeVar("T")


def credential_context(project_id: str, kind: DeviceKind, name: str) -> str:
    """What a sealed credential is bound to, so that it opens in its own place only."""
    return f"credential/{project_id}/{kind}/{name}"


def identity_context(project: Key) -> str:
    """What a project's sealed identity secret is bound to."""
    return f"project/{project}/identity"


class Keys(NamedTuple):
    """The credentials of one kind by name: unsealed, and how many messages a second may go out with them."""

    secrets: dict[str, bytes]
    rates: dict[str, int]


class Catalog:
    """Cached reads by project. Whoever changes something says `changed`, and all processes forget what they knew."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock, bus: Bus) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._bus = bus
        self._known: dict[tuple[Any, ...], tuple[Millis, Any]] = {}
        self._changes = 0
        bus.subscribe(TOPIC, self._told)

    async def project(self, key: Key) -> Project:
        """Raises NotFound."""
        project: Project | None = self._fresh(("project", key))
        if project is None:
            changes = self._changes
            project = self._keep(("project", key), await self._store.projects.get(key), changes)
        if project is None:
            raise NotFound("the project is gone")
        return project

    async def by_key_text(self, text: str) -> tuple[Project, ApiKey] | None:
        """Whose key this is, unless it is unknown or revoked."""
        found: tuple[Project, ApiKey] | None = self._fresh(("key", text))
        if found is not None:
            return found
        changes = self._changes
        key = await self._store.projects.find_key(key_hash(text)) if looks_like_key(text) else None
        if key is None or key.revoked_at is not None:
            return None
        return self._keep(("key", text), (await self.project(key.project), key), changes)

    async def by_key(self, project: Key, key: Key) -> tuple[Project, ApiKey] | None:
        """A key of a project as it is now, unless it is unknown or revoked."""
        found: tuple[Project, ApiKey] | None = self._fresh(("live key", project, key))
        if found is not None:
            return found
        changes = self._changes
        every = await self._store.projects.keys(project)
        live = next((one for one in every if one.key == key and one.revoked_at is None), None)
        if live is None:
            return None
        return self._keep(("live key", project, key), (await self.project(project), live), changes)

    async def categories(self, project: Key) -> dict[str, Category]:
        """By name."""
        return await self._defined(project, "categories", Category)

    async def templates(self, project: Key) -> dict[str, Template]:
        """By name."""
        return await self._defined(project, "templates", Template)

    async def templates_for(self, project: Key, messages: Iterable[Message]) -> dict[str, Template]:
        """By name, and beside them the versions that these messages name, where they exist: see `words.template_of`."""
        templates = await self.templates(project)
        said = (one for message in messages for one in every(message))
        wanted = {(one.template, one.template_version) for one in said if one.template_version is not None}
        pinned = dict[str, Template]()
        for name, version in wanted:
            found = await self._version(project, name, version) if name is not None and version is not None else None
            if found is not None:
                pinned[version_key(found.name, found.version)] = found
        return {**templates, **pinned} if pinned else templates

    async def _version(self, project: Key, name: str, version: int) -> Template | None:
        what = ("version", project, name, version)
        known: Template | None = self._fresh(what)
        if known is not None:
            return known
        changes = self._changes
        return self._keep(what, await versions.read(self._store.definitions, project, name, version), changes)

    async def partials(self, project: Key) -> dict[str, Partial]:
        """By name."""
        return await self._defined(project, "partials", Partial)

    async def automations(self, project: Key) -> dict[str, Automation]:
        """By name."""
        return await self._defined(project, "automations", Automation)

    async def flows(self, project: Key) -> dict[str, Flow]:
        """Of the automations that have steps, as they are now, by name."""
        known: dict[str, Flow] | None = self._fresh(("flows", project))
        if known is not None:
            return known
        changes = self._changes
        automations = await self.automations(project)
        found = {name: Flow(one) for name, one in automations.items() if one.steps is not None}
        return self._keep(("flows", project), found, changes)

    async def flow(self, project: Key, name: str, version: int) -> Flow | None:
        """A version of an automation; None when there is none."""
        newest = (await self.flows(project)).get(name)
        if newest is not None and newest.automation.version == version:
            return newest
        what = ("flow", project, name, version)
        known: Flow | None = self._fresh(what)
        if known is not None:
            return known
        changes = self._changes
        kept = await kept_automations.read(self._store.definitions, project, name, version)
        return self._keep(what, None if kept is None else Flow(kept), changes)

    async def segments(self, project: Key) -> dict[str, Segment]:
        """By name."""
        return await self._defined(project, "segments", Segment)

    async def topics(self, project: Key) -> dict[str, Topic]:
        """By name."""
        return await self._defined(project, "topics", Topic)

    async def secrets(self, project: Project, kind: DeviceKind) -> dict[str, bytes]:
        """The project's unsealed credentials of one kind of push service, by name."""
        return (await self.keys(project, kind)).secrets

    async def keys(self, project: Project, kind: DeviceKind) -> Keys:
        """The same, with the rates of those that have one."""
        known: Keys | None = self._fresh(("keys", project.key, kind))
        if known is not None:
            return known
        changes = self._changes
        stored = await self._store.projects.credentials(project.key, kind)
        opened = {
            each.name: self._sealer.open(each.sealed, credential_context(project.id, kind, each.name))
            for each in stored
        }
        rates = {each.name: each.rate for each in stored if each.rate is not None}
        return self._keep(("keys", project.key, kind), Keys(opened, rates), changes)

    async def changed(self) -> None:
        """Something of a project was changed here: forget, and tell the other processes."""
        self._forget()
        await self._bus.publish(TOPIC)

    async def _told(self, _payload: bytes) -> None:
        self._forget()

    def _forget(self) -> None:
        self._known.clear()
        self._changes += 1

    async def _defined(self, project: Key, kind: str, noun: type[T]) -> dict[str, T]:
        known: dict[str, T] | None = self._fresh((kind, project))
        if known is not None:
            return known
        changes = self._changes
        bodies = await self._store.definitions.all(project, kind)
        return self._keep((kind, project), {body["name"]: msgspec.convert(body, noun) for body in bodies}, changes)

    def _fresh(self, what: tuple[Any, ...]) -> Any:
        known = self._known.get(what)
        return known[1] if known is not None and self._clock.now() - known[0] < MEMORY_MS else None

    def _keep(self, what: tuple[Any, ...], value: T, changes: int) -> T:
        """Remember, unless something changed since the reading began: it may have read what was before."""
        if changes == self._changes:
            if len(self._known) >= MEMORY_ITEMS:
                self._known.clear()
            self._known[what] = (self._clock.now(), value)
        return value
