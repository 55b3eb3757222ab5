"""A book of what people said and did, and of what was decided and handed over; it says what is wrong with that.

The rules that it goes by are in `readings.py`, the reasons that a decision may have in `reasons.py`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from clarion.model import Key, Millis, Permission
from clarion.ports import Outgoing
from invariants.nouns import About, Kind, Laws, Person, Phone, Sent, Told
from invariants.readings import (
    counts,
    is_held_out,
    is_quiet,
    pointless_since,
    same_window,
    turn_of,
    wants,
    zone_of,
)
from story.world import payload

LATE_MS = 2_000
FRESH_MS = 10_000
"""A decision that is younger may leave without another look at conditions, zones and wishes of the same seconds."""
ALLOWED = {Permission.GRANTED, Permission.PROVISIONAL}
HOLDS = {"quiet_hours", "best_time", "cap_wait", "schedule", "provider_down", "digest", "experiment", "paused"}
SENDS = {"send", "in_digest"}
TAKEN_BACK = {"cancelled", "opted_out", "irrelevant", "superseded"}


class Book:
    """What happened, and what must not."""

    def __init__(self, laws: Laws) -> None:
        self.laws = laws
        self.people: list[Person] = []
        self.phones: list[Phone] = []
        self.told: dict[Key, Told] = {}
        self.sent: list[Sent] = []
        self.handed: dict[tuple[Key, Key], list[Person]] = {}  # (notification, device) → for whom a provider took it
        self.ids: dict[bytes, tuple[Key, Key]] = {}
        self.titles: dict[tuple[Key, Key], str] = {}  # (notification, person) → in which words
        self.perhaps_again: set[tuple[Key, Key]] = set()  # taken by a provider, and nobody wrote that down
        self.decided: dict[tuple[Key, Person], tuple[str, Millis]] = {}
        self.ever_sent: dict[tuple[Key, Person], Millis] = {}  # when it was first decided so
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

    def says(self, person: Person, category: str, channel: str | None, granted: bool, said: Millis) -> None:
        """Without a channel it is about all that the category has."""
        for each in self.laws.kinds[category].channels if channel is None else (channel,):
            self._line(person, (category, each), granted, said)

    def _line(self, person: Person, about: About, granted: bool, said: Millis) -> None:
        self._lines += 1
        person.ledger.append((self._lines, about, said, granted))

    def said_elsewhere(self, person: Person, category: str, granted: bool, said: Millis) -> None:
        """Only what is newer than the last word counts; of two at once the no."""
        for channel in self.laws.kinds[category].channels:
            about = category, channel
            lines = [(when, yes) for _, other, when, yes in person.ledger if other == about]
            if not lines or said > lines[-1][0] or (said == lines[-1][0] and lines[-1][1] and not granted):
                self._line(person, about, granted, said)

    def becomes(self, former: Person, known: Person, now: Millis) -> None:
        every = {about for one in (former, known) for _, about, _, _ in one.ledger}
        refused = {about for one in (former, known) for about in every if one.word(*about) is False}
        known.ledger = sorted([*former.ledger, *known.ledger])
        for about in sorted(refused):
            if known.word(*about):
                self._line(known, about, False, now)
        known.quiet = known.quiet or former.quiet
        pauses = [one for one in (former.paused_until, known.paused_until) if one is not None]
        known.paused_until = max(pauses, default=None)
        known.paid += former.paid
        known.rest_changed_at = now
        for phone in self.phones_of(former):
            phone.owner = known
        former.into, former.left_at = known, now
        self._decided_for(former, known)
        self.look_at_zones(now)

    def _decided_for(self, former: Person, known: Person) -> None:
        """What was sent to either was sent."""
        for (key, person), decision in list(self.decided.items()):
            if person is former:
                del self.decided[key, person]
                before = self.decided.setdefault((key, known), decision)
                if decision[0] in SENDS and before[0] not in SENDS:
                    self.decided[key, known] = decision
        for (key, person), at in list(self.ever_sent.items()):
            if person is former:
                self.ever_sent[key, known] = min(at, self.ever_sent.get((key, known), at))

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

    # --- what holds of a notification --------------------------------------------------------------------------------

    def kind(self, told: Told) -> Kind:
        return self.laws.kinds[told.message.category]

    def meant(self, told: Told, person: Person) -> bool:
        """What is armed is for whoever bears the names at the fire; an update for whom the first one was for."""
        if told.updates:
            return self.meant(told.family[0], person)
        if told.named is None or any(one.present is person for one in told.named):
            return True
        return told.armed and person.user_id in {one.user_id for one in told.named}

    def takes_a_place(self, told: Told, person: Person) -> bool:
        """Whether something that was to be sent to them before stands where it goes: it needs no other leave."""
        return any((one.notification.key, person) in self.ever_sent for one in told.family if one is not told)

    def place(self, told: Told, person: Person, decided_at: Millis) -> Millis:
        """Since when it counts under caps."""
        if not self.takes_a_place(told, person):
            return decided_at
        return min(at for one in told.family if (at := self.ever_sent.get((one.notification.key, person))) is not None)

    def stands_on_a_screen(self, told: Told, person: Person) -> bool:
        return any(one.told in told.family and one.person.present is person for one in self.sent)

    def makes_no_sound(self, told: Told, person: Person) -> bool:
        update = told.notification.update
        return update is not None and not update.renotify and self.stands_on_a_screen(told, person)

    def turn(self, told: Told, person: Person, moment: Millis) -> Millis | None:
        """When it should reach them, by what was known at a moment; None: not at all."""
        local, begins_at = told.notification.local_time, told.notification.begins_at
        if local is None:
            return told.fired_at or begins_at
        return turn_of(local, zone_of(person, self.laws.settings, moment), begins_at)

    def is_quiet(self, told: Told, person: Person, now: Millis) -> bool:
        return not self.makes_no_sound(told, person) and is_quiet(person, self.kind(told), self.laws.settings, now)

    def wants(self, told: Told, person: Person, now: Millis) -> bool:
        return told.withdraws or wants(person, self.kind(told), self.laws.settings, now)

    def is_held_out(self, told: Told, user_id: str) -> bool:
        every = [told, *told.items]
        return any(is_held_out(one, user_id, self.laws.project_id, self.laws.settings) for one in every)

    # --- a message leaves --------------------------------------------------------------------------------------------

    def leaves_now(self, message: Outgoing, decided_at: Millis | None, now: Millis) -> None:
        """Everything that must hold at the moment of the hand-over; `decided_at` None: prepared, and fired."""
        ready, address = message.ready, message.address.address
        told, former = self.told[ready.notification], self.person(ready.user)
        person = former.present
        phone = next((one for one in self.phones if one.address.endswith(f"/{address.rpartition('/')[2]}")), None)
        assert not person.gone, "to somebody who was erased"
        assert phone is not None, "to a device that is not there"
        assert phone.key == ready.device
        assert phone.owner is person, "to somebody else's device"
        assert phone.active, "to a device that is gone"
        assert phone.permission in ALLOWED, f"without permission: {phone.permission}"
        assert self.wants(told, person, now), f"without consent to {told.message.category}"
        assert not told.cancelled, "after the cancellation"
        assert not told.paused, "while it is paused"
        assert told.newest, "after it was replaced"
        assert not told.waits_for_fire, "before the fire"
        assert self.meant(told, person), "to somebody who was not meant"
        self._in_time(told, former, decided_at, now)
        if not self.kind(told).mandatory:
            self._spared(told, former, decided_at, now)
        self._in_its_own_words(message)

    def _in_time(self, told: Told, former: Person, decided_at: Millis | None, now: Millis) -> None:
        moment = now if decided_at is None else decided_at
        turn, ends_at = self.turn(told, former.at(moment), moment), told.notification.ends_at
        assert turn is not None, "although its time was over"
        assert moment >= turn, "before its time"
        end = turn + told.message.ttl * 1000
        assert now <= (end if ends_at is None else min(end, ends_at)) + LATE_MS, "stale"

    def _spared(self, told: Told, former: Person, decided_at: Millis | None, now: Millis) -> None:
        """`young`: what came to pass in the same seconds may have been missed."""
        person, since = former.present, decided_at or 0
        young = decided_at is not None and now - decided_at < FRESH_MS
        asked_late = young and person.rest_changed_at >= since
        assert asked_late or told.withdraws or not self.is_quiet(told, person, now), "in quiet hours"
        if not self.takes_a_place(told, person):
            assert not self.is_held_out(told, former.user_id), "to a control group"
            over = pointless_since(told, person)
            assert over is None or (young and over >= since), "although it is pointless"

    def _in_its_own_words(self, message: Outgoing) -> None:
        """However often, and to however many devices: the same delivery, and the same variant."""
        ready = message.ready
        delivery = ready.notification, ready.device
        assert self.ids.setdefault(ready.id, delivery) == delivery
        title = payload(message).get("title", "")
        said = self.titles.setdefault((ready.notification, ready.user), title)
        assert said == title, f"{said} on one device, and {title} on another"

    def taken(self, ready: Any, place: Millis, now: Millis, *, written: bool, is_theirs: bool) -> None:
        """A provider took it. Unless that was written down, another worker does it again, and cannot know.

        `is_theirs`: that of the worker by then; who was too slow cannot know that it was done.
        """
        told, person = self.told[ready.notification], self.person(ready.user)
        for each in (told, *told.items):
            pair = each.notification.key, ready.device
            again = {pair, (told.notification.key, ready.device)} & self.perhaps_again
            before = self.handed.setdefault(pair, [])
            assert again or not is_theirs or all(one.present is not person.present for one in before), (
                "the same twice on one device"
            )
            before.append(person)
            if not written:
                self.perhaps_again.add(pair)
        if written:
            self.sent.append(Sent(told, person, ready.device, place, now))

    # --- a decision is written ---------------------------------------------------------------------------------------

    def decides(self, told: Told, user_id: str, reason: str, at: Millis) -> bool:
        """Holds come before the one final decision; only a send of which nothing left is taken back.

        Whether it is news.
        """
        person = self.called(user_id)
        assert person is not None, f"a decision about {user_id}, who is gone"
        pair = (told.notification.key, person)
        before = self.decided.get(pair)
        self.decided[pair] = reason, at
        if before == (reason, at):
            return False
        if reason in SENDS:
            self.ever_sent.setdefault(pair, at)
        if before is None or before[0] in {reason, *HOLDS}:
            return True
        left = any(one.told is told and one.person.present is person for one in self.sent)
        taken_back = before[0] == "send" and reason in TAKEN_BACK
        allowed = not left and (taken_back or told.armed)
        assert allowed, f"{before[0]} became {reason}" + (" after it left" if left else "")
        return True

    # --- all is over -------------------------------------------------------------------------------------------------

    def settled(self, told: Told, decisions: Sequence[Any], deliveries: Sequence[Any]) -> None:
        """What must hold of a notification once nothing waits any more."""
        found = {one.user_id: str(one.reason) for one in decisions}
        assert len(found) == len(decisions), "two decisions for one candidate"
        assert not HOLDS & set(found.values()), f"never finally decided: {found}"
        meant = told.there if told.named is None else told.named
        for person in {one.present for one in meant if not one.gone and not told.updates}:
            assert person.user_id in found, f"no decision for {person.user_id}"
        for one in deliveries:
            person = self.called(one.user_id)
            assert person is not None
            assert (told.notification.key, person) in self.ever_sent, "a delivery of what was not to be sent"
            assert one.state != 0, "a delivery that waits for ever"
            if one.state >= 3:
                assert found[one.user_id] == "send", f"accepted, and decided {found[one.user_id]}"
        for one in decisions:
            digests = [each for each in self.told.values() if each.notification.id == one.digest_id]
            within = any(told in digest.items for digest in digests)
            assert within == (str(one.reason) == "in_digest"), f"{one.reason}, and in {len(digests)} digests"
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
            if not told.waits_for_fire:
                assert reason != "send" or user_id in whom, f"decided to send to {user_id}, and never tried"

    def no_cap_is_exceeded(self) -> None:
        """Every window that ends with something that was sent."""
        for cap in self.laws.settings.caps:
            entries = self._first_of_each(one for one in self.sent if counts(cap, self.kind(one.told)))
            for last in entries:
                who = last.person.at(last.place)
                mine = [one for one in entries if one.place <= last.place and one.person.at(last.place) is who]
                places = {one.told.family[0].notification.key: one.place for one in mine}  # once, under two names too
                zone = zone_of(who, self.laws.settings, last.place)
                among = [at for at in places.values() if same_window(cap, at, last.place, zone)]
                assert len(among) <= cap.limit, f"{cap.name}: {len(among)} of {cap.limit} to {who.user_id}, {among}"

    def nothing_is_said_twice(self) -> None:
        """The same content key to the same person within its window."""
        entries = self._first_of_each(one for one in self.sent if one.told.content)
        for last in entries:
            who = last.person.at(last.place)
            for key, window in last.told.content:
                for one in entries:
                    same = key in dict(one.told.content) and one.person.at(last.place) is who
                    earlier = one is not last and last.place - window < one.place <= last.place
                    assert not (same and earlier), f"the same content twice to {who.user_id}"

    def _first_of_each(self, sent: Iterable[Sent]) -> list[Sent]:
        """A notification counts once for a person, however many devices they have, and however often it changes."""
        first: dict[tuple[Key, Person], Sent] = {}
        for one in sorted(sent, key=lambda each: each.place):
            if not one.told.withdraws:
                first.setdefault((one.told.family[0].notification.key, one.person.at(one.place)), one)
        return list(first.values())
