"""The reason of a decision must be true at that moment, and to send is only decided where nothing is against it.

What was seen of caps is bounded from one side only: a place may be taken by what comes to nothing later.
"""

from collections.abc import Callable

from clarion.model import Cap, CategoryClass, Millis
from invariants.nouns import Person, Told
from invariants.oracle import ALLOWED, SENDS, Book
from invariants.readings import caps_on, is_held_out, pointless_since, same_window, waits_for_a_winner, zone_of

NEVER_OF_MANDATORY = {
    *("cap_reached", "cap_wait", "quiet_hours", "digest", "in_digest", "irrelevant", "holdout"),
    *("best_time", "experiment"),
}


class Reasons:
    """What one decision may say."""

    def __init__(self, book: Book, told: Told, person: Person, now: Millis) -> None:
        self._book, self._told, self._person, self._now = book, told, person, now
        self._kind, self._settings = book.kind(told), book.laws.settings

    def check(self, reason: str) -> None:
        assert not (self._kind.mandatory and reason in NEVER_OF_MANDATORY), f"mandatory, and {reason}"
        if reason in SENDS:
            self._nothing_is_against_it()
        else:
            holds = self._true.get(reason)
            assert holds is not None, f"nobody knows the reason {reason}"
            assert holds(self), f"{reason} for {self._person.user_id}, without any reason"

    # --- send --------------------------------------------------------------------------------------------------------

    def _nothing_is_against_it(self) -> None:
        told, person = self._told, self._person
        against = [
            reason
            for reason in ("cancelled", "paused", "superseded", "opted_out", "schedule", "time_passed")
            if self._true[reason](self)
        ]
        if self._allows_none():
            against.append("no_permission")
        if not self._kind.mandatory and not self._book.takes_a_place(told, person):
            against += [reason for reason in ("holdout", "irrelevant", "experiment") if self._true[reason](self)]
        if not told.withdraws and not told.waits_for_fire and self._is_quiet():
            against.append("quiet_hours")
        assert not against, f"decided to send to {person.user_id}, in spite of {against}"
        assert self._book.meant(told, person), "decided to send to somebody who was not meant"

    # --- one by one --------------------------------------------------------------------------------------------------

    def _is_quiet(self) -> bool:
        return self._book.is_quiet(self._told, self._person, self._now)

    def _is_not_wanted(self) -> bool:
        return not self._book.wants(self._told, self._person, self._now)

    def _has_no_device(self) -> bool:
        """An update goes to those only that have what it updates."""
        return self._told.updates or not any(phone.active for phone in self._book.phones_of(self._person))

    def _allows_none(self) -> bool:
        mine = [phone for phone in self._book.phones_of(self._person) if phone.active]
        return not any(phone.permission in ALLOWED for phone in mine)

    def _is_too_early(self) -> bool:
        if self._told.waits_for_fire:
            return False
        turn = self._book.turn(self._told, self._person, self._now)
        return self._now < self._told.notification.begins_at or (turn is not None and self._now < turn)

    def _is_tried_out(self) -> bool:
        return waits_for_a_winner(self._told, self._person.user_id, self._book.laws.project_id, self._now)

    def _is_held_out(self) -> bool:
        laws, person = self._book.laws, self._person
        return is_held_out(self._told, person.user_id, laws.project_id, laws.settings)

    def _may_be_stale(self) -> bool:
        """It is, or will be when what holds it ends."""
        told = self._told
        turn, ends_at = self._book.turn(told, self._person, self._now), told.notification.ends_at
        if turn is None:
            return True
        end = (told.notification.armed_until or 0) if told.waits_for_fire else turn + told.message.ttl * 1000
        over = self._now >= (end if ends_at is None else min(end, ends_at))
        waits = any(cap.at_cap == "wait" for cap in caps_on(self._settings, self._kind))
        return over or (not self._kind.mandatory and (self._is_quiet() or waits))

    def _was_said(self) -> bool:
        """To them, within the window; or it waits for a digest, as whoever comes along with it may."""
        book, since = self._book, dict(self._told.content)
        waits = {about: self._now for about in book.decided if self._kind.digest}
        every = (
            (at, other)
            for (key, person), at in (book.ever_sent | waits).items()
            if person is self._person and (other := book.told[key]) is not self._told
        )
        return any(
            key in since and (other.armed or at > self._now - since[key])
            for at, other in every
            for key, _ in other.content
        )

    def _is_full(self, at_cap: str) -> bool:
        return any(
            cap.at_cap == at_cap and self._takers(cap) >= cap.limit for cap in caps_on(self._settings, self._kind)
        )

    def _takers(self, cap: Cap) -> int:
        """At most so many others had a place in the window, or wait for one."""
        book, zone = self._book, zone_of(self._person, self._settings, self._now)
        had = {
            key
            for (key, person), at in book.ever_sent.items()
            if person is self._person and (book.told[key].armed or same_window(cap, at, self._now, zone))
            if book.decided[key, person][0] != "in_digest"
        }
        wait = {
            key
            for (key, person), (reason, _) in book.decided.items()
            if person is self._person and reason == "cap_wait" and cap.at_cap == "wait"
        }
        others = (book.told[key] for key in had | wait if book.told[key] is not self._told)
        return sum(cap in caps_on(self._settings, book.kind(other)) for other in others)

    _true: dict[str, Callable[["Reasons"], object]] = {  # noqa: RUF012 - the same for all
        "cancelled": lambda self: self._told.cancelled,
        "superseded": lambda self: not self._told.newest,
        "paused": lambda self: self._told.paused,
        "schedule": _is_too_early,
        "time_passed": lambda self: self._book.turn(self._told, self._person, self._now) is None,
        "opted_out": _is_not_wanted,
        "no_consent": lambda self: self._is_not_wanted() and self._kind.class_ is CategoryClass.MARKETING,
        "no_device": _has_no_device,
        "no_permission": lambda self: self._told.updates or self._allows_none(),
        "duplicate": _was_said,
        "irrelevant": lambda self: pointless_since(self._told, self._person) is not None,
        "holdout": _is_held_out,
        "experiment": _is_tried_out,
        "quiet_hours": _is_quiet,
        "digest": lambda self: self._kind.digest is not None,
        "cap_reached": lambda self: self._is_full("drop"),
        "cap_wait": lambda self: self._is_full("wait"),
        "expired": _may_be_stale,
    }
