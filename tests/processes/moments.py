"""When to strike: after a while, or at the very instant of something, so that even narrow windows are hit."""

from collections import Counter
from collections.abc import Callable


class Moments:
    """Told what happens; calls what was armed, inside that instant."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._armed: tuple[str, int, Callable[[], None]] | None = None

    def arm(self, word: str, count: int, strike: Callable[[], None]) -> None:
        """Call `strike` when `word` is told for the `count`th time from now on. Replaces what was armed before."""
        self._armed = word, self.counts[word] + count, strike

    @property
    def armed(self) -> bool:
        """Whether something is still to strike."""
        return self._armed is not None

    def disarm(self) -> None:
        """Nothing is armed."""
        self._armed = None

    def __call__(self, word: str) -> None:
        self.counts[word] += 1
        if self._armed is not None and self._armed[0] == word and self.counts[word] >= self._armed[1]:
            strike, self._armed = self._armed[2], None
            strike()
