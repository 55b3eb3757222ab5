"""Gate: what can wait is collected for a while, so that one message comes in place of many.

A window begins with the first message that is collected. What waited through quiet hours was collected meanwhile too.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from clarion.journey.rules.calendars import zone_there
from clarion.journey.rules.ruling import Ruling
from clarion.model import (
    Category,
    Digest,
    FixedWindow,
    Key,
    Millis,
    Notification,
    ProjectSettings,
    Reason,
    ScheduledWindow,
    SlidingWindow,
    Urgency,
    Window,
)
from clarion.ports import Collected, Recipient

_SECOND_MS = 1000


class Gathered(NamedTuple):
    """What the gate says. `group`: what it is collected with; `due`: the window is over, all of it goes."""

    ruling: Ruling
    group: int | None = None
    due: bool = False


class Group(NamedTuple):
    """What a notification is collected with, as a hash; None: it cannot be told, and `because` says why."""

    hash: int | None
    because: str = ""


class DigestGate:
    """The gate for one notification of a category that has a digest."""

    __slots__ = ("_digest", "_group", "_notification", "_now", "_passes", "_settings")

    def __init__(
        self, notification: Notification, digest: Digest, group: Group, settings: ProjectSettings, now: Millis
    ) -> None:
        self._notification, self._digest, self._settings, self._now = notification, digest, settings, now
        self._group = group.hash
        said = _passing(notification, digest, group)
        self._passes = Gathered(Ruling(None, said)) if said is not None else None

    @property
    def marks(self) -> bool:
        """Whether it matters afterwards that something was sent."""
        return self._digest.immediate_first

    def group(self, waiting: Sequence[Collected]) -> int | None:
        """What it is collected with while something else holds it; None: it is not. `waiting` is the person's own."""
        if self._passes is not None:
            return None
        own = self._own(waiting)
        return self._group if own is None else own.group

    def __call__(
        self, recipient: Recipient, waiting: Sequence[Collected], sent: Mapping[tuple[Key, int], Millis]
    ) -> Gathered:
        """`sent`: when the person last got something of a group, where its first message goes out at once."""
        if self._passes is not None:
            return self._passes
        group = self.group(waiting)
        assert group is not None
        times = [one.at for one in waiting if one.group == group]
        last = sent.get((recipient.key, group)) if self.marks else None
        is_new = self._own(waiting) is None
        if is_new:
            if self.marks and not times and (last is None or self._ends([last], recipient) <= self._now):
                return Gathered(Ruling(None, "the first goes out at once"), group)
            times.append(self._now)
        end = self._end(times, last, recipient)
        if end <= self._now and not is_new:
            return Gathered(Ruling(Reason.DIGEST, _said(self._digest.window, len(times)), self._now), group, due=True)
        if end >= self._notification.expires_at:
            return Gathered(Ruling(None, "would expire before its digest leaves"))
        return Gathered(Ruling(Reason.DIGEST, _said(self._digest.window, len(times)), end), group)

    def _own(self, waiting: Sequence[Collected]) -> Collected | None:
        return next((one for one in waiting if one.notification == self._notification.key), None)

    def _end(self, times: Sequence[Millis], last: Millis | None, recipient: Recipient) -> Millis:
        """When all that was collected at these times goes. What was sent at `last` may have begun the window."""
        if len(times) >= self._digest.max_items:
            return self._now
        begins_before = last is not None and not isinstance(self._digest.window, SlidingWindow)
        if begins_before and last is not None and self._ends([last], recipient) > times[0]:
            times = [last, *times]
        return self._ends(times, recipient)

    def _ends(self, times: Sequence[Millis], recipient: Recipient) -> Millis:
        window = self._digest.window
        if isinstance(window, ScheduledWindow):
            return next_time(window, zone_there(recipient, self._settings), times[0])
        return ends(window, times)


def needs_zones(categories: Sequence[Category]) -> bool:
    """Whether anybody's zone matters for the digests of these categories."""
    return any(each.digest is not None and isinstance(each.digest.window, ScheduledWindow) for each in categories)


def is_surely_open(digest: Digest, times: Sequence[Millis], now: Millis) -> bool:
    """Whether what was collected at these times (in order) goes on waiting, as far as can be told from them alone."""
    full = len(times) >= digest.max_items
    return isinstance(digest.window, SlidingWindow) and not full and ends(digest.window, times) > now


def ends(window: FixedWindow | SlidingWindow, times: Sequence[Millis]) -> Millis:
    """When a window ends, by when its messages came, in order. Rounded up: what ends together goes together."""
    if isinstance(window, FixedWindow):
        end = times[0] + window.seconds * _SECOND_MS
    else:
        end = min(times[-1] + window.seconds * _SECOND_MS, times[0] + window.max_seconds * _SECOND_MS)
    return -(-end // _SECOND_MS) * _SECOND_MS


@lru_cache(maxsize=4096)
def next_time(window: ScheduledWindow, zone: ZoneInfo, after: Millis) -> Millis:
    """The first of its times of day that comes after a moment, on a wall in this zone.

    Where clocks are put back, a time that comes twice counts once, the first time. Where they are put forward, a time
    that is left out comes as long after midnight as on any other day (RFC 5545 section 3.3.5 has it so too).
    """
    today = datetime.fromtimestamp(after / 1000, zone).date()
    moments = [
        int(datetime.combine(today + timedelta(days=day), _clock(at), zone).timestamp()) * _SECOND_MS
        for day in range(-1, 3)
        for at in window.at
    ]
    return min(moment for moment in moments if moment > after)


def _clock(at: str) -> time:
    hours, minutes = at.split(":")
    return time(int(hours), int(minutes))


def _passing(notification: Notification, digest: Digest, group: Group) -> str | None:
    """Why it is collected for nobody."""
    if notification.digest_of:
        return f"{len(notification.digest_of)} in one"
    if notification.armed_until is not None:
        return "armed"
    if digest.urgent_passes and notification.message.urgency is Urgency.HIGH:
        return "urgent"
    return None if group.hash is not None else group.because


def _said(window: Window, count: int) -> str:
    match window:
        case FixedWindow():
            how = f"within {window.seconds} s"
        case SlidingWindow():
            how = f"until {window.seconds} s are silent, {window.max_seconds} s at most"
        case ScheduledWindow():
            how = f"until {' or '.join(window.at)}"
    return f"{count} collected {how}"
