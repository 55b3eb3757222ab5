"""What the clock on a person's wall says: offsets of time zones in whole minutes, and the turns that they take."""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

ANYWHERE = ""
"""In place of a zone's name: nobody knows where the person is."""
EVERYWHERE = range(-12 * 60, 14 * 60 + 1, 15)
"""The offsets from UTC that there are, in minutes."""


@lru_cache(maxsize=2048)
def zone_of(name: str | None) -> ZoneInfo | None:
    """The zone of that name; None for a name that this machine does not know (any more)."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None


class Clock:
    """A clock on a wall: in a zone, or at a fixed offset. Moments are minutes since the epoch in UTC."""

    def __init__(self, zone: ZoneInfo | None, fixed: int = 0) -> None:
        self._zone = zone
        self._fixed = fixed

    def offset(self, minute: int) -> int:
        """Minutes that it is ahead of UTC at a moment."""
        if self._zone is None:
            return self._fixed
        ahead = datetime.fromtimestamp(minute * 60, self._zone).utcoffset()
        return self._fixed if ahead is None else int(ahead.total_seconds()) // 60

    def wall(self, minute: int) -> int:
        """What it says, as minutes since 1 January 1970 on the wall."""
        return minute + self.offset(minute)

    def turn(self, after: int, until: int) -> int | None:
        """When it is put forward or back between two moments less than two turns apart; None: it is not."""
        before = self.offset(after)
        if self._zone is None or self.offset(until) == before:
            return None
        while until - after > 1:
            middle = (after + until) // 2
            if self.offset(middle) == before:
                after = middle
            else:
                until = middle
        return until
