"""How long to stay away after a failure: exponential with full jitter, so that a crowd of devices spreads out."""

import random

BASE_S = 2.0
CAP_S = 300.0
FLOOR_S = 0.1
_MAX_RETRY_AFTER_S = 3600.0
_MAX_DOUBLINGS = 16


class Backoff:
    """Counts failures in a row. `chance` is for spreading, not for secrets."""

    def __init__(self, chance: random.Random, base_s: float = BASE_S, cap_s: float = CAP_S) -> None:
        self._chance = chance
        self._base_s = base_s
        self._cap_s = cap_s
        self._failures = 0

    def next(self, retry_after_s: float | None = None) -> float:
        """Seconds until the next attempt: never none, and never before a server's Retry-After."""
        widest = min(self._cap_s, self._base_s * 2 ** min(self._failures, _MAX_DOUBLINGS))
        self._failures += 1
        wait = max(FLOOR_S, self._chance.uniform(0, widest))
        return wait + min(retry_after_s or 0.0, _MAX_RETRY_AFTER_S)

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
