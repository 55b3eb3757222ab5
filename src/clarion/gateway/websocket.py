"""The sockets that devices hold open: picows frames in and out of sessions, and one wheel of timers for all.

A hundred thousand of these live in a process, so a connection is a `Listener` with slots and a session, nothing more.
"""

import asyncio
import logging
import math
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from multidict import CIMultiDict
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from clarion.gateway import metrics
from clarion.gateway.collector import Collector
from clarion.gateway.identified import notification
from clarion.gateway.node import Node
from clarion.gateway.session import Session
from clarion.gateway.wheel import TimerWheel
from clarion.model import Key
from clarion.ports import PushMessage
from clarion.wire.autopush import (
    HELLO_TIMEOUT_S,
    SUBPROTOCOL,
    CloseCode,
    NotAMessage,
    ServerMessage,
    encode_into,
    parse_client,
)

log = structlog.get_logger(__name__)

MAX_MESSAGE = 64 * 1024
"""Bytes of one message from a device, fragments together."""
CLOSE_GRACE_S = 2.0
"""For the device's half of the closing handshake."""
_READ_BUFFER = 2048  # picows' least; it grows for who sends more
_RECEIVE_WINDOW = 32 * 1024  # bytes in the kernel, which doubles it; picows' buffer grows to what waits there
_FRAME_HEADER = 14  # room that picows asks for before a payload to be sent without a copy
_SHORTEST_TICK_S = 0.01
_CLOSE_CODES = range(1_000, 5_000)
_CUT_OFF = 1006  # how a program is told that there was no close frame
_AT_ONCE = 500  # timers handled before the loop may do something else
_NO_HEADERS: CIMultiDict[str] = CIMultiDict()


def _picows_logger() -> "logging.LoggerAdapter[logging.Logger]":
    # An adapter, because picows copies a plain logger for each connection. What picows has to say is about broken
    # frames of devices, which the close code tells them; our own failures are logged here.
    logger = logging.getLogger("clarion.gateway.picows")
    logger.setLevel(logging.CRITICAL)
    return logging.LoggerAdapter(logger, {})


