"""The HTTP port: uvicorn within our own event loop."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn

from clarion.api.http import App
from clarion.api.protocol import protocol_of
from clarion.config import Settings


def _nothing() -> None:
    """Nobody waits for it."""


class HttpServer(uvicorn.Server):
    """Answers with an app until the process is told to end; says when it listens and when it begins to end."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        tls: Mapping[str, Any],
        ready: Callable[[], None] = _nothing,
        ending: Callable[[], None] = _nothing,
    ) -> None:
        """`tls`: what `create_server` takes for TLS, if anything. `ending` lets go of answers that would never end."""
        super().__init__(_config(app, settings))
        self._tls = tls
        self._ready = ready
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - we bring our own
        # Uvicorn's own can neither limit the time of a TLS handshake nor take a context as it is.
        config = self.config
        listening = await asyncio.get_running_loop().create_server(
            self._protocol, config.host, config.port, backlog=config.backlog, **self._tls
        )
        self.servers = [listening]
        self.started = True
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state={})


def _config(app: App, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol_of(settings.http_origin),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        # The caller's address from X-Forwarded-For, as far as the hops that told it are ours.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        # A request that hangs keeps the server from ending no longer than this.
        timeout_graceful_shutdown=3,
    )
