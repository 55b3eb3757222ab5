"""Broadcasts: versions of things that many devices follow, told to all of them at once and never stored for one."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

import structlog

from clarion.errors import Unavailable
from clarion.gateway.registry import Claimant, Registry
from clarion.ports import Bus, Clock, PushStore
from clarion.wire.autopush import Broadcasts as Answer

log = structlog.get_logger(__name__)

TOPIC = "push.broadcasts"
"""Bus topic: some broadcast has another version."""
MAX_ID = 100
"""Characters of a broadcast's id."""
_MOST_FOLLOWED = 16  # by one device
_MOST_SHARED = 1_000
_LOOK_AGAIN_S = 1.0
_AT_ONCE = 500  # sessions told before the loop may do something else


class Follower(Claimant, Protocol):
    """What broadcasts ask of a session."""

    def announce(self, changed: Mapping[str, str]) -> None:
        """These have another version now; the session knows which of them its device follows."""
        ...


S = TypeVar("S", bound=Follower)


class Broadcasts(Generic[S]):
    """The versions as this process knows them. They are few: all are read again when one has changed."""

    def __init__(self, store: PushStore, bus: Bus, clock: Clock, registry: Registry[S]) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._registry = registry
        self._versions: dict[str, str] = {}
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._reading = asyncio.Lock()  # what was read later must not be overwritten by what was read before

    async def watch(self) -> Callable[[], None]:
        """Tell devices what changes from now on; returns what ends it."""
        stop = self._bus.subscribe(TOPIC, self._look)
        await self._changes()
        return stop

    async def set(self, id: str, version: str) -> None:
        """Durable when it returns. Should the Bus fail, devices learn it from their next hello."""
        await self._store.set_broadcast(id, version, self._clock.now())
        try:
            await self._bus.publish(TOPIC)
        except Exception as error:  # noqa: BLE001 - the Bus may lose what it carries, so it may also fail
            log.warning("broadcast_not_told", error=repr(error))

    def followed(self, wanted: Mapping[str, str]) -> tuple[str, ...] | None:
        """The ids to remember for a device, also of broadcasts that are still to come; many devices share one tuple."""
        ids = tuple(sorted(id for id in wanted if len(id) <= MAX_ID))[:_MOST_FOLLOWED]
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        return self._shared.setdefault(ids, ids) or None

    def answer(self, wanted: Mapping[str, str]) -> Answer:
        """What a device that has these versions does not know yet."""
        known = self._versions
        answer: Answer = {id: known[id] for id, version in wanted.items() if known.get(id, version) != version}
        missing = [id for id in wanted if id not in known]
        return {**answer, "errors": dict.fromkeys(missing, "Broadcast not found")} if missing else answer

    async def _look(self, _: bytes) -> None:
        """Until it has seen: nobody says a second time that there is something new."""
        while True:
            try:
                changed = await self._changes()
                break
            except Unavailable as error:
                log.warning("broadcasts_not_read", error=error.detail)
            await asyncio.sleep(_LOOK_AGAIN_S)
        if changed:
            await self._tell(changed)

    async def _tell(self, changed: Mapping[str, str]) -> None:
        for count, session in enumerate(list(self._registry), 1):
            session.announce(changed)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _changes(self) -> dict[str, str]:
        async with self._reading:
            before, self._versions = self._versions, await self._store.broadcasts()
        return {id: version for id, version in self._versions.items() if before.get(id) != version}
