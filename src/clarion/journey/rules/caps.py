"""Gate: not too often. Caps bound what one person gets in a window; at the cap a message is dropped, or waits.

A message counts from the moment of its decision to send, which takes the place in the same transaction. What is armed
counts in every window until its fire is known: it may come at any moment of that time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from clarion.errors import FieldError
from clarion.journey.rules.calendars import Span, calendar_day, calendar_week, zone_there
from clarion.journey.rules.ruling import Ruling
from clarion.model import (
    DAY_MS,
    Cap,
    Category,
    CategoryClass,
    Channel,
    Key,
    Millis,
    Notification,
    ProjectSettings,
    Reason,
    Rolling,
)
from clarion.ports import CapsQuery, Recipient, Slot, Taken, Waiting

LONGEST_CALENDAR_MS = {"day": 3 * DAY_MS, "week": 9 * DAY_MS}
"""What a calendar's window may reach back, in any zone, with a date that comes twice."""
AGAIN_MS = 1_000
"""Those ahead are decided at this moment: one who waits behind them looks again so much later."""
_NOBODY = 1 << 63
_MORE_THAN_A_LIMIT = 1 << 32
_MANDATORY = Ruling(None, "mandatory")
_NONE = Ruling(None, "none applies")


class _Look(NamedTuple):
    """What one cap says of one person: how many places are taken, how many wait ahead, and when to look again."""

    cap: Cap
    used: int
    ahead: int
    again_at: Millis | None  # None: it lets pass

    def words(self) -> str:
        waiting = f" ({self.ahead} waiting ahead)" if self.ahead else ""
        return f"{self.cap.name}: {self.used} of {self.cap.limit} {_window(self.cap)}{waiting}"


def applying(settings: ProjectSettings, category: Category) -> tuple[Cap, ...]:
    """The caps that count push messages of a category: none if it is mandatory."""
    if category.class_ is CategoryClass.MANDATORY:
        return ()
    return tuple(cap for cap in settings.caps if _counts(cap, category.name, category.class_, Channel.PUSH))


def caps_query(
    settings: ProjectSettings, categories: Mapping[str, Category], worn: Iterable[str], now: Millis
) -> CapsQuery | None:
    """What must be known for messages of these categories; None when no cap counts them."""
    if not settings.caps:
        return None
    found = {cap for name in set(worn) if name in categories for cap in applying(settings, categories[name])}
    if not found:
        return None
    return CapsQuery(
        since=now - max(map(_reach, found)),
        waiting=any(cap.at_cap == "wait" for cap in found),
        calendar=any(not isinstance(cap.per, Rolling) for cap in found),
        scoped=any((cap.class_, cap.category, cap.channel) != (None, None, None) for cap in found),
    )


class _Rule(NamedTuple):
    """A cap, made ready for a batch. `start` None: it depends on the person's zone, by which `starts` has it."""

    cap: Cap
    limit: int
    start: Millis | None
    starts: dict[str | None, Millis]
    category: str | None
    class_: str | None
    channel: str | None


