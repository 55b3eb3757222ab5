"""Time that stands still until a test moves it."""

from clarion.model import Millis

START = 1_800_000_000_000  # 2027-01-15T08:00:00Z


class ManualClock:
    """A `Clock` that starts at `start` (milliseconds since the epoch, UTC) and moves only when told."""

    def __init__(self, start: Millis = START) -> None:
        self._now = start

    def now(self) -> Millis:
        return self._now

    def advance(self, milliseconds: Millis = 0, *, seconds: int = 0, minutes: int = 0, hours: int = 0) -> Millis:
        """Move forward and return the new time. Raises ValueError when that would go back."""
        step = milliseconds + 1000 * (seconds + 60 * (minutes + 60 * hours))
        if step < 0:
            raise ValueError(f"advance: time moves forward only, not by {step} ms")
        self._now += step
        return self._now
