"""How anybody would read the rules, one at a time: nothing here asks the code that is under test."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from clarion.model import WEEKDAYS, Cap, CategoryClass, LocalTime, Millis, ProjectSettings, QuietHours, Rolling
from invariants.nouns import Kind, Person, Told


def utc(moment: Millis) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)


def millis(moment: datetime) -> Millis:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def zone_of(person: Person, settings: ProjectSettings, moment: Millis) -> ZoneInfo:
    return ZoneInfo(person.zone_at(moment) or settings.default_timezone)


# --- quiet hours ------------------------------------------------------------------------------------------------------


def is_quiet(person: Person, kind: Kind, settings: ProjectSettings, now: Millis) -> bool:
    if kind.mandatory:
        return False
    windows = [settings.quiet_hours if kind.quiet is None else kind.quiet, person.quiet]
    if person.zone_at(now) is None and settings.missing_zone == "hold_quiet":
        walls = [utc(now) + timedelta(minutes=offset) for offset in range(-12 * 60, 14 * 60 + 1, 15)]
    else:
        walls = [utc(now).astimezone(zone_of(person, settings, now))]
    real = [window for window in windows if isinstance(window, QuietHours)]
    return any(_clock_says(window, wall) for window in real for wall in walls)


def _clock_says(window: QuietHours, wall: datetime) -> bool:
    now, days = wall.strftime("%H:%M"), window.days or WEEKDAYS
    today, yesterday = WEEKDAYS[wall.weekday()], WEEKDAYS[(wall - timedelta(days=1)).weekday()]
    if window.start < window.end:
        return window.start <= now < window.end and today in days
    return (now >= window.start and today in days) or (now < window.end and yesterday in days)


# --- a time on each wall ----------------------------------------------------------------------------------------------


def turn_of(local: LocalTime, zone: ZoneInfo, begins_at: Millis) -> Millis | None:
    """When it is the turn of people in a zone; None: never. Only for times that no change of clocks leaves out."""
    today = utc(begins_at).astimezone(zone).date()
    named = date.fromisoformat(local.at[:10]) if "T" in local.at else today
    moment = _on_wall(named, local.at[-5:], zone)
    if moment >= begins_at:
        return moment
    if local.passed == "skip":
        return None
    return begins_at if local.passed == "at_once" else next_on_wall(local.at[-5:], zone, begins_at)


def next_on_wall(clock: str, zone: ZoneInfo, since: Millis) -> Millis:
    """The first moment from `since` on when a clock there says so."""
    today = utc(since).astimezone(zone).date()
    days = (today + timedelta(days=number) for number in range(-1, 3))
    return min(moment for day in days if (moment := _on_wall(day, clock, zone)) >= since)


def _on_wall(day: date, clock: str, zone: ZoneInfo) -> Millis:
    return millis(datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=zone))


# --- caps -------------------------------------------------------------------------------------------------------------


def caps_on(settings: ProjectSettings, kind: Kind) -> Iterator[Cap]:
    return (cap for cap in settings.caps if counts(cap, kind))


def counts(cap: Cap, kind: Kind) -> bool:
    return not kind.mandatory and cap.category in {None, kind.name} and cap.class_ in {None, kind.class_}


def same_window(cap: Cap, at: Millis, last: Millis, zone: ZoneInfo) -> bool:
    if isinstance(cap.per, Rolling):
        return last - cap.per.seconds * 1000 < at
    there, then = utc(last).astimezone(zone), utc(at).astimezone(zone)
    if cap.per == "day":
        return there.date() == then.date()
    return there.isocalendar()[:2] == then.isocalendar()[:2]


# --- consent, control groups, conditions ------------------------------------------------------------------------------


def wants(person: Person, kind: Kind, settings: ProjectSettings, now: Millis) -> bool:
    if kind.mandatory and not settings.mandatory_can_be_switched_off:
        return True
    marketing = kind.class_ is CategoryClass.MARKETING
    word = person.word(kind.name, "push")
    if word is None:
        word = not marketing or settings.marketing_consent == "opt_out"
    return word and not (marketing and person.paused_until is not None and person.paused_until > now)


def is_held_out(told: Told, user_id: str, project_id: str, settings: ProjectSettings) -> bool:
    groups = [("", settings.holdout_percent)]
    if told.message.holdout is not None:
        groups.append((told.message.holdout.key, told.message.holdout.percent))
    return any(_is_below(percent, f"{project_id}\n{key}\n{user_id}") for key, percent in groups)


def waits_for_a_winner(told: Told, user_id: str, project_id: str, now: Millis) -> bool:
    """Whether they are not among the first, and it is still tried out."""
    winner, until = told.message.winner, told.notification.winner_at
    if winner is None or until is None or now >= until:
        return False
    return not _is_below(winner.share, f"{project_id}\n\ntrial\n{told.notification.experiment_key}\n{user_id}")


def _is_below(percent: float, hashed: str) -> bool:
    return int.from_bytes(blake2b(hashed.encode()).digest()[:8]) / 2**64 < percent / 100


def pointless_since(told: Told, person: Person) -> Millis | None:
    """Since when it does not matter any more; None: it does."""
    found = []
    if told.message.unless_event is not None:
        found += [at for at in person.paid if at >= told.notification.created_at]
    if told.message.condition is not None and not (person.is_open and person.is_open[-1][1]):
        found.append(person.is_open[-1][0] if person.is_open else 0)
    return min(found, default=None)