class Listener(WSListener):
    """One connection: the session's outlet, and its time limits."""

    __slots__ = (
        "_closed_at",
        "_connected_at",
        "_fragments",
        "_heard_at",
        "_paused",
        "_pinged",
        "_server",
        "_session",
        "_transport",
    )

    def __init__(self, server: "SocketServer") -> None:
        self._server = server
        self._session: Session  # from the handshake on: the two know each other, so one without it would not go away
        self._transport: WSTransport | None = None
        self._fragments: bytearray | None = None
        self._connected_at = self._heard_at = 0
        self._pinged = False
        self._paused = False
        self._closed_at: int | None = None

    # --- the session's outlet ---

    def send(self, message: ServerMessage) -> None:
        if self._transport is not None and self._closed_at is None:
            buffer = self._server.buffer
            encode_into(message, buffer, _FRAME_HEADER)
            self._transport.send_reuse_external_bytearray(WSMsgType.TEXT, buffer, _FRAME_HEADER)

    def push(self, message: PushMessage, key: Key | None) -> None:
        self.send(notification(message, key))

    def close(self, code: CloseCode, reason: str) -> None:
        if self._transport is not None and self._closed_at is None:
            self._closed_at = self._server.wheel.now
            self._transport.send_close(WSCloseCode(code), reason)
            self._server.in_seconds(CLOSE_GRACE_S, self)

    def has_room(self) -> bool:
        return not self._paused

    # --- what picows calls ---

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._session = Session(self._server.node, self)
        # Kilobytes a connection that nobody reads again.
        transport.request.headers = transport.response.headers = _NO_HEADERS
        transport.underlying_transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_WINDOW
        )
        self._connected_at = self._heard_at = self._server.wheel.now
        self._server.connected(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._heard_at = self._server.wheel.now
        self._pinged = False
        if frame.msg_type == WSMsgType.CLOSE:
            self._on_close(transport, frame)
        elif self._closed_at is None:
            try:
                self._on_data(transport, frame)
            except Exception:
                log.exception("frame_failed")
                self._session.close(CloseCode.ERROR, "the server could not do this; come back later")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        handshake = transport.close_handshake
        if self._closed_at is None and handshake is not None and handshake.sent and not handshake.recv_then_sent:
            # A frame that picows could not read, and answered by itself.
            log.info("device_refused", code=handshake.sent.code, reason=handshake.sent.reason)
        self._transport = None
        self._fragments = None
        self._server.disconnected(self._session)
        # The session knows us: without this only a full collection would free the two, and those are rare and long.
        del self._session

    def pause_writing(self) -> None:
        # Who does not listen is not listened to: else its commands and pings would fill our memory with answers.
        self._paused = True
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()
            self._session.poke()

    def _on_close(self, transport: WSTransport, frame: WSFrame) -> None:
        """RFC 6455 section 5.5.1: answered with its own code."""
        payload = frame.get_payload_as_bytes()
        if not payload:
            transport.send_close(WSCloseCode.OK)
        elif not _may_be_sent(int.from_bytes(payload[:2])):
            transport.send_close(WSCloseCode.PROTOCOL_ERROR)
        else:
            transport.send_close(frame.get_close_code())
        transport.disconnect()

    # --- messages ---

    def _on_data(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._session.refuse(CloseCode.PROTOCOL, "no extension was agreed on")
        elif kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.PONG:
            return
        elif kind == WSMsgType.BINARY:
            self._session.refuse(CloseCode.BINARY, "text frames only")
        elif (kind == WSMsgType.CONTINUATION) is (self._fragments is None):
            self._session.refuse(CloseCode.PROTOCOL, "fragments out of order")
        else:
            whole = self._assemble(frame)
            if whole is not None:
                self._on_message(whole)

    def _assemble(self, frame: WSFrame) -> bytes | None:
        """The message that this frame ends, if it ends one (RFC 6455 section 5.4)."""
        payload = frame.get_payload_as_bytes()
        if self._fragments is None and frame.fin:
            return payload
        fragments = self._fragments = self._fragments if self._fragments is not None else bytearray()
        fragments += payload
        if len(fragments) > MAX_MESSAGE:
            self._session.refuse(CloseCode.TOO_BIG, f"a message has at most {MAX_MESSAGE} bytes")
            return None
        if not frame.fin:
            return None
        self._fragments = None
        return bytes(fragments)

    def _on_message(self, text: bytes) -> None:
        try:
            message = parse_client(text)
        except NotAMessage as error:
            self._session.refuse(CloseCode.ERROR, str(error)[:100])
        else:
            self._session.receive(message)

    # --- time ---

    def on_timer(self) -> float | None:
        """Look what is due; seconds until the next look, None when there is none."""
        transport, server = self._transport, self._server
        if transport is None:
            return None
        if self._closed_at is not None:
            return self._await_close(server.seconds(server.wheel.now - self._closed_at))
        if not self._session.identified:
            return self._await_hello(server.seconds(server.wheel.now - self._connected_at))
        silent = server.seconds(server.wheel.now - self._heard_at)
        if silent < server.ping_interval:
            return server.ping_interval - silent
        if self._pinged:
            self._session.close(CloseCode.ERROR, "no pong")
            return None
        self._pinged = True
        transport.send_ping()
        return server.ping_timeout

    def _await_hello(self, waited: float) -> float | None:
        if waited < HELLO_TIMEOUT_S:
            return HELLO_TIMEOUT_S - waited
        self._session.refuse(CloseCode.ERROR, f"no hello within {HELLO_TIMEOUT_S} s")
        return None

    def _await_close(self, waited: float) -> float | None:
        if waited < CLOSE_GRACE_S:
            return CLOSE_GRACE_S - waited
        self.cut()
        return None

    def cut(self) -> None:
        """Drop the connection as it is."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def leave(self) -> None:
        """The server stops: say so. The device comes back by itself."""
        self.close(CloseCode.GOING_AWAY, "the server restarts")


class SocketServer:
    """Listens for devices. `ping_interval` and `ping_timeout` in seconds; at most `capacity` connections."""

    def __init__(self, node: Node, capacity: int, ping_interval: float, ping_timeout: float) -> None:
        self.node = node
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.wheel: TimerWheel[Listener] = TimerWheel()
        self.buffer = bytearray()  # every frame is written here, then into its socket
        self._tick = max(_SHORTEST_TICK_S, min(1.0, ping_interval / 4, ping_timeout / 4))
        self._capacity = capacity
        self._collector = Collector()
        self._connections = 0
        self._closing = False
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._turning: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, tls: Mapping[str, Any]) -> int:
        """Listen; the port, which the system chooses when 0 is given. `tls`: what `create_server` takes for TLS."""
        self._server = await ws_create_server(
            self._accept,
            host,
            port,
            logger_name=_picows_logger(),
            max_frame_size=MAX_MESSAGE,
            read_buffer_init_size=_READ_BUFFER,
            websocket_handshake_timeout=HELLO_TIMEOUT_S,
            enable_auto_pong=False,  # it would answer whatever its reserved bits say
            use_aiofastnet=False,  # five kilobytes less a connection
            backlog=4096,
            **tls,
        )
        self._turning = asyncio.get_running_loop().create_task(self._turn())
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and send everybody away; those that do not answer are cut off."""
        self._closing = True
        if self._turning is not None:
            self._turning.cancel()
        if self._server is None:
            return
        self._server.close()
        for listener in set(self.wheel):
            listener.leave()
        if self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), CLOSE_GRACE_S)
        for listener in set(self.wheel):
            listener.cut()

    # --- what listeners need ---

    def connected(self, listener: Listener) -> None:
        """A handshake is done."""
        self._connections += 1
        self._collector.connected(self._connections)
        metrics.CONNECTIONS.inc()
        self.in_seconds(min(HELLO_TIMEOUT_S, self.ping_interval), listener)

    def disconnected(self, session: Session) -> None:
        """A socket is gone. When we are the ones who go, nobody needs to be told."""
        self._connections -= 1
        metrics.CONNECTIONS.dec()
        if not self._closing:
            session.disconnected()
        elif not self._connections:
            self._empty.set()

    def in_seconds(self, wait: float, listener: Listener) -> None:
        """Call its `on_timer` then, not earlier."""
        self.wheel.add(listener, math.ceil(wait / self._tick) + 1)

    def seconds(self, ticks: int) -> float:
        """How long so many ticks are."""
        return ticks * self._tick

    # --- the handshake ---

    def _accept(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener | None:
        if request.path.partition(b"?")[0] != b"/":
            return None
        if self._closing or self._connections >= self._capacity:
            return WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_error_response(503, b"full", {"Retry-After": "60"}), None
            )
        # Firefox sends "keep-alive, Upgrade", which picows does not take for an upgrade.
        if "upgrade" in _tokens(request, "Connection"):
            request.headers["Connection"] = "upgrade"
        offered = SUBPROTOCOL in _tokens(request, "Sec-WebSocket-Protocol")
        chosen = {"Sec-WebSocket-Protocol": SUBPROTOCOL} if offered else None
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(chosen), Listener(self))

    # --- time ---

    async def _turn(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            for count, listener in enumerate(self.wheel.advance(), 1):
                wait = listener.on_timer()
                if wait is not None:
                    self.in_seconds(wait, listener)
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)


def _may_be_sent(code: int) -> bool:
    """What picows does not check of the close codes of RFC 6455 section 7.4."""
    return code in _CLOSE_CODES and code != _CUT_OFF


def _tokens(request: WSUpgradeRequest, name: str) -> set[str]:
    values = request.headers.getall(name, [])
    return {token.strip().lower() for value in values for token in value.split(",")}
