"""Who is connected: a node knows its own sockets; of others the store tells, while they give signs of life."""

import asyncio
from collections.abc import Sequence

import structlog

from clarion.gateway.gcm.apps import path_at_google
from clarion.gateway.node import Node

log = structlog.get_logger(__name__)

BEAT_S = 5.0
"""Seconds between a node's signs of life."""
BELIEVED_MS = 20_000
"""A node that was silent for so long has died: nobody is connected to it."""


class Presence:
    """Beats while this node holds sockets; answers in any process."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Give signs of life from now on."""
        await self._node.store.beat(self._node.id, self._node.clock.now())
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        """Say that this node holds nobody any more."""
        if self._beating is None:
            return
        self._beating.cancel()
        await asyncio.wait([self._beating])
        self._beating = None
        try:
            await self._node.store.ended(self._node.id)
        except Exception as error:  # noqa: BLE001 - its silence will tell the same
            log.warning("end_not_noted", error=repr(error))

    async def of(self, addresses: Sequence[str | None]) -> list[bool | None]:
        """See `ports.PushService.presence`."""
        names = [self._uaid(address) for address in addresses]
        here = {uaid for uaid in names if uaid is not None and self.is_here(uaid)}
        elsewhere = [uaid.hex() for uaid in names if uaid is not None and uaid not in here]
        since = self._node.clock.now() - BELIEVED_MS
        connected = await self._node.store.connected(elsewhere, since) if elsewhere else set()
        return [None if uaid is None else uaid in here or uaid.hex() in connected for uaid in names]

    def is_here(self, uaid: bytes) -> bool:
        """Whether this node holds the device's socket."""
        session = self._node.registry.get(uaid)
        return session is not None and session.identified

    def _uaid(self, address: str | None) -> bytes | None:
        if address is None:
            return None
        match (path_at_google(address) or address.removeprefix(self._node.origin)).split("/"):
            case ["", "wpush", ("v1" | "v2") as version, token]:
                endpoint = self._node.tokens.read(version, token)
            case ["", "fcm", "send", token]:
                endpoint = self._node.tokens.read("gcm", token)
            case _:
                return None
        return endpoint.uaid if endpoint else None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._node.store.beat(self._node.id, self._node.clock.now())
            except Exception as error:  # noqa: BLE001 - the next one may get through
                log.warning("beat_not_noted", error=repr(error))
