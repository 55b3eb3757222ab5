"""Chance that repeats itself: the same seed gives the same tokens."""

import random


class SeededChance:
    """A `Chance` for tests. Never for secrets: whoever knows the seed knows every token."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)
