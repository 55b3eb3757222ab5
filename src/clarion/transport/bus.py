"""The bus of a single process: whoever publishes wakes whoever subscribed, without waiting for them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

Handler: TypeAlias = Callable[[bytes], Awaitable[None]]

_log = structlog.get_logger(__name__)


class LocalBus:
    """`ports.Bus` inside one event loop. A handler's exception is logged and stops nobody else."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[object, Handler]] = {}
        self._running: set[asyncio.Task[None]] = set()  # the loop itself would let a task be collected half-way

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """End all subscriptions; handlers that still run are cancelled, as when a process ends."""
        self._handlers.clear()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def publish(self, topic: str, payload: bytes = b"") -> None:
        for handler in self._handlers.get(topic, {}).values():
            task = asyncio.create_task(_call(handler, topic, payload))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        subscription = object()
        self._handlers.setdefault(topic, {})[subscription] = handler
        return lambda: self._end(topic, subscription)

    def _end(self, topic: str, subscription: object) -> None:
        left = self._handlers.get(topic, {})
        left.pop(subscription, None)
        if not left:
            self._handlers.pop(topic, None)


async def _call(handler: Handler, topic: str, payload: bytes) -> None:
    try:
        await handler(payload)
    except Exception:  # noqa: BLE001 - one subscriber's fault is told and ends there
        _log.exception("bus_handler_failed", topic=topic)
