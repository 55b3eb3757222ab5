"""What senders do: they notify, run campaigns, arm and fire, say it anew, and think better of it."""

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import rule

from clarion.model import Audience, Campaign, LocalTime, Message, Millis, Notification, Rolling
from invariants.nouns import Kind, Told
from invariants.people import People
from invariants.readings import caps_on, counts, next_on_wall, utc, zone_of
from invariants.strategies import (
    DAY_MS,
    HOUR_MS,
    NAMES,
    local_times,
    messages,
    numbers,
    seldom,
    someone,
)

SUNDAY = 6


class Senders(People):
    """Whatever they sent is in the book."""

    # --- notifications -----------------------------------------------------------------------------------------------

    @rule(
        message=messages,
        to=st.none() | st.lists(someone, min_size=1, max_size=3, unique=True),
        later=st.sampled_from([0, 0, 0, HOUR_MS, DAY_MS]),
    )
    def notifies(self, message: Message, to: list[int] | None, later: int) -> None:
        self.wait(self._notify(message, self._names(to), self.clock.now() + later if later else None))

    @rule(
        message=messages,
        to=st.none() | st.lists(someone, min_size=1, max_size=3, unique=True),
        local=local_times,
        days=st.sampled_from([None, None, 0, 1]),
    )
    def notifies_at_a_local_time(
        self, message: Message, to: list[int] | None, local: LocalTime, days: int | None
    ) -> None:
        """Today or tomorrow, by the date in London, or whenever the time comes next."""
        if days is not None:
            date = utc(self.clock.now() + days * DAY_MS).date()
            local = msgspec.structs.replace(local, at=f"{date}T{local.at}")
        self.wait(self._notify(message, self._names(to), None, local))

    @rule(message=messages, address=st.integers(2, 5), name=st.sampled_from(NAMES), held=st.booleans())
    def is_meant_under_two_names(self, message: Message, address: int, name: str, held: bool) -> None:
        """Somebody comes without a name, and says who they are when it was sent to both, or decided to be held."""
        before = self.secrets.keys() | set()
        self.comes_without_a_name(address)
        [anonymous] = self.secrets.keys() - before
        send_at = self.clock.now() + HOUR_MS if held else None
        self.wait(self._notify(message, sorted([anonymous, name]), send_at))
        if held:
            self.wait(self._work(leaving=False))
        self.turns_out_to_be(sorted(self.secrets).index(anonymous), name)
        self.clock.advance(HOUR_MS if held else 0)
        self.wait(self._work())

    @rule(message=messages, to=st.none() | st.lists(someone, min_size=1, max_size=3, unique=True))
    def arms(self, message: Message, to: list[int] | None) -> None:
        message = msgspec.structs.replace(message, condition=None, unless_event=None, experiment=None)
        self.wait(self._notify(message, self._names(to), None, arm=True))

    def _names(self, to: list[int] | None) -> list[str] | None:
        return None if to is None else sorted({self._someone(who) for who in to})

    async def _notify(
        self,
        message: Message,
        names: list[str] | None,
        send_at: Millis | None,
        local: LocalTime | None = None,
        *,
        arm: bool = False,
    ) -> Told:
        to = Audience(everyone=True) if names is None else Audience(users=names)
        made = await self.world.pipeline.notify(
            self.world.project, message, to, send_at=send_at, local_time=local, arm=arm
        )
        named = None if names is None else [await self._known(name) for name in names]
        told = self.book.told[made.key] = Told(made, named, self.book.here())
        return told

    @rule(
        number=numbers,
        who=someone,
        count=st.integers(2, 3),
        until=st.sampled_from([None, "window", "window", "midnight", "sunday"]),
        early=st.sampled_from([0, 1, 1_000, 2_000]),
        key=st.sampled_from([None, None, None, "same"]),
    )
    def a_sender_is_busy(
        self, number: int, who: int, count: int, until: str | None, early: int, key: str | None
    ) -> None:
        """With what is counted. The next comes when the window of a cap ends, or their day or week, or so `early`."""
        laws = self.book.laws
        kinds = [one for one in laws.kinds.values() if any(counts(cap, one) for cap in laws.settings.caps)]
        kind = (kinds or list(laws.kinds.values()))[number % (len(kinds) or len(laws.kinds))]
        for turn in range(count):
            message = Message(category=kind.name, title="Hello", priority=turn, content_key=key, content_window=3_600)
            self.wait(self._notify(message, [self._someone(who)], None))
            if until is not None:
                self.wait(self._work())
                self.clock.advance(max(0, self._end_of(until, who, kind) - early - self.clock.now()))
        self.wait(self._work())

    def _end_of(self, until: str, who: int, kind: Kind) -> Millis:
        """Of the window that begins now of the first cap that counts it, else of the content; of a day, of the week."""
        now, settings, person = self.clock.now(), self.book.laws.settings, self.book.called(self._someone(who))
        assert person is not None
        if until == "window":
            windows = [cap.per.seconds for cap in caps_on(settings, kind) if isinstance(cap.per, Rolling)]
            return now + [*windows, 3_600][0] * 1000
        zone = zone_of(person, settings, now)
        midnight = next_on_wall("00:00", zone, now + 1)
        while until == "sunday" and utc(midnight).astimezone(zone).weekday() != SUNDAY:
            midnight = next_on_wall("00:00", zone, midnight + 1)
        return midnight

    @rule(
        who=someone, count=st.integers(2, 4), pause=st.sampled_from([0, 0, 599_999, 600_000]), cancelled=st.booleans()
    )
    def a_chat_goes_on(self, who: int, count: int, pause: int, cancelled: bool) -> None:
        """Until what was collected is about to leave; `cancelled`: and then all of it is called off."""
        before = set(self.book.told)
        for number in range(count):
            message = Message(category="chat", title="Hello", priority=number)
            self.wait(self._notify(message, [self._someone(who)], None))
            self.wait(self._work(leaving=False))
            self.clock.advance(pause)
        items = [self.book.told[key] for key in self.book.told.keys() - before]
        while any(self._is_collected(one) for one in items):
            self.clock.advance(self.wait(self._next_due()) - self.clock.now())
            self.wait(self._work(leaving=False))
        for one in items if cancelled else ():
            self._call_off(one)
        self.wait(self._work())

    def _is_collected(self, told: Told) -> bool:
        return any(key == told.notification.key and one[0] == "digest" for (key, _), one in self.book.decided.items())

    def _call_off(self, told: Told) -> None:
        self.wait(self.world.pipeline.cancel(self.world.project, told.notification.id))
        told.called_off = True

    @rule(number=numbers, really=seldom)
    def cancels(self, number: int, really: bool) -> None:
        if self.book.told and really:
            self._call_off(list(self.book.told.values())[number % len(self.book.told)])

    @rule(number=numbers)
    def fires(self, number: int) -> None:
        now = self.clock.now()
        ready = [
            told
            for told in self.book.told.values()
            if told.armed and not told.cancelled and (told.fired_at or now < (told.notification.armed_until or 0))
        ]
        if ready:
            told = ready[number % len(ready)]
            self.wait(self.world.pipeline.fire(self.world.project, told.notification.id))
            told.fired_at = told.fired_at or now

    # --- updates -----------------------------------------------------------------------------------------------------

    @rule(number=numbers, renotify=st.booleans())
    def says_it_anew(self, number: int, renotify: bool) -> None:
        found = [one for one in self.book.told.values() if not one.waits_for_fire and not one.family[-1].withdraws]
        if found:
            told = found[number % len(found)]
            self.wait(self._replace(told, renotify=renotify))

    async def _replace(self, told: Told, *, renotify: bool) -> None:
        made = await self.world.pipeline.updating.replace(
            self.world.project, told.notification.id, {"title": "Anew"}, renotify=renotify
        )
        self._updated(told, made)

    @rule(number=numbers, really=seldom)
    def takes_it_back(self, number: int, really: bool) -> None:
        found = [one for one in self.book.told.values() if not one.family[-1].withdraws]
        if found and really:
            self._take_back(found[number % len(found)])

    def _take_back(self, told: Told) -> None:
        withdraw = self.world.pipeline.updating.withdraw(self.world.project, told.notification.id)
        self._updated(told, self.wait(withdraw))
        told.family[0].called_off = True

    def _updated(self, told: Told, made: Notification) -> None:
        self.book.told[made.key] = Told(made, told.family[0].named, told.family[0].there, family=told.family)

    # --- campaigns ---------------------------------------------------------------------------------------------------

    @rule(message=messages, rate=st.sampled_from([None, None, 1]), hours=st.sampled_from([None, None, 1]))
    def runs_a_campaign(self, message: Message, rate: int | None, hours: int | None) -> None:
        """`hours`: until nothing of it may leave any more."""
        self.wait(self._run(message, rate, None if hours is None else self.clock.now() + hours * HOUR_MS))

    async def _run(self, message: Message, rate: int | None, expires_at: Millis | None) -> None:
        world, name = self.world, f"campaign {len(self.book.told)}"
        everyone = Audience(everyone=True)
        campaign = Campaign(name=name, to=everyone, notification=message, rate=rate, expires_at=expires_at)
        await world.pipeline.campaigns.create(world.project, campaign)
        record = await world.pipeline.campaigns.start(world.project, name)
        assert record.last is not None
        [made] = (await world.store.trail.load(world.project.key, [record.last])).values()
        self.book.told[made.key] = Told(made, None, self.book.here())

    def _campaigns(self, *, paused: bool) -> list[Told]:
        mine = (told for told in self.book.told.values() if told.notification.campaign and not told.called_off)
        return [told for told in mine if told.paused == paused]

    @rule(message=messages, decided=st.booleans())
    def pauses_a_campaign_at_once(self, message: Message, decided: bool) -> None:
        """`decided`: it was about to leave."""
        self.wait(self._run(message, None, None))
        told = list(self.book.told.values())[-1]
        if decided:
            self.wait(self._work(leaving=False))
        self.wait(self._pause(told))
        self.wait(self._work())

    @rule(number=numbers, pauses=st.booleans())
    def rests_a_campaign(self, number: int, pauses: bool) -> None:
        if found := self._campaigns(paused=not pauses):
            told = found[number % len(found)]
            self.wait(self._pause(told) if pauses else self._resume(told))

    async def _pause(self, told: Told) -> None:
        await self.world.pipeline.campaigns.pause(self.world.project, str(told.notification.campaign))
        told.paused = True

    async def _resume(self, told: Told) -> None:
        await self.world.pipeline.campaigns.resume(self.world.project, str(told.notification.campaign))
        told.paused = False

    @rule(number=numbers, paused=st.booleans(), really=seldom)
    def cancels_a_campaign(self, number: int, paused: bool, really: bool) -> None:
        if really and (found := self._campaigns(paused=paused)):
            told = found[number % len(found)]
            self.wait(self.world.pipeline.campaigns.cancel(self.world.project, str(told.notification.campaign)))
            told.called_off, told.paused = True, False
