"""Chromium's connection: MCS frames in and out of a session, over TLS."""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import structlog

from clarion.crypto.android import AndroidIds
from clarion.gateway import metrics
from clarion.gateway.gcm import mcs
from clarion.gateway.gcm.apps import App
from clarion.gateway.gcm.mcs import FrameReader, NotMcs, Packet, Tag
from clarion.gateway.node import Node
from clarion.gateway.session import Session
from clarion.model import Key
from clarion.ports import PushMessage
from clarion.wire.autopush import HELLO_TIMEOUT_S, Ack, CloseCode, Hello, ServerMessage, Update, Welcome

log = structlog.get_logger(__name__)

CLOSE_GRACE_S = 2.0
"""For the browser to take our last words."""
_UNAUTHORIZED = 401
_HEADERS = {"encoding": "content-encoding", "encryption": "encryption", "crypto_key": "crypto-key"}
"""Of `PushMessage.headers`, as Chromium calls them."""
_PROTOCOL_ERRORS = {CloseCode.PROTOCOL: "protocol-error", CloseCode.TOO_BIG: "policy-violation"}


class McsConnection(asyncio.Protocol):
    """One browser: the session's outlet, its stream ids, and its time limits."""

    __slots__ = (
        "_closing",
        "_confirmed",
        "_connected_at",
        "_greeted",
        "_heard_at",
        "_login",
        "_outstanding",
        "_paused",
        "_pinged",
        "_reader",
        "_received",
        "_sent",
        "_server",
        "_session",
        "_timer",
        "_transport",
    )

    def __init__(self, server: "McsServer") -> None:
        self._server = server
        self._session = Session(server.node, self, proven=True)
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._login: mcs.Login | None = None
        self._outstanding: deque[tuple[int, str, Key]] = deque()  # stream id, channel and key, in the order sent
        self._sent = self._received = self._confirmed = 0  # stream ids
        self._heard_at = self._connected_at = 0.0
        self._greeted = self._paused = self._pinged = self._closing = False

    # --- the session's outlet ---

    def send(self, message: ServerMessage) -> None:
        """Of what a session says besides messages, only the welcome has a word here."""
        if isinstance(message, Welcome) and self._login is not None:
            self._write(Tag.LOGIN_RESPONSE, mcs.login_response(self._login.id, self._server.node.clock.now()))

    def push(self, message: PushMessage, key: Key | None) -> None:
        if message.app is None:  # a channel of another protocol: a browser cannot have one
            return
        app = App.of(message.app)
        data = {"subtype": app.subtype} if app.subtype else {}
        data |= {_HEADERS[name]: value for name, value in message.headers.items()}
        left_ms = max(0, message.expires_at - self._server.node.clock.now())
        stanza = mcs.data_message(
            app.category,
            app.sender,
            data,
            message.data,
            persistent_id=None if key is None else str(key),
            ttl_s=left_ms // 1000,
            sent_ms=message.sent_at,
        )
        self._write(Tag.DATA_MESSAGE, stanza)
        if key is not None:
            self._outstanding.append((self._sent, message.channel_id, key))

    def close(self, code: CloseCode, reason: str) -> None:
        if self._transport is None or self._closing:
            return
        if code in _PROTOCOL_ERRORS:
            self._write(Tag.STREAM_ERROR, mcs.stream_error(_PROTOCOL_ERRORS[code], reason))
        else:
            self._write(Tag.CLOSE)
        self._closing = True
        self._transport.close()
        self._in_seconds(CLOSE_GRACE_S)

    def has_room(self) -> bool:
        return not self._paused

    def _write(self, tag: Tag, message: bytes = b"") -> None:
        if self._transport is None or self._closing:
            return
        self._sent += 1
        confirms = self._confirms() if tag in mcs.CONFIRMING else 0
        out = mcs.frame(tag, message, confirms)
        if not self._greeted:
            self._greeted = True
            out = bytes([mcs.VERSION]) + out
        self._transport.write(out)

    def _confirms(self) -> int:
        """The stream id up to which all is done. The browser forgets then, so acks must be in the store before."""
        if self._session.settled:
            self._confirmed = self._received
        return self._confirmed

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all of the methods and none of the base classes.
        self._transport = cast("asyncio.Transport", transport)
        if not self._server.connected(self):
            self.cut()
            return
        self._connected_at = self._server.now()
        self._in_seconds(min(HELLO_TIMEOUT_S, self._server.ping_interval))

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            for tag, message in self._reader.feed(data):
                self._on_frame(tag, message)
        except NotMcs as error:
            self._session.close(CloseCode.TOO_BIG if error.too_big else CloseCode.PROTOCOL, str(error))
        except Exception:
            log.exception("frame_failed")
            self._session.close(CloseCode.ERROR, "the server could not do this; come back later")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._outstanding.clear()
        if self._server.disconnected(self):
            self._session.disconnected()
        # The session knows us: without this only a full collection would free the two.
        del self._session

    def pause_writing(self) -> None:
        # Nothing is read either, so that who sends pings and takes no answers cannot fill our memory with them.
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()
            self._session.poke()

    # --- frames ---

    def _on_frame(self, tag: Tag, message: bytes) -> None:
        self._heard_at = self._server.now()
        self._pinged = False
        self._received += 1
        if self._login is None:
            self._on_login(tag, message)
        elif tag is Tag.CLOSE:
            self._hang_up()
        elif tag is Tag.LOGIN_REQUEST:
            raise NotMcs("the login was before")
        else:
            self._on_packet(mcs.parse_packet(tag, message))

    def _on_login(self, tag: Tag, message: bytes) -> None:
        if tag is not Tag.LOGIN_REQUEST:
            raise NotMcs("the first message must be a login")
        login = self._login = mcs.parse_login(message)
        known = self._server.ids.prove(login.android_id, login.security_token)
        if known is None:
            metrics.HELLOS.labels("refused").inc()
            log.info("gcm_login_refused")
            self._write(
                Tag.LOGIN_RESPONSE, mcs.login_error(login.id, _UNAUTHORIZED, "user and auth token do not match")
            )
            self._session.close(CloseCode.ERROR, "user and auth token do not match")
            return
        self._session.receive(Hello(uaid=known.uaid().hex()))
        if login.received:
            self._session.receive(Ack(updates=[Update(channel_id="", version=each) for each in login.received]))

    def _on_packet(self, packet: Packet) -> None:
        if packet.tag is Tag.HEARTBEAT_PING:
            self._write(Tag.HEARTBEAT_ACK)
        acknowledged = [Update(channel_id="", version=each) for each in packet.received]
        while self._outstanding and self._outstanding[0][0] <= packet.last_received:
            _, channel_id, key = self._outstanding.popleft()
            acknowledged.append(Update(channel_id=channel_id, version=str(key)))
        if acknowledged:
            self._session.receive(Ack(updates=acknowledged))

    # --- time ---

    def _in_seconds(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        """Look what is due."""
        server = self._server
        if self._closing:
            self.cut()
        elif not self._session.identified:
            self._await_login(server.now() - self._connected_at)
        elif (silent := server.now() - self._heard_at) < server.ping_interval:
            self._in_seconds(server.ping_interval - silent)
        elif self._pinged:
            self._session.close(CloseCode.ERROR, "no answer to a heartbeat")
        else:
            self._pinged = True
            self._write(Tag.HEARTBEAT_PING)
            self._in_seconds(server.ping_timeout)

    def _await_login(self, waited: float) -> None:
        if waited < HELLO_TIMEOUT_S:
            self._in_seconds(HELLO_TIMEOUT_S - waited)
        else:
            self._session.close(CloseCode.ERROR, f"no login within {HELLO_TIMEOUT_S} s")

    def _hang_up(self) -> None:
        """The browser goes."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()
            self._in_seconds(CLOSE_GRACE_S)

    def cut(self) -> None:
        """Drop the connection as it is."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """The server stops: say so. The browser comes back by itself."""
        self.close(CloseCode.GOING_AWAY, "the server restarts")


class McsServer:
    """Listens for browsers. `ping_interval` and `ping_timeout` in seconds; at most `capacity` connections."""

    def __init__(self, node: Node, ids: AndroidIds, capacity: int, ping_interval: float, ping_timeout: float) -> None:
        self.node = node
        self.ids = ids
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self._capacity = capacity
        self._connections: set[McsConnection] = set()
        self._closing = False
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: Mapping[str, Any]) -> int:
        """Listen; the port, which the system chooses when 0 is given. `tls`: what `create_server` takes for it."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: McsConnection(self),
            host,
            port,
            backlog=1024,
            **tls,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and send everybody away; those that do not answer are cut off."""
        self._closing = True
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.leave()
        if self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), CLOSE_GRACE_S)
        for connection in list(self._connections):
            connection.cut()

    # --- what connections need ---

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        return asyncio.get_running_loop().time()

    def connected(self, connection: McsConnection) -> bool:
        """TLS is up; False when there is no place."""
        if self._closing or len(self._connections) >= self._capacity:
            return False
        self._connections.add(connection)
        metrics.CONNECTIONS.inc()
        return True

    def disconnected(self, connection: McsConnection) -> bool:
        """A socket is gone; False when we are the ones who go, and nobody needs to be told."""
        if connection in self._connections:
            self._connections.discard(connection)
            metrics.CONNECTIONS.dec()
        if self._closing and not self._connections:
            self._empty.set()
        return not self._closing
