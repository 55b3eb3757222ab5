"""Gate: nothing disturbs a person in their quiet hours, by the clock on their own wall, unless its class may.

All that costs anything depends on zone, window and minute only: it is worked out once for those, not for each person.
A window is inside whenever the wall says so: where the clock is put back it may be quiet twice, where it is put
forward a window may begin or end at the turn.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from clarion.journey.rules.ruling import Ruling
from clarion.journey.rules.updates import IN_PLACE
from clarion.journey.rules.zones import ANYWHERE, EVERYWHERE, Clock, zone_of
from clarion.model import (
    WEEKDAYS,
    Category,
    CategoryClass,
    Key,
    Millis,
    Notification,
    PersonPreference,
    ProjectSettings,
    QuietHours,
    Reason,
)

_DAY = 24 * 60
_TO = "\N{EN DASH}"
_MINUTE_MS = 60_000
_HORIZON = 8 * _DAY
"""Minutes. A week repeats itself: what does not open within one never does."""
_LOOK_AGAIN = 6 * 60
"""Minutes until what never opens is looked at again: a zone, or other wishes, may be known then."""
SLOTS = 30
"""Moments that those who wait for one window come back at, at most: each of them is a job for a batch."""
_SHORTEST_SLOT_MS = 15_000
_BLOCK = 8
"""Bits: so many neighbours by key (256) come back together, that held work stays in batches."""


class Window(NamedTuple):
    """Quiet hours in minutes of the day; `end` before `start`: over midnight. `days`: those on which it begins."""

    start: int
    end: int
    days: frozenset[int]
    said: str

    def left(self, wall: int) -> int:
        """Minutes until it ends; 0 outside."""
        day, minute = divmod(wall, _DAY)
        today = (day + 3) % 7  # the epoch was a Thursday
        if self.start < self.end:
            return self.end - minute if self.start <= minute < self.end and today in self.days else 0
        if minute >= self.start and today in self.days:
            return _DAY - minute + self.end
        return self.end - minute if minute < self.end and (today - 1) % 7 in self.days else 0

    def ran(self, wall: int) -> int:
        """Minutes since it began; 0 outside."""
        return (wall - self.start) % _DAY if self.left(wall) else 0

    def ahead(self, wall: int) -> int:
        """Minutes until it begins next."""
        day, minute = divmod(wall, _DAY)
        later = (ahead for ahead in range(8) if (day + ahead + 3) % 7 in self.days)
        return next(ahead * _DAY + self.start - minute for ahead in later if ahead or self.start > minute)


class Outlook(NamedTuple):
    """How quiet it is at one minute: until when, or else from when on, in minutes; `because` in a few words."""

    quiet: bool
    turns: int
    never: bool
    because: str


class Rest(NamedTuple):
    """The gate's word for everybody of one zone and wish: what comes back is spread over `rulings`.

    `quiet_from`: when it may be quiet again, if it is not now. A moment too early only costs another look.
    """

    rulings: Sequence[Ruling]
    quiet_from: Millis | None

    def ruling(self, user: Key) -> Ruling:
        """Neighbours come back together; who they are decides when."""
        count = len(self.rulings)
        return self.rulings[0] if count == 1 else self.rulings[_scattered(user >> _BLOCK) * count >> 32]


_MANDATORY = Rest([Ruling(None, "mandatory")], None)
_ARMED = Rest([Ruling(None, "armed: asked at the fire")], None)
_IN_PLACE = Rest([IN_PLACE], None)
_NONE = Rest([Ruling(None, "no quiet hours")], None)


class Quiet:
    """The quiet hours of one notification: asked for each person, worked out for few.

    What would be held until it expires, or longer, is dropped now. Whom a rate spread over the quiet hours, it spreads
    over the time after them. `usual`: the ruling for whoever asked for nothing,
    where it is the same everywhere. `quietly`: it makes no sound, whenever it comes.
    """

    def __init__(
        self,
        notification: Notification,
        category: Category,
        settings: ProjectSettings,
        now: Millis,
        *,
        quietly: bool = False,
    ) -> None:
        mandatory = category.class_ is CategoryClass.MANDATORY
        passes = _IN_PLACE if quietly else _ARMED if notification.is_armed else None
        self._passes = _MANDATORY if mandatory else passes
        self._window = None if self._passes else _window_of(category, settings)
        self.usual = (self._passes or _NONE).rulings[0] if self._window is None else None
        self._settings = settings
        self._expires_at = notification.expires_at
        self._begins_at = notification.begins_at if notification.rate is not None else None
        self._now = now
        self._known: dict[tuple[str | None, QuietHours | None], Rest] = {}

    def rest(self, zone: str | None, preferences: PersonPreference | None) -> Rest:
        """What holds for a person in this zone (None: unknown) who asked for this."""
        own = preferences.quiet_hours if preferences is not None else None
        if self._passes is not None:
            return self._passes
        if self._window is None and own is None:
            return _NONE
        rest = self._known.get((zone, own))
        if rest is None:
            rest = self._known[zone, own] = self._rest(zone, own)
        return rest

    def _rest(self, zone: str | None, own: QuietHours | None) -> Rest:
        windows = () if self._window is None else (self._window,)
        if own is not None:
            windows = (*windows, window_of(own))
        settings = self._settings
        place, where = _place(zone, settings)
        rest = _rest(place, where, windows, self._now // _MINUTE_MS, settings.quiet_hours_spread_s * 1000)
        if self._begins_at is not None and rest.rulings[0].until is not None:
            rest = self._at_its_rate(rest.rulings[0], place, windows)
        held = rest.rulings
        if held[-1].until is None or held[-1].until < self._expires_at:
            return rest
        in_time = [ruling for ruling in held if (ruling.until or 0) < self._expires_at]
        late = Ruling(Reason.EXPIRED, f"{held[0].because}: would arrive stale")
        return Rest(in_time or [late], None)

    def _at_its_rate(self, first: Ruling, place: str, windows: Sequence[Window]) -> Rest:
        """As long after the quiet hours as it would have left after they, or it, began."""
        minute, ms = divmod(self._now, _MINUTE_MS)
        quiet_for = max(window.ran(clock.wall(minute)) for clock in _clocks(place) for window in windows)
        behind = min(self._now - (self._begins_at or 0), quiet_for * _MINUTE_MS + ms)
        return Rest([first._replace(until=(first.until or 0) + behind)], None)


@lru_cache(maxsize=4096)
def _rest(zone: str, where: str, windows: tuple[Window, ...], minute: int, spread_ms: Millis) -> Rest:
    """What holds for everybody there at a minute, whatever expires when."""
    outlook = outlook_of(zone, where, windows, minute)
    turns = outlook.turns * _MINUTE_MS
    if not outlook.quiet:
        return Rest([Ruling(None, outlook.because)], turns)
    room = spread_ms
    if not outlook.never:
        room = min(room, _free_from(zone, windows, outlook.turns) * _MINUTE_MS - turns)
    step = max(_SHORTEST_SLOT_MS, spread_ms // SLOTS)
    slots = min(SLOTS, max(1, -(-room // step)))
    return Rest([Ruling(Reason.QUIET_HOURS, outlook.because, turns + slot * step) for slot in range(slots)], None)


def needs_zones(categories: Sequence[Category], settings: ProjectSettings) -> bool:
    """Whether anybody's zone matters for messages of these categories, whatever people asked for themselves."""
    return any(_window_of(each, settings) is not None for each in categories)


