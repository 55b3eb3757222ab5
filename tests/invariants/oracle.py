"""The rules as anybody would read them: no code that is under test decides anything here.

`Book` writes down what people said and did, and what was handed to providers, and says what is wrong with that.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from clarion.model import (
    WEEKDAYS,
    Cap,
    CategoryClass,
    Key,
    Millis,
    Permission,
    QuietHours,
    Rolling,
)
from invariants.nouns import Kind, Laws, Person, Phone, Sent, Told

LATE_MS = 2_000
FRESH_MS = 10_000
"""A decision that is younger may leave without another look at conditions, zones and wishes of the same seconds."""
ALLOWED = {Permission.GRANTED, Permission.PROVISIONAL}
NEVER_OF_MANDATORY = {"cap_reached", "cap_wait", "quiet_hours", "digest", "irrelevant", "holdout", "best_time"}
HOLDS = {"quiet_hours", "best_time", "cap_wait", "schedule", "provider_down", "digest"}
TAKEN_BACK = {"cancelled", "opted_out", "irrelevant"}


def clock_says(window: QuietHours, wall: datetime) -> bool:
    now, days = wall.strftime("%H:%M"), window.days or WEEKDAYS
    today, yesterday = WEEKDAYS[wall.weekday()], WEEKDAYS[(wall - timedelta(days=1)).weekday()]
    if window.start < window.end:
        return window.start <= now < window.end and today in days
    return (now >= window.start and today in days) or (now < window.end and yesterday in days)


def utc(moment: Millis) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)


class Book:
    """What happened, and what must not."""

    def __init__(self, laws: Laws) -> None:
        self.laws = laws
        self.people: list[Person] = []
        self.phones: list[Phone] = []
        self.told: dict[Key, Told] = {}
        self.sent: list[Sent] = []
        self.handed: dict[tuple[Key, Key], int] = {}  # (notification, device) → how often a provider took it
        self.moved: set[Key] = set()  # devices that went to somebody else: a delivery may stand under their name
        self.ids: dict[bytes, tuple[Key, Key]] = {}
        self.perhaps_again: set[tuple[Key, Key]] = set()  # taken by a provider, and nobody wrote that down
        self.decided: dict[tuple[Key, Person], str] = {}
        self.ever_sent: set[tuple[Key, Person]] = set()
        self._lines = 0

    # --- what people do ----------------------------------------------------------------------------------------------

    def here(self) -> list[Person]:
        return [one for one in self.people if one.left_at is None]

    def person(self, key: Key) -> Person:
        return next(one for one in self.people if one.key == key)

    def called(self, user_id: str) -> Person | None:
        return next((one for one in self.here() if one.user_id == user_id), None)

    def phones_of(self, person: Person) -> list[Phone]:
        return [phone for phone in self.phones if phone.owner is person]

    def says(self, person: Person, category: str, granted: bool, said: Millis) -> None:
        self._lines += 1
        person.ledger.append((self._lines, category, said, granted))

    def said_elsewhere(self, person: Person, category: str, granted: bool, said: Millis) -> None:
        """Only what is newer than the last word counts; of two at once the no."""
        lines = [(when, yes) for _, about, when, yes in person.ledger if about == category]
        if not lines or said > lines[-1][0] or (said == lines[-1][0] and lines[-1][1] and not granted):
            self.says(person, category, granted, said)

    def becomes(self, former: Person, known: Person, now: Millis) -> None:
        refused = {name for one in (former, known) for name in self.laws.kinds if one.word(name) is False}
        known.ledger = sorted([*former.ledger, *known.ledger])
        for name in sorted(refused):
            if known.word(name):
                self.says(known, name, False, now)
        known.quiet = known.quiet or former.quiet
        pauses = [one for one in (former.paused_until, known.paused_until) if one is not None]
        known.paused_until = max(pauses, default=None)
        known.paid += former.paid
        known.rest_changed_at = now
        for phone in self.phones_of(former):
            phone.owner = known
        former.into, former.left_at = known, now
        for (key, person), reason in list(self.decided.items()):
            if person is former:
                del self.decided[key, person]
                before = self.decided.setdefault((key, known), reason)
                if reason == "send" and before != "send":  # what was sent to either was sent
                    self.decided[key, known] = reason
        self.ever_sent |= {(key, known) for key, person in self.ever_sent if person is former}
        self.look_at_zones(now)

    def leaves(self, person: Person, now: Millis) -> None:
        person.left_at = now
        self.phones = [phone for phone in self.phones if phone.owner is not person]

    def look_at_zones(self, now: Millis) -> None:
        """Their own, else that of the active device that registered last."""
        for person in self.here():
            zone = person.told_zone
            if zone is None:
                mine = [phone for phone in self.phones_of(person) if phone.active and phone.zone]
                zone = max(mine, key=lambda phone: (phone.registered_at, phone.key)).zone if mine else None
            if not person.zones or person.zones[-1][1] != zone:
                person.zones.append((now, zone))
                person.rest_changed_at = now

    # --- what the rules say ------------------------------------------------------------------------------------------

    @staticmethod
    def meant(told: Told, person: Person) -> bool:
        """What is armed is for whoever bears the names at the fire."""
        if told.named is None or any(one.present is person for one in told.named):
            return True
        return told.armed and person.user_id in {one.user_id for one in told.named}

    def kind(self, told: Told) -> Kind:
        return self.laws.kinds[told.message.category]

    def mandatory(self, told: Told) -> bool:
        return self.kind(told).class_ is CategoryClass.MANDATORY

    def wants(self, person: Person, kind: Kind, now: Millis) -> bool:
        settings = self.laws.settings
        if kind.class_ is CategoryClass.MANDATORY and not settings.mandatory_can_be_switched_off:
            return True
        marketing = kind.class_ is CategoryClass.MARKETING
        word = person.word(kind.name)
        if word is None:
            word = not marketing or settings.marketing_consent == "opt_out"
        return word and not (marketing and person.paused_until is not None and person.paused_until > now)

    def quiet(self, person: Person, kind: Kind, now: Millis) -> bool:
        if kind.class_ is CategoryClass.MANDATORY:
            return False
        windows = [self.laws.settings.quiet_hours if kind.quiet is None else kind.quiet, person.quiet]
        zone = person.zone_at(now)
        if zone is None and self.laws.settings.missing_zone == "hold_quiet":
            walls = [utc(now) + timedelta(minutes=offset) for offset in range(-12 * 60, 14 * 60 + 1, 15)]
        else:
            walls = [utc(now).astimezone(ZoneInfo(zone or self.laws.settings.default_timezone))]
        real = [window for window in windows if isinstance(window, QuietHours)]
        return any(clock_says(window, wall) for window in real for wall in walls)

    def held_out(self, told: Told, user_id: str) -> bool:
        groups = [("", self.laws.settings.holdout_percent)]
        if told.message.holdout is not None:
            groups.append((told.message.holdout.key, told.message.holdout.percent))
        for key, percent in groups:
            hashed = blake2b(f"{self.laws.project_id}\n{key}\n{user_id}".encode()).digest()
            if int.from_bytes(hashed[:8]) / 2**64 < percent / 100:
                return True
        return False

    def pointless_since(self, told: Told, person: Person) -> Millis | None:
        """Since when it does not matter any more; None: it does."""
        found = []
        if told.message.unless_event is not None:
            found += [at for at in person.paid if at >= told.notification.created_at]
        if told.message.condition is not None and not (person.is_open and person.is_open[-1][1]):
            found.append(person.is_open[-1][0] if person.is_open else 0)
        return min(found, default=None)

    # --- a message leaves --------------------------------------------------------------------------------------------

    def leaves_now(self, ready: Any, address: str, decided_at: Millis | None, now: Millis) -> None:
        """Everything that must hold at the moment of the hand-over; `decided_at` None: prepared, and fired."""
        told, former = self.told[ready.notification], self.person(ready.user)
        person, kind = former.present, self.kind(told)
        phone = next((one for one in self.phones if one.address == address), None)
        assert person.left_at is None, "to somebody who was erased"
        assert phone is not None, "to a device that is not there"
        assert phone.key == ready.device
        assert phone.owner is person, "to somebody else's device"
        assert phone.active, "to a device that is gone"
        assert phone.permission in ALLOWED, f"without permission: {phone.permission}"
        assert self.wants(person, kind, now), f"without consent to {kind.name}"
        assert not told.cancelled, "after the cancellation"
        assert not told.armed or told.fired_at is not None, "before the fire"
        assert told.notification.send_at is None or now >= told.notification.send_at, "before its time"
        assert self.meant(told, person), "to somebody who was not meant"
        begun = told.fired_at or told.notification.send_at or told.notification.created_at
        assert now <= begun + told.message.ttl * 1000 + LATE_MS, "stale"
        if not self.mandatory(told):
            young = decided_at is not None and now - decided_at < FRESH_MS
            late = young and person.rest_changed_at >= (decided_at or 0)
            assert late or not self.quiet(person, kind, now), "in quiet hours"
            assert not self.held_out(told, former.user_id), "to a control group"
            since = self.pointless_since(told, person)
            assert since is None or (young and since >= (decided_at or 0)), "although it is pointless"
        assert self.ids.setdefault(ready.id, (ready.notification, ready.device)) == (ready.notification, ready.device)

    def taken(self, ready: Any, place: Millis, now: Millis, *, written: bool) -> None:
        """A provider took it. Unless that was written down, another worker does it again, and cannot know."""
        told, person = self.told[ready.notification], self.person(ready.user)
        pair = (ready.notification, ready.device)
        times = self.handed[pair] = self.handed.get(pair, 0) + 1
        assert times == 1 or pair in self.perhaps_again, "the same twice on one device"
        if written:
            self.sent.append(Sent(told, person, ready.device, place, now))
        else:
            self.perhaps_again.add(pair)

    # --- a decision is written ---------------------------------------------------------------------------------------

    def decides(self, told: Told, user_id: str, reason: str) -> None:
        """Holds come before the one final decision; only a send of which nothing left is taken back."""
        person = self.called(user_id)
        assert person is not None, f"a decision about {user_id}, who is gone"
        pair = (told.notification.key, person)
        before = self.decided.get(pair)
        self.decided[pair] = reason
        if reason == "send":
            self.ever_sent.add(pair)
        if self.mandatory(told):
            assert reason not in NEVER_OF_MANDATORY, f"mandatory, and {reason}"
        if before in {None, reason, *HOLDS}:
            return
        left = any(one.told is told and one.person.present is person for one in self.sent)
        taken_back = before == "send" and reason in TAKEN_BACK
        allowed = not left and (taken_back or told.armed)
        assert allowed, f"{before} became {reason}" + (" after it left" if left else "")

    # --- all is over -------------------------------------------------------------------------------------------------

    def settled(self, told: Told, decisions: Sequence[Any], deliveries: Sequence[Any]) -> None:
        """What must hold of a notification once nothing waits any more."""
        found = {one.user_id: str(one.reason) for one in decisions}
        assert len(found) == len(decisions), "two decisions for one candidate"
        assert not HOLDS & set(found.values()), f"never finally decided: {found}"
        meant = told.there if told.named is None else told.named
        for person in {one.present for one in meant if not one.gone}:
            assert person.user_id in found, f"no decision for {person.user_id}"
        for user_id, reason in found.items():
            assert self._plausible(told, user_id, reason), f"{reason} for {user_id}, without any reason"
        for one in deliveries:
            person = self.called(one.user_id)
            assert person is not None
            assert (told.notification.key, person) in self.ever_sent, "a delivery of what was not to be sent"
            assert one.state != 0, "a delivery that waits for ever"
            if one.state >= 3:
                assert found[one.user_id] == "send", f"accepted, and decided {found[one.user_id]}"
        self._known_of(told, found, deliveries)

    def _known_of(self, told: Told, found: dict[str, str], deliveries: Sequence[Any]) -> None:
        """What left is known to have left, and nothing else is."""
        left = {one.device for one in self.sent if one.told is told and not one.person.gone}
        perhaps = {device for key, device in self.perhaps_again if key == told.notification.key}
        accepted = {one.device for one in deliveries if one.state >= 3}
        assert left <= accepted, "it left, and nobody knows"
        assert accepted <= left | perhaps, "it is said to have left, and did not"
        whom = {one.user_id for one in deliveries}
        for user_id, reason in found.items():
            if (not told.armed or told.fired_at is not None) and self.moved.isdisjoint(
                one.device for one in deliveries
            ):
                assert reason != "send" or user_id in whom, f"decided to send to {user_id}, and never tried"

    def _plausible(self, told: Told, user_id: str, reason: str) -> bool:
        message, person, kind, settings = told.message, self.called(user_id), self.kind(told), self.laws.settings
        assert person is not None
        marketing = kind.class_ is CategoryClass.MARKETING
        switched = not self.mandatory(told) or settings.mandatory_can_be_switched_off
        refused = any(not yes for _, about, _, yes in person.ledger if about == message.category)
        may_be: dict[str, object] = {
            "cancelled": told.cancelled,
            "holdout": not self.mandatory(told) and (settings.holdout_percent or message.holdout),
            "irrelevant": message.condition or message.unless_event,
            "duplicate": message.content_key,
            "cap_reached": any(counts(cap, kind) and cap.at_cap == "drop" for cap in settings.caps),
            "no_consent": marketing,
            "opted_out": switched and (refused or marketing),  # marketing may have been paused
        }
        return bool(may_be.get(reason, reason in {"send", "no_permission", "no_device", "expired"}))

    def no_cap_is_exceeded(self) -> None:
        """Every window that ends with something that was sent."""
        for cap in self.laws.settings.caps:
            entries = self._first_of_each(one for one in self.sent if counts(cap, self.kind(one.told)))
            for last in entries:
                who = last.person.at(last.place)
                mine = [one.place for one in entries if one.place <= last.place and one.person.at(last.place) is who]
                zone = ZoneInfo(who.zone_at(last.place) or self.laws.settings.default_timezone)
                among = [at for at in mine if same_window(cap, at, last.place, zone)]
                assert len(among) <= cap.limit, f"{cap.name}: {len(among)} of {cap.limit} to {who.user_id}, {among}"

    def nothing_is_said_twice(self) -> None:
        """The same content key to the same person within its window."""
        entries = self._first_of_each(one for one in self.sent if one.told.message.content_key is not None)
        for last in entries:
            who, message = last.person.at(last.place), last.told.message
            for one in entries:
                earlier = one is not last and last.place - message.content_window * 1000 < one.place <= last.place
                if earlier and one.told.message.content_key == message.content_key and one.person.at(last.place) is who:
                    raise AssertionError(f"the same content twice to {who.user_id}")

    @staticmethod
    def _first_of_each(sent: Iterable[Sent]) -> list[Sent]:
        """A notification counts once for a person, however many devices they have."""
        first: dict[tuple[Key, Person], Sent] = {}
        for one in sorted(sent, key=lambda each: each.place):
            first.setdefault((one.told.notification.key, one.person.at(one.place)), one)
        return list(first.values())


def counts(cap: Cap, kind: Kind) -> bool:
    mandatory = kind.class_ is CategoryClass.MANDATORY
    return not mandatory and cap.category in {None, kind.name} and cap.class_ in {None, kind.class_}


def same_window(cap: Cap, at: Millis, last: Millis, zone: ZoneInfo) -> bool:
    if isinstance(cap.per, Rolling):
        return last - cap.per.seconds * 1000 < at
    there, then = utc(last).astimezone(zone), utc(at).astimezone(zone)
    if cap.per == "day":
        return there.date() == then.date()
    return there.isocalendar()[:2] == then.isocalendar()[:2]
