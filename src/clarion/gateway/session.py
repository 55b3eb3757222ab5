"""A device's connection as a state machine without a socket: messages in, messages or a close code out.

`Unidentified` takes a hello and becomes `Identified` (identified.py). `Session` feeds them: commands that need the
store wait their turn, everything else is handled as it comes.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from uuid import uuid4

import structlog

from clarion.errors import Unavailable
from clarion.gateway import metrics
from clarion.gateway.identified import Disconnect, Identified, Outlet
from clarion.gateway.node import Node
from clarion.model import Key
from clarion.ports import PushMessage
from clarion.wire.autopush import (
    ClientMessage,
    CloseCode,
    Hello,
    Register,
    Unregister,
    Welcome,
    is_uaid,
)

log = structlog.get_logger(__name__)

NOT_DIRECT = -1
"""The ticket of a message that a session must read from the store."""
_MAX_COMMANDS = 256
"""Commands of one device that may wait for the store."""
_MAX_EARLY = 8
"""Messages of any kind, and so of any size, that may wait for the answer to the hello."""


class Unidentified:
    """Connected and unknown: takes a hello, and writes nothing to the store before the first register.

    A name that the connection has `proven` is the device's own, whether the store knows it or not.
    """

    __slots__ = ("_node", "_proven")

    def __init__(self, node: Node, *, proven: bool) -> None:
        self._node = node
        self._proven = proven

    async def identify(self, message: Hello, session: "Session") -> tuple[Identified, Welcome]:
        """The device: under its own name if the store knows it, else under a new one."""
        name = message.uaid
        device = await self._known(name, session) if is_uaid(name) else None
        if device is None:
            name = uuid4().hex
            await session.claim(bytes.fromhex(name))
        metrics.HELLOS.labels("new" if device is None else "known").inc()
        limit = None if self._proven else self._node.message_limit
        followed = message.broadcasts or {}
        identified = Identified(self._node, session.outlet, bytes.fromhex(name), device, followed, limit)
        return identified, Welcome(uaid=name, broadcasts=self._node.broadcasts.answer(followed))

    async def _known(self, name: str, session: "Session") -> Key | None:
        # The place comes first: an older connection has then finished its acks, and the router finds us before we read.
        await session.claim(bytes.fromhex(name))
        greet = self._node.store.enrol if self._proven else self._node.store.hello
        return await greet(name, self._node.id, self._node.clock.now())


class Session:
    """One connection. No method raises, whatever the device sends."""

    __slots__ = ("_commands", "_ending", "_left", "_node", "_place", "_poked", "_state", "_working", "outlet")

    def __init__(self, node: Node, outlet: Outlet, *, proven: bool = False) -> None:
        """`proven`: the name in its hello is known to be its own."""
        self.outlet = outlet
        self._node = node
        self._state: Unidentified | Identified = Unidentified(node, proven=proven)
        self._place: bytes | None = None
        self._commands: deque[ClientMessage] | None = None
        self._poked = False
        self._working = False
        self._ending = False
        self._left: asyncio.Future[None] | None = None

    @property
    def identified(self) -> bool:
        """Whether the hello has been answered."""
        return isinstance(self._state, Identified)

    @property
    def settled(self) -> bool:
        """Whether all that the device acknowledged is in the store."""
        return not self._commands and isinstance(self._state, Identified) and self._state.settled

    # --- the device's side ---

    def receive(self, message: ClientMessage) -> None:
        """Take a message of the device."""
        if self._ending:
            return
        state = self._state
        if isinstance(state, Unidentified):
            self._before_hello(message)
            return
        if isinstance(message, Register | Unregister):
            self._queue(message, _MAX_COMMANDS)
            return
        try:
            if state.on(message):
                self.poke()
        except Disconnect as reason:
            self.refuse(reason.code, reason.text)

    def refuse(self, code: CloseCode, reason: str) -> None:
        """`close` for what the device does wrong: one line in the log."""
        if not self._ending:
            log.info("device_refused", code=code.value, reason=reason)
            self.close(code, reason)

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the socket and forget what has not been done yet."""
        if not self._ending:
            self._commands = None
            self._shut(code, reason)

    def disconnected(self) -> None:
        """The socket is gone. What it said before still counts."""
        self._end()

    # --- the node's side ---

    async def claim(self, uaid: bytes) -> None:
        """Take the device's place in the registry, giving up another one. Raises Unavailable when there is none."""
        self._release()
        await self._node.registry.claim(uaid, self)
        self._place = uaid

    def evict(self) -> None:
        """Another connection of the device takes the place."""
        if not self._ending:
            self._shut(CloseCode.ERROR, "another connection of this device has begun")

    async def left(self) -> None:
        """Until everything received is done and the place in the registry is free."""
        if self._place is None:
            return
        if self._left is None:
            self._left = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._left)

    def ticket(self) -> int:
        """To be asked for before a message is stored, and shown at `deliver`.

        A message that is sent directly must be one that no read of the store can have found: it was stored while
        nothing was read. The ticket is worth nothing once a read begins.
        """
        state = self._state
        return state.epoch if isinstance(state, Identified) and state.direct and not self._poked else NOT_DIRECT

    def deliver(self, key: Key, message: PushMessage, ticket: int) -> None:
        """Send a message that is stored under `key`: now, or in its turn with those that wait in the store."""
        state = self._state
        if self._poked or self._ending or not isinstance(state, Identified) or not state.push(key, message, ticket):
            self.poke()

    def deliver_instant(self, message: PushMessage) -> bool:
        """Send a message that is not stored; False when the device cannot take it now."""
        return isinstance(self._state, Identified) and not self._ending and self._state.push_instant(message)

    def announce(self, changed: Mapping[str, str]) -> None:
        """Broadcasts have another version; before the hello is answered, the answer will have it."""
        if isinstance(self._state, Identified) and not self._ending:
            self._state.announce(changed)

    def poke(self) -> None:
        """Something waits in the store, or there is room again: send what is due."""
        if not self._ending:
            self._poked = True
            self._start()

    # --- one thing at a time ---

    def _before_hello(self, message: ClientMessage) -> None:
        """A hello begins, and a little may follow before it is answered."""
        if isinstance(message, Hello) is not (self._commands is None):
            self.refuse(CloseCode.ERROR, "the first message, and no other, must be a hello")
        else:
            self._queue(message, _MAX_EARLY)

    def _queue(self, message: ClientMessage, most: int) -> None:
        if self._commands is None:
            self._commands = deque()
        if len(self._commands) >= most:
            self.refuse(CloseCode.ERROR, "too many commands at once")
            return
        self._commands.append(message)
        self._start()

    def _start(self) -> None:
        if not self._working:
            self._working = True
            self._node.tasks.start(self._work())

    async def _work(self) -> None:
        while True:
            try:
                if self._commands:
                    await self._command(self._commands.popleft())
                elif self._poked and isinstance(self._state, Identified) and not self._ending:
                    self._poked = False
                    await self._state.drain()
                else:
                    break
            except Disconnect as reason:
                self.refuse(reason.code, reason.text)
            except Exception as error:  # noqa: BLE001 - whatever fails here, the device is told and comes back
                self._fail(error)
        self._commands = None
        self._working = False
        if self._ending:
            await self._leave()

    async def _command(self, message: ClientMessage) -> None:
        state = self._state
        if isinstance(state, Unidentified):
            assert isinstance(message, Hello)  # no other is let in as the first
            self._state, welcome = await state.identify(message, self)
            self.outlet.send(welcome)
            self._poked = True
        elif isinstance(message, Register | Unregister):
            await state.command(message)
        else:
            self.receive(message)  # said before the hello was answered

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Unavailable):
            log.warning("session_failed", error=error.detail)
        else:
            log.error("session_failed", error=repr(error), exc_info=error)
        self.close(CloseCode.ERROR, "the server could not do this; come back later")

    # --- the end ---

    def _shut(self, code: CloseCode, reason: str) -> None:
        metrics.CLOSED.labels(code.value).inc()
        self.outlet.close(code, reason)
        self._end()

    def _end(self) -> None:
        if self._ending:
            return
        self._ending = True
        if self._place is not None or self._working:
            self._start()

    async def _leave(self) -> None:
        try:
            if isinstance(self._state, Identified):
                await self._state.leave()
        except Exception as error:  # noqa: BLE001 - the row then names a node that has no such session, which is harmless
            log.warning("leave_not_noted", error=repr(error))
        self._release()

    def _release(self) -> None:
        if self._place is not None:
            self._node.registry.release(self._place, self)
            self._place = None
        if self._left is not None:
            self._left.set_result(None)
            self._left = None