def needs_preferences(categories: Sequence[Category]) -> bool:
    """Whether it matters for messages of these categories what people asked for themselves."""
    return any(each.class_ is not CategoryClass.MANDATORY for each in categories)


def _window_of(category: Category, settings: ProjectSettings) -> Window | None:
    """The category's own word before the project's."""
    if category.class_ is CategoryClass.MANDATORY or category.quiet_hours == "none":
        return None
    hours = settings.quiet_hours if category.quiet_hours is None else category.quiet_hours
    return window_of(hours) if isinstance(hours, QuietHours) else None


def _place(zone: str | None, settings: ProjectSettings) -> tuple[str, str]:
    """The zone that counts, and how it is called."""
    if zone_of(zone) is not None:
        return zone or "", zone or ""
    if settings.missing_zone == "hold_quiet":
        return ANYWHERE, "a zone that nobody knows"
    return settings.default_timezone, f"{settings.default_timezone}, the project's"


@lru_cache(maxsize=4096)
def window_of(hours: QuietHours) -> Window:
    """Quiet hours as numbers."""
    days = frozenset(map(WEEKDAYS.index, WEEKDAYS if hours.days is None else hours.days))
    said = f"{hours.start}{_TO}{hours.end}" + (f" {' '.join(hours.days)}" if hours.days is not None else "")
    return Window(_minutes(hours.start), _minutes(hours.end), days, said)


