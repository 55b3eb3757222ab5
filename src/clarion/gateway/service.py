"""Our push service as one part: what bootstrap builds, starts and mounts."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clarion.config import Settings
from clarion.crypto.android import AndroidIds
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.signing import Signer
from clarion.crypto.vapid import VapidVerifier
from clarion.gateway import matrix
from clarion.gateway.acks import Acknowledgements
from clarion.gateway.asgi import App, EndpointApp
from clarion.gateway.broadcasts import Broadcasts
from clarion.gateway.endpoint import Limits, PushEndpoint
from clarion.gateway.extract import Extractor
from clarion.gateway.gcm.apps import ORIGINS as GOOGLE
from clarion.gateway.gcm.apps import SEND_PATH
from clarion.gateway.gcm.connection import McsServer
from clarion.gateway.gcm.http import PATH as GCM_PATH
from clarion.gateway.gcm.http import GcmApp
from clarion.gateway.matrix import MatrixApp
from clarion.gateway.node import Node
from clarion.gateway.presence import Presence
from clarion.gateway.registry import Registry
from clarion.gateway.router import Router, topic_of
from clarion.gateway.session import Session
from clarion.gateway.tasks import Tasks
from clarion.gateway.websocket import SocketServer
from clarion.ports import Bus, Clock, HttpRequest, HttpResponse, PushStore

CAPACITY = 200_000
"""Sockets that one process takes; past that, devices are sent to come again."""
_FINISH_S = 5.0


class Gateway:
    """A gateway node. Constructed without `start` it accepts messages and leaves the sockets to other processes."""

    def __init__(
        self,
        settings: Settings,
        store: PushStore,
        bus: Bus,
        clock: Clock,
        tokens: EndpointTokens,
        signer: Signer,
        ids: AndroidIds,
        *,
        capacity: int = CAPACITY,
        limits: Limits | None = None,
    ) -> None:
        tasks = Tasks()
        registry: Registry[Session] = Registry(capacity)
        self._broadcasts = Broadcasts(store, bus, clock, registry)
        self._settings = settings
        self._bus = bus
        self._node = Node(
            store=store,
            clock=clock,
            tokens=tokens,
            origin=settings.endpoint_origin,
            message_limit=settings.push_message_limit,
            registry=registry,
            acks=Acknowledgements(store, tasks),
            tasks=tasks,
            broadcasts=self._broadcasts,
        )
        self._presence = Presence(self._node)
        self._router = Router(self._node, bus)
        origin = settings.endpoint_origin
        extractor = Extractor(tokens, VapidVerifier(origin), signer, VapidVerifier(origin, also=GOOGLE))
        self._endpoint = PushEndpoint(self._node, extractor, self._router, limits)
        self._sockets = SocketServer(self._node, capacity, settings.push_ping_interval, settings.push_ping_timeout)
        self._browsers = McsServer(self._node, ids, capacity, settings.push_ping_interval, settings.push_ping_timeout)
        self._subscriptions: list[Callable[[], None]] = []
        self.endpoint_app = EndpointApp(self._endpoint)
        self.mounts: dict[str, App] = {
            "/wpush/": self.endpoint_app,
            "/m/": self.endpoint_app,
            SEND_PATH: self.endpoint_app,
            matrix.PATH: MatrixApp(self._endpoint),
        }
        self.gcm_app = GcmApp(self._node, ids, settings.gcm_url, settings.http_origin, limits and limits.by_address)
        if settings.gcm:
            self.mounts[GCM_PATH] = self.gcm_app
        self.port: int | None = None
        self.gcm_port: int | None = None

    async def start(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        tls: Mapping[str, Any] | None = None,
        gcm_tls: Mapping[str, Any] | None = None,
    ) -> int:
        """Listen for devices, and with `gcm_tls` for Chromium; the port, which the system chooses when 0 is given.

        `tls`: what `create_server` takes to listen with TLS.
        """
        self._subscriptions.append(self._bus.subscribe(topic_of(self._node.id), self._router.on_bus))
        self._subscriptions.append(await self._broadcasts.watch())
        await self._presence.start()
        wanted = self._settings.push_port if port is None else port
        self.port = await self._sockets.start(host or self._settings.host, wanted, tls or {})
        if gcm_tls is not None:
            self.gcm_port = await self._browsers.start(host or self._settings.host, self._settings.gcm_port, gcm_tls)
        return self.port

    async def accept(self, requests: Sequence[HttpRequest], address: str | None = None) -> list[HttpResponse]:
        """Requests to the push endpoint, answered in order without HTTP; without an address from our own sender."""
        return await self._endpoint.accept(requests, address)

    def issued(self, origin: str, path: str) -> bool:
        """Whether an address at Google's is one that we gave to a Chromium. Needs no look-up."""
        # Google's own tokens hold a colon, which ours cannot: nearly all are known by it.
        if origin not in GOOGLE or ":" in path or not path.startswith(SEND_PATH):
            return False
        return self._node.tokens.read("gcm", path.removeprefix(SEND_PATH)) is not None

    def connected(self, uaid: str) -> bool:
        """Whether this node holds the device's socket."""
        return self._presence.is_here(bytes.fromhex(uaid))

    async def presence(self, addresses: Sequence[str | None]) -> list[bool | None]:
        """See `ports.PushService`."""
        return await self._presence.of(addresses)

    async def broadcasts(self) -> dict[str, str]:
        """See `ports.PushService`."""
        return await self._node.store.broadcasts()

    async def set_broadcast(self, id: str, version: str) -> None:
        """See `ports.PushService`."""
        await self._broadcasts.set(id, version)

    async def close(self) -> None:
        """Send the devices away, and finish what they had said."""
        while self._subscriptions:
            self._subscriptions.pop()()
        await self._presence.stop()
        await asyncio.gather(self._sockets.close(), self._browsers.close())
        await self._node.acks.finish()
        await self._node.tasks.finish(_FINISH_S)
