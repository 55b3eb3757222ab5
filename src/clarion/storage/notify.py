"""The bus of several processes on one PostgreSQL server: LISTEN and NOTIFY, as a wake-up and nothing more.

One connection listens, one sends. What is published while a NOTIFY is under way goes out together in the next. When the
server is away messages are lost, as the port allows: the database is the truth, whoever waits looks there in the end.
"""

import asyncio
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import psycopg
import structlog

from clarion.errors import Unavailable

Handler: TypeAlias = Callable[[bytes], Awaitable[None]]

_CHANNEL = "clarion"
_LARGEST = 7_999  # bytes of one NOTIFY, set by PostgreSQL
_MOST_WAITING = 10_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_SECONDS_TO_FLUSH = 2.0
_LIVELY: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}

_log = structlog.get_logger(__name__)


class PostgresBus:
    """`ports.Bus`. A handler's exception is logged and stops nobody else."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._handlers: dict[str, dict[object, Handler]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._connections: list[asyncio.Task[None]] = []
        self._frames: deque[str] = deque(maxlen=_MOST_WAITING)
        self._published = asyncio.Event()
        self._flushed = asyncio.Event()

    async def open(self) -> None:
        """Listen from now on.

        Raises:
            Unavailable: the server cannot be reached.
        """
        listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connections = [
            asyncio.create_task(self._keep(lambda conn: self._listen(conn, listening))),
            asyncio.create_task(self._keep(self._send)),
        ]
        try:
            await asyncio.wait_for(listening, _LONGEST_PAUSE)
        except TimeoutError:
            await self.close()
            raise Unavailable("the database cannot be reached to listen for messages", retry_after=1) from None

    async def close(self) -> None:
        """Send what is still waiting, then end all subscriptions; handlers that still run are cancelled."""
        if self._frames and self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._flushed.wait(), _SECONDS_TO_FLUSH)
        self._handlers.clear()
        ending = [*self._connections, *self._running]
        self._connections = []
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def publish(self, topic: str, payload: bytes = b"") -> None:
        """See `ports.Bus`; returns before the message is on its way.

        Raises:
            ValueError: the message is larger than PostgreSQL carries, about 5,900 bytes.
        """
        frame = f"{b64encode(topic.encode()).decode()}:{b64encode(payload).decode()}"
        if len(frame) > _LARGEST:
            raise ValueError(f"a payload of {len(payload)} bytes is more than a NOTIFY carries")
        self._frames.append(frame)
        self._flushed.clear()
        self._published.set()

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        subscription = object()
        self._handlers.setdefault(topic, {})[subscription] = handler
        return lambda: self._end(topic, subscription)

    def _end(self, topic: str, subscription: object) -> None:
        left = self._handlers.get(topic, {})
        left.pop(subscription, None)
        if not left:
            self._handlers.pop(topic, None)

    async def _keep(self, use: Callable[[psycopg.AsyncConnection], Awaitable[None]]) -> None:
        """Use a connection; when it breaks, another one."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True, **_LIVELY) as conn:
                    pause = _FIRST_PAUSE
                    await use(conn)
            except psycopg.Error as error:
                _log.warning("bus_connection_lost", error=str(error), again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self, conn: psycopg.AsyncConnection, listening: "asyncio.Future[None]") -> None:
        await conn.execute(f"LISTEN {_CHANNEL}")
        if not listening.done():
            listening.set_result(None)
        else:  # nobody knows what was said while we did not listen
            for missed in list(self._handlers):
                self._call_handlers(missed, b"")
        async for told in conn.notifies():
            for frame in told.payload.split(","):
                topic, payload = map(b64decode, frame.split(":"))
                self._call_handlers(topic.decode(), payload)

    async def _send(self, conn: psycopg.AsyncConnection) -> None:
        while True:
            await self._published.wait()
            self._published.clear()
            while self._frames:
                count, text = _packed(self._frames)
                await conn.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, text))
                for _ in range(count):
                    self._frames.popleft()
            self._flushed.set()

    def _call_handlers(self, topic: str, payload: bytes) -> None:
        for handler in self._handlers.get(topic, {}).values():
            task = asyncio.create_task(_call(handler, topic, payload))
            self._running.add(task)
            task.add_done_callback(self._running.discard)


def _packed(frames: deque[str]) -> tuple[int, str]:
    """As many frames from the left as one NOTIFY carries."""
    size = count = 0
    for frame in frames:
        size += len(frame) + 1
        if count and size - 1 > _LARGEST:
            break
        count += 1
    return count, ",".join(frames[index] for index in range(count))


async def _call(handler: Handler, topic: str, payload: bytes) -> None:
    try:
        await handler(payload)
    except Exception:  # noqa: BLE001 - one subscriber's fault is told and ends there
        _log.exception("bus_handler_failed", topic=topic)