@lru_cache(maxsize=16_384)
def outlook_of(zone: str, where: str, windows: tuple[Window, ...], minute: int) -> Outlook:
    """How quiet it is for these windows together at a minute since the epoch; `ANYWHERE`: quiet if it is somewhere."""
    said = " and ".join(window.said for window in windows)
    clocks = _clocks(zone)
    opens = _opens(clocks, windows, minute)
    if opens == minute:
        return Outlook(False, _free_from(zone, windows, minute), False, f"outside {said} in {where}")
    now = f", now {_clock(clocks[0].wall(minute))}" if zone != ANYWHERE else ""
    if opens is None:
        return Outlook(True, minute + _LOOK_AGAIN, True, f"{said} in {where}{now}: it never opens")
    return Outlook(True, opens, False, f"{said} in {where}{now}")


@lru_cache(maxsize=2048)
def _clocks(zone: str) -> Sequence[Clock]:
    if zone == ANYWHERE:
        return [Clock(None, offset) for offset in EVERYWHERE]
    return [Clock(zone_of(zone))]


def _opens(clocks: Sequence[Clock], windows: Sequence[Window], minute: int) -> int | None:
    """The first minute from `minute` on that is outside of all windows on all clocks; None: there is none."""
    at = minute
    while at <= minute + _HORIZON:
        before = at
        for clock in clocks:
            at = _outside(clock, windows, at)
        if at == before:
            return at
    return None


def _outside(clock: Clock, windows: Sequence[Window], minute: int) -> int:
    """The first minute that is outside on one clock, as far as a day of windows in each other's footsteps goes."""
    at = minute
    while at <= minute + _HORIZON and (left := _left(clock, windows, at)):
        at = clock.turn(at, at + left) or at + left
    return at


def _left(clock: Clock, windows: Sequence[Window], minute: int) -> int:
    wall = clock.wall(minute)
    return max(window.left(wall) for window in windows)


def _free_from(zone: str, windows: Sequence[Window], minute: int) -> int:
    """Until when it stays outside, from a minute that is; rather too early than too late where clocks are turned."""
    return min(_begins(clock, windows, minute) for clock in _clocks(zone))


def _begins(clock: Clock, windows: Sequence[Window], minute: int) -> int:
    wall = clock.wall(minute)
    begins = minute + min(window.ahead(wall) for window in windows)
    # A turn moves the beginning, or leads back into a window that is over.
    return min(begins, clock.turn(minute, begins) or begins)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _clock(wall: int) -> str:
    hours, minutes = divmod(wall % _DAY, 60)
    return f"{hours:02}:{minutes:02}"


def _scattered(block: int) -> int:
    """32 bits, evenly over blocks in a row: the same in every process and for ever."""
    return (block * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 32
