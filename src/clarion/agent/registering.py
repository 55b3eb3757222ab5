"""Keeps the server's picture of this device true: a channel at the push service, and its address told to the server."""

import asyncio
from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec
import structlog

from clarion.agent import desktop
from clarion.agent.backoff import Backoff
from clarion.agent.connection import Connection
from clarion.agent.options import Options
from clarion.agent.server import Config, Device, Server
from clarion.agent.state import State
from clarion.errors import Unauthenticated, Unavailable

log = structlog.get_logger(__name__)


class Registering:
    """Says something only when something changed: a new address, key, user, language, version."""

    def __init__(self, options: Options, state: State, server: Server, backoff: Backoff) -> None:
        self._options = options
        self._state = state
        self._server = server
        self._backoff = backoff

    async def keep(self, line: Connection, config: Config) -> None:
        """Returns when push service and server know this device as it is. Raises ClarionError for a refusal."""
        old_channel = await self._subscribe(line, config)
        await self._tell()
        if old_channel is not None:
            await line.unregister(old_channel)

    async def _subscribe(self, line: Connection, config: Config) -> str | None:
        """A channel for the project's key; the one that it replaces. Raises Lost."""
        kept = self._state.kept
        if kept.uaid != line.uaid:  # the push service does not know us (any more): all channels are gone
            self._state.keep(uaid=None, channel_id=None, channel_vapid=None, endpoint=None)
            kept = self._state.kept
        elif kept.endpoint is not None and kept.channel_vapid == config.vapid_public_key:
            return None
        channel_id = str(uuid4())
        endpoint = await line.register(channel_id, config.vapid_public_key)
        self._state.keep(
            uaid=line.uaid, channel_id=channel_id, channel_vapid=config.vapid_public_key, endpoint=endpoint
        )
        log.info("subscribed")
        return kept.channel_id

    async def _tell(self) -> None:
        kept = self._state.kept
        if kept.told == self._digest():
            return
        body = self._body()
        if kept.told_endpoint not in (None, kept.endpoint):
            body["previous_address"] = kept.told_endpoint
        device = await self._persistently(body)
        self._state.keep(
            told_endpoint=kept.endpoint,
            device_id=device.id,
            user_id=device.user_id,
            user_token=device.user_token or (self._state.kept.user_token if self._anonymous else None),
        )
        self._state.keep(told=self._digest())
        log.info("registered", device=device.id, user=device.user_id)

    async def _persistently(self, body: dict[str, Any]) -> Device:
        """Again and again while the server is away; the socket stays open meanwhile."""
        while True:
            try:
                device = await self._server.register(body, self._who())
            except Unavailable as error:
                wait = self._backoff.next(error.retry_after)
                log.warning("not_registered", why=error.detail, again_in_s=round(wait, 1))
                await asyncio.sleep(wait)
            except Unauthenticated:
                if self._state.kept.user_token is None:
                    raise
                # The anonymous user was merged elsewhere or erased, and its secret is worth nothing: begin anew.
                self._state.keep(user_token=None)
            else:
                self._backoff.reset()
                return device

    def _digest(self) -> str:
        """Of all that the server is told, to see whether it would be anything new."""
        return sha256(msgspec.json.encode([self._body(), self._who()], order="sorted")).hexdigest()

    @property
    def _anonymous(self) -> bool:
        return self._options.token is None and self._options.user is None

    def _who(self) -> dict[str, str]:
        """The headers that say who the user is, and who the device was before a login."""
        own = self._state.kept.user_token
        named = self._options.token or self._options.user
        told = {"Clarion-User": named or own, "Clarion-Anonymous": own if named else None}
        return {name: value for name, value in told.items() if value is not None}

    def _body(self) -> dict[str, Any]:
        kept = self._state.kept
        return {
            "kind": "webpush",
            "address": kept.endpoint,
            "vapid_public_key": kept.channel_vapid,
            **kept.receiver.keys(),
            "permission": "granted",
            "installation": kept.installation,
            **desktop.facts(),
        }