class CapGate:
    """The gate for one notification: which caps count it, and what they said already."""

    __slots__ = (
        "_caps",
        "_categories",
        "_free",
        "_key",
        "_notification",
        "_now",
        "_order",
        "_passed",
        "_settings",
    )

    def __init__(
        self,
        notification: Notification,
        settings: ProjectSettings,
        categories: Mapping[str, Category],
        now: Millis,
    ) -> None:
        category = categories[notification.message.category]
        self._notification, self._settings, self._categories, self._now = notification, settings, categories, now
        self._key = notification.key
        self._caps = [
            _Rule(
                cap,
                cap.limit,
                now - cap.per.seconds * 1000 + 1 if isinstance(cap.per, Rolling) else None,
                {},
                cap.category,
                cap.class_,
                cap.channel,
            )
            for cap in applying(settings, category)
        ]
        self._order = _order(notification.message.priority, notification.expires_at, notification.key or _NOBODY)
        self._passed: dict[int, Ruling] = {}  # by how many places are taken under each cap
        mandatory = category.class_ is CategoryClass.MANDATORY
        free = Ruling(None, "; ".join(_Look(rule.cap, 0, 0, None).words() for rule in self._caps))
        self._free = free if self._caps else _MANDATORY if mandatory else _NONE

    def __call__(self, recipient: Recipient, taken: Sequence[Taken], waiting: Sequence[Waiting]) -> Ruling:
        """`taken` and `waiting` are the person's own; what this notification has of them does not count."""
        if not self._caps or not (taken or waiting):
            return self._free
        if waiting:
            return self._narrowly(recipient, taken, waiting)
        own, key, zone = self._key, 0, recipient.zone or recipient.timezone
        # As `_used` does it, without a list and a call: this is asked for each person.
        for rule in self._caps:
            _, limit, start, starts, category, class_, channel = rule
            if start is None:
                start = starts.get(zone) or self._start(rule, recipient)
            used = 0
            for place in taken:
                if (
                    place.at >= start
                    and place.notification != own
                    and (category is None or place.category == category)
                    and (class_ is None or place.class_ == class_)
                    and (channel is None or place.channel == channel)
                ):
                    used += 1
            if used >= limit:
                return self._narrowly(recipient, taken, waiting)
            key = key * _MORE_THAN_A_LIMIT + used
        return self._passed.get(key) or self._pass(key, recipient, taken)

    def _pass(self, key: int, recipient: Recipient, taken: Sequence[Taken]) -> Ruling:
        looks = [_Look(rule.cap, len(self._used(rule, recipient, taken)), 0, None) for rule in self._caps]
        passed = self._passed[key] = Ruling(None, "; ".join(look.words() for look in looks))
        return passed

    def _narrowly(self, recipient: Recipient, taken: Sequence[Taken], waiting: Sequence[Waiting]) -> Ruling:
        """Where a cap is full, or others wait."""
        looks = [self._look(rule, recipient, taken, waiting) for rule in self._caps]
        full = [look for look in looks if look.again_at is not None]
        if not full:
            return Ruling(None, "; ".join(look.words() for look in looks))
        dropping = [look for look in full if look.cap.at_cap == "drop"]
        if dropping:
            return Ruling(Reason.CAP_REACHED, "; ".join(look.words() for look in dropping))
        return self._wait(full)

    def _wait(self, full: Sequence[_Look]) -> Ruling:
        words = "; ".join(look.words() for look in full)
        until = max(look.again_at or 0 for look in full)
        if until >= self._notification.expires_at:
            return Ruling(Reason.EXPIRED, f"{words}; would arrive stale")
        return Ruling(Reason.CAP_WAIT, words, until)

    def _used(self, rule: _Rule, recipient: Recipient, taken: Sequence[Taken]) -> list[Millis]:
        """When the places were taken that count."""
        start, own = self._start(rule, recipient), self._key
        return [
            place.at
            for place in taken
            if place.at >= start
            and place.notification != own
            and _counts(rule.cap, place.category, place.class_, place.channel)
        ]

    def _start(self, rule: _Rule, recipient: Recipient) -> Millis:
        """The first moment of the window."""
        if rule.start is not None:
            return rule.start
        start = rule.starts[recipient.zone or recipient.timezone] = self._span(rule.cap, recipient).start
        return start

    def _look(self, rule: _Rule, recipient: Recipient, taken: Sequence[Taken], waiting: Sequence[Waiting]) -> _Look:
        cap, used = rule.cap, self._used(rule, recipient, taken)
        ahead = self._ahead(cap, waiting) if waiting and cap.at_cap == "wait" else []
        if cap.limit - len(used) > len(ahead):
            return _Look(cap, len(used), len(ahead), None)
        if len(used) < cap.limit:  # free, but for those ahead
            again_at = max(self._now + AGAIN_MS, min(one.until for one in ahead))
        elif isinstance(cap.per, Rolling):
            again_at = sorted(used)[len(used) - cap.limit] + cap.per.seconds * 1000
        else:
            again_at = self._span(cap, recipient).end
        return _Look(cap, len(used), len(ahead), again_at)

    def _span(self, cap: Cap, recipient: Recipient) -> Span:
        """The person's day or week."""
        zone = zone_there(recipient, self._settings)
        return calendar_day(self._now, zone) if cap.per == "day" else calendar_week(self._now, zone)

    def _ahead(self, cap: Cap, waiting: Sequence[Waiting]) -> list[Waiting]:
        """Those who wait for a place under the same cap and come before us."""
        return [
            one
            for one in waiting
            if one.expires_at > self._now
            and one.notification != self._notification.key
            and _order(one.priority, one.expires_at, one.notification) < self._order
            and (category := self._categories.get(one.category)) is not None
            and category.class_ is not CategoryClass.MANDATORY
            and _counts(cap, category.name, category.class_, Channel.PUSH)
        ]


