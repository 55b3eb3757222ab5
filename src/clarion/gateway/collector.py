"""Keeps the garbage collector from walking over sessions again and again: they are many, and they stay."""

import gc

_STEP = 1_000  # connections
_SHARE = 16  # of all connections; the longest walk is over so many


class Collector:
    """Freezes what has come since the last time, once it is worth it: neither too many at once nor too often.

    A full collection over 100,000 sessions stops the process for a second. What is frozen is walked over no more; it
    still goes when nobody refers to it any more. Only garbage that refers to itself would stay, and a session is none.
    """

    def __init__(self) -> None:
        self._fresh = 0

    def connected(self, connections: int) -> None:
        """One more; there are so many now."""
        self._fresh += 1
        if self._fresh >= max(_STEP, connections // _SHARE):
            self._fresh = 0
            gc.collect()
            gc.freeze()
