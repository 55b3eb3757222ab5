"""Our push service as one part: what bootstrap builds, starts and mounts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clarion.config import Settings
from clarion.crypto.endpoints import EndpointTokens
from clarion.crypto.signing import Signer
from clarion.crypto.vapid import VapidVerifier
from clarion.gateway.acks import Acknowledgements
from clarion.gateway.asgi import EndpointApp
from clarion.gateway.endpoint import PushEndpoint
from clarion.gateway.extract import Extractor
from clarion.gateway.node import Node
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
        *,
        capacity: int = CAPACITY,
    ) -> None:
        tasks = Tasks()
        registry: Registry[Session] = Registry(capacity)
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
        )
        self._router = Router(self._node, bus)
        extractor = Extractor(tokens, VapidVerifier(settings.endpoint_origin), signer)
        self._endpoint = PushEndpoint(self._node, extractor, self._router)
        self._sockets = SocketServer(self._node, capacity, settings.push_ping_interval, settings.push_ping_timeout)
        self._unsubscribe: Callable[[], None] | None = None
        self.endpoint_app = EndpointApp(self._endpoint)
        self.port: int | None = None

    async def start(
        self, host: str | None = None, port: int | None = None, *, tls: Mapping[str, Any] | None = None
    ) -> int:
        """Listen for devices; the port, which the system chooses when 0 is given.

        `tls`: what `create_server` takes to listen with TLS.
        """
        self._unsubscribe = self._bus.subscribe(topic_of(self._node.id), self._router.on_bus)
        wanted = self._settings.push_port if port is None else port
        self.port = await self._sockets.start(host or self._settings.host, wanted, tls or {})
        return self.port

    async def accept(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]:
        """Requests to the push endpoint, answered in order without HTTP: for the local transport."""
        return await self._endpoint.accept(requests)

    def connected(self, uaid: str) -> bool:
        """Whether this node holds the device's socket."""
        session = self._node.registry.get(bytes.fromhex(uaid))
        return session is not None and session.identified

    async def close(self) -> None:
        """Send the devices away, and finish what they had said."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        await self._sockets.close()
        await self._node.tasks.finish(_FINISH_S)
