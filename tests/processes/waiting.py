"""Waiting on conditions, never on time: a bound for each wait, and words for what did not happen."""

import asyncio
import os
import time
from collections.abc import Callable

# Shared machines have slow minutes: a bound says that something hangs, not how fast it is.
PATIENCE_S = float(os.environ.get("CLARION_TEST_PATIENCE", "60"))
_POLL_S = 0.02


async def until(condition: Callable[[], bool], what: str | Callable[[], str], within_s: float = PATIENCE_S) -> None:
    """Return when `condition` holds. Raises AssertionError with `what` was waited for."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            words = what() if callable(what) else what
            raise AssertionError(f"not within {within_s:g} s: {words}")
        await asyncio.sleep(_POLL_S)