# --- what a decision changes for those after it ----------------------------------------------------------------------


def slot(notification: Notification, user: Key, category: Category, now: Millis) -> Slot | None:
    """The place that a notification takes that is sent to a person; None for a mandatory one."""
    if category.class_ is CategoryClass.MANDATORY:
        return None
    armed = notification.is_armed
    at = max(now, notification.armed_until or 0) if armed else now
    return Slot(user, notification.key, at, category.name, category.class_.value, Channel.PUSH.value, armed)


def place(slot: Slot) -> Taken:
    """A place as those see it who are decided after it."""
    return Taken(slot.user, slot.at, slot.notification, slot.category, slot.class_, slot.channel)


def turn(notification: Notification, until: Millis) -> Waiting:
    """One who waits, as those see it who are decided after it."""
    message = notification.message
    return Waiting(notification.key, message.category, message.priority, notification.expires_at, until)


def by_turn(notification: Notification) -> tuple[int, Millis, Key]:
    """Who comes first: priority, then expiry, then the older."""
    return _order(notification.message.priority, notification.expires_at, notification.key)


def _order(priority: int, expires_at: Millis, key: Key) -> tuple[int, Millis, Key]:
    return (-priority, expires_at, key)


def _counts(cap: Cap, category: str, class_: str, channel: str) -> bool:
    return (
        (cap.category is None or cap.category == category)
        and (cap.class_ is None or cap.class_ == class_)
        and (cap.channel is None or cap.channel == channel)
    )


def _reach(cap: Cap) -> Millis:
    return cap.per.seconds * 1000 if isinstance(cap.per, Rolling) else LONGEST_CALENDAR_MS[cap.per]


def _window(cap: Cap) -> str:
    if not isinstance(cap.per, Rolling):
        return "today" if cap.per == "day" else "this week"
    for seconds, unit in ((3600, "h"), (60, "min")):
        if cap.per.seconds % seconds == 0:
            return f"in {cap.per.seconds // seconds} {unit}"
    return f"in {cap.per.seconds} s"


# --- what a project may set ------------------------------------------------------------------------------------------


def check_caps(caps: Sequence[Cap], categories: Mapping[str, Category]) -> list[FieldError]:
    """Contradictions: the fields that cannot be meant."""
    found: list[FieldError] = []
    names: dict[str, int] = {}
    scopes: dict[tuple[object, ...], int] = {}
    for at, cap in enumerate(caps):
        first = names.setdefault(cap.name, at)
        if first != at:
            found.append(FieldError(f"caps[{at}].name", f"is the name of caps[{first}] already"))
        same = scopes.setdefault((cap.per, cap.class_, cap.category, cap.channel), at)
        if same != at and first == at:
            found.append(FieldError(f"caps[{at}]", f"counts the same messages in the same window as caps[{same}]"))
        found += _check_scope(f"caps[{at}]", cap, categories)
    return found


def _check_scope(field: str, cap: Cap, categories: Mapping[str, Category]) -> list[FieldError]:
    category = categories.get(cap.category) if cap.category is not None else None
    if cap.class_ is CategoryClass.MANDATORY:
        return [FieldError(f"{field}.class", "mandatory messages are never capped")]
    if category is None:
        unknown = FieldError(f"{field}.category", f"there is no category {cap.category}")
        return [] if cap.category is None else [unknown]
    if category.class_ is CategoryClass.MANDATORY:
        return [FieldError(f"{field}.category", f"{cap.category} is mandatory, and never capped")]
    found: list[FieldError] = []
    if cap.class_ not in {None, category.class_}:
        found.append(FieldError(f"{field}.class", f"{cap.category} is {category.class_}: no message is in both"))
    if cap.channel is not None and cap.channel not in category.channels:
        found.append(FieldError(f"{field}.channel", f"{cap.category} does not use the channel {cap.channel}"))
    return found
