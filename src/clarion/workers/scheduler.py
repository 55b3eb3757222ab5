"""Scheduler: what happens by the clock alone: sweeping out what has expired."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

Sweep = Callable[[], Awaitable[object]]


class Scheduler:
    """Calls each sweep at its interval; one that fails is logged and comes again."""

    def __init__(self, sweeps: dict[str, tuple[float, Sweep]]) -> None:
        """`sweeps`: name → (seconds between calls, what to call)."""
        self._sweeps = sweeps
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._tasks = [
            asyncio.create_task(self._repeat(name, seconds, sweep), name=name)
            for name, (seconds, sweep) in self._sweeps.items()
        ]

    async def stop(self) -> None:
        """End at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, name: str, seconds: float, sweep: Sweep) -> None:
        while True:
            try:
                await sweep()
            except Exception:
                log.exception("a sweep failed", sweep=name)
            await asyncio.sleep(seconds)
