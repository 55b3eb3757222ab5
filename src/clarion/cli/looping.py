"""The event loop of commands that run until somebody ends them."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn


def until_told(server: Coroutine[Any, Any, None]) -> None:
    """Run it until it ends, or SIGINT or SIGTERM comes; what is around it closes in order."""
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    # Uvicorn ends at a signal and then raises it again. As an exception it lets everything around the server close in
    # order, where the system's own handling of SIGTERM would end the process at once.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with suppress(KeyboardInterrupt):
        run(server)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
