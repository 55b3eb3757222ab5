"""Everything that can happen, in any order: people, senders, workers and the clock, beside a book that must not lie."""

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from clarion.journey.permission import Elsewhere, Said
from clarion.model import (
    Audience,
    Device,
    Event,
    Key,
    Message,
    Permission,
    PreferenceChange,
    ProjectSettings,
    QuietHours,
    Rolling,
    UserChange,
)
from clarion.ports import Gone, ProviderOutcome, RetryAfter, Store
from invariants.nouns import Laws, Person, Phone, Told
from invariants.oracle import Book
from invariants.platform import platform
from invariants.strategies import (
    DAY_MS,
    HOUR_MS,
    JUMPS_MS,
    KINDS,
    LUNCH,
    NAMES,
    NIGHT,
    STARTS,
    WEEKEND,
    ZONES,
    categories,
    messages,
    numbers,
    rules_of_projects,
    seldom,
    someone,
)
from invariants.workers import PATIENCE, Workers
from story.world import subscription


class Clarion(Workers):
    """Drives one project on a store, from outside its event loop."""

    store: Callable[[], Store]
    wait: Callable[[Coroutine[Any, Any, Any]], Any]

    # --- the beginning -----------------------------------------------------------------------------------------------

    @initialize(settings=rules_of_projects, start=st.sampled_from(STARTS))
    def begin(self, settings: ProjectSettings, start: int) -> None:
        self.clock.put(start)
        self.ids = itertools.count()
        self.secrets: dict[str, str] = {}
        self.wait(self._begin(settings))

    async def _begin(self, settings: ProjectSettings) -> None:
        self.world, self.fragile = await platform(self.store(), self.clock, self._answer)
        self.world.project = msgspec.structs.replace(self.world.project, settings=settings)
        await self.world.store.projects.update(self.world.project)
        for kind in KINDS:
            more = {} if kind.quiet is None else {"quiet_hours": msgspec.to_builtins(kind.quiet)}
            await self.world.define("categories", name=kind.name, channels=["push"], **{"class": kind.class_}, **more)
        self.book = Book(Laws(self.world.project.id, settings, {kind.name: kind for kind in KINDS}))
        self.pipelines = [self.world.pipeline, self.world.another_pipeline()]
        for number, name in enumerate(NAMES):
            await self._subscribe(name, f"d{number}", Permission.GRANTED, None)
            await self._says(name, "offers", granted=True)

    def _someone(self, number: int) -> str:
        """One of those with names, or an anonymous one."""
        anonymous = sorted(self.secrets)
        everybody = [*NAMES, *anonymous]
        return everybody[number % len(everybody)]

    async def _known(self, user_id: str) -> Person:
        """Whoever was named exists from then on."""
        found = self.book.called(user_id)
        if found is None:
            [key] = (await self.world.store.users.resolve(self.world.project.key, [user_id], 0, create=False)).values()
            found = Person(key, user_id)
            self.book.people.append(found)
            self.book.look_at_zones(self.clock.now())
        return found

    async def _named(self, user_id: str) -> Person:
        await self.world.store.users.resolve(self.world.project.key, [user_id], self.clock.now(), create=True)
        return await self._known(user_id)

    # --- people ------------------------------------------------------------------------------------------------------

    @rule(who=someone, category=categories, granted=st.booleans())
    def says(self, who: int, category: str, granted: bool) -> None:
        self.wait(self._says(self._someone(who), category, granted))

    async def _says(self, user_id: str, category: str, granted: bool) -> None:
        said = [Said(category, None, granted=granted)]
        await self.world.pipeline.consent(self.world.project, user_id, said, source="page")
        self.book.says(await self._known(user_id), category, granted, self.clock.now())

    @rule(who=someone, category=categories, granted=st.booleans(), ago=st.sampled_from([0, 1000, DAY_MS]))
    def said_elsewhere(self, who: int, category: str, granted: bool, ago: int) -> None:
        self.wait(self._said_elsewhere(self._someone(who), category, granted, self.clock.now() - ago))

    async def _said_elsewhere(self, user_id: str, category: str, granted: bool, at: int) -> None:
        told = Elsewhere(user_id, Said(category, None, granted=granted), "import", None, at)
        await self.world.pipeline.take_over_consents(self.world.project, [told])
        self.book.said_elsewhere(await self._known(user_id), category, granted, at)

    @rule(who=someone, days=st.sampled_from([0, 1, 30]))
    def pauses_marketing(self, who: int, days: int) -> None:
        until = self.clock.now() + days * DAY_MS if days else None
        person = self.wait(self._asks(self._someone(who), PreferenceChange(marketing_paused_until=until)))
        person.paused_until = until

    @rule(who=someone, hours=st.sampled_from([None, NIGHT, LUNCH, WEEKEND, QuietHours(start="08:00", end="21:00")]))
    def asks_for_quiet(self, who: int, hours: QuietHours | None) -> None:
        person = self.wait(self._asks(self._someone(who), PreferenceChange(quiet_hours=hours)))
        person.quiet, person.rest_changed_at = hours, self.clock.now()

    async def _asks(self, user_id: str, change: PreferenceChange) -> Person:
        person = await self._named(user_id)
        await self.world.store.preferences.put(self.world.project.key, person.key, change, self.clock.now())
        return person

    @rule(who=someone, zone=st.sampled_from(ZONES))
    def moves(self, who: int, zone: str | None) -> None:
        self.clock.advance(1)
        person = self.wait(self._change(self._someone(who), UserChange(timezone=zone)))
        person.told_zone = zone
        self.book.look_at_zones(self.clock.now())
        self.clock.advance(1)

    @rule(who=someone, is_open=st.booleans())
    def opens(self, who: int, is_open: bool) -> None:
        person = self.wait(self._change(self._someone(who), UserChange(attributes={"open": is_open})))
        if not person.is_open or person.is_open[-1][1] != is_open:
            person.is_open.append((self.clock.now(), is_open))

    async def _change(self, user_id: str, change: UserChange) -> Person:
        await self.world.store.users.put(self.world.project.key, user_id, change, self.clock.now())
        return await self._known(user_id)

    @rule(who=someone)
    def pays(self, who: int) -> None:
        self.wait(self._pays(self._someone(who)))

    async def _pays(self, user_id: str) -> None:
        event = Event(user_id=user_id, name="paid", properties={}, occurred_at=self.clock.now())
        await self.world.pipeline.ingest(self.world.project, [event])
        (await self._known(user_id)).paid.append(self.clock.now())

    @rule(who=someone, really=seldom)
    def is_erased(self, who: int, really: bool) -> None:
        if really:
            self.wait(self._erase(self._someone(who)))

    async def _erase(self, user_id: str) -> None:
        person = self.book.called(user_id)
        if person is not None:
            await self.world.store.users.erase(self.world.project.key, user_id)
            self.book.leaves(person, self.clock.now())
            self.secrets.pop(user_id, None)

    # --- devices -----------------------------------------------------------------------------------------------------

    @rule(
        who=someone,
        address=st.integers(0, 4),
        permission=st.sampled_from([*[Permission.GRANTED] * 4, *Permission]),
        zone=st.sampled_from([None, None, *ZONES]),
    )
    def registers(self, who: int, address: int, permission: Permission, zone: str | None) -> None:
        self.clock.advance(1)
        self.wait(self._subscribe(self._someone(who), f"d{address}", permission, zone))
        self.clock.advance(1)

    async def _subscribe(self, user_id: str, address: str, permission: Permission, zone: str | None) -> None:
        told = subscription(address, permission, timezone=zone)
        device, _ = await self.world.pipeline.register(self.world.project, user_id, told)
        self._registered(device, await self._known(user_id))

    def _registered(self, device: Device, owner: Person) -> None:
        self.book.moved |= {one.key for one in self.book.phones if one.key == device.key and one.owner is not owner}
        self.book.phones = [one for one in self.book.phones if one.address != device.address]
        assert device.address is not None
        now = self.clock.now()
        told = Phone(device.key, device.address, owner, device.permission, True, device.timezone, now)
        self.book.phones.append(told)
        self.book.look_at_zones(now)

    @rule(address=st.integers(2, 5))
    def comes_without_a_name(self, address: int) -> None:
        self.clock.advance(1)
        self.wait(self._comes(f"d{address}"))
        self.clock.advance(1)

    async def _comes(self, address: str) -> None:
        told = subscription(address)
        device, _, secret = await self.world.pipeline.register_anonymous(self.world.project, told)
        self.secrets[device.user_id] = secret
        self._registered(device, await self._known(device.user_id))

    @rule(number=numbers, name=st.sampled_from(NAMES))
    def turns_out_to_be(self, number: int, name: str) -> None:
        if self.secrets:
            self.clock.advance(1)
            self.wait(self._merge(sorted(self.secrets)[number % len(self.secrets)], name))
            self.clock.advance(1)

    async def _merge(self, anonymous: str, name: str) -> None:
        former = await self.world.store.users.get(self.world.project.key, anonymous)
        assert former is not None
        known = await self._named(name)
        await self.world.pipeline.merge(self.world.project, former, name)
        self.book.becomes(self.book.person(former.key), known, self.clock.now())
        del self.secrets[anonymous]

    @rule(number=numbers, really=seldom)
    def takes_a_device_away(self, number: int, really: bool) -> None:
        if self.book.phones and really:
            self.clock.advance(1)
            phone = self.book.phones.pop(number % len(self.book.phones))
            self.wait(self._delete(phone.key))
            self.book.look_at_zones(self.clock.now())
            self.clock.advance(1)

    async def _delete(self, key: Key) -> None:
        store, project = self.world.store, self.world.project.key
        for person in self.book.here():
            for device in await store.devices.of_user(project, person.key):
                if device.key == key:
                    assert await store.devices.delete(project, device.id)

    # --- senders -----------------------------------------------------------------------------------------------------

    @rule(
        message=messages,
        to=st.none() | st.lists(someone, min_size=1, max_size=3, unique=True),
        later=st.sampled_from([0, 0, 0, HOUR_MS, DAY_MS]),
        arm=st.sampled_from([False, False, True]),
    )
    def notifies(self, message: Message, to: list[int] | None, later: int, arm: bool) -> None:
        if arm:
            message, later = msgspec.structs.replace(message, condition=None, unless_event=None), 0
        self.wait(self._notify(message, None if to is None else sorted({self._someone(who) for who in to}), later, arm))

    async def _notify(self, message: Message, names: list[str] | None, later: int, arm: bool) -> None:
        to = Audience(everyone=True) if names is None else Audience(users=names)
        send_at = self.clock.now() + later if later else None
        made = await self.world.pipeline.notify(self.world.project, message, to, send_at=send_at, arm=arm)
        named = None if names is None else [await self._known(name) for name in names]
        self.book.told[made.key] = Told(made, named, self.book.here())

    @rule(
        category=categories,
        who=someone,
        count=st.integers(1, 3),
        nearly=st.booleans(),
        key=st.sampled_from([None, None, "same"]),
    )
    def a_sender_is_busy(self, category: str, who: int, count: int, nearly: bool, key: str | None) -> None:
        """`nearly`: a second less than the window of a cap lies between one and the next."""
        windows = [cap.per.seconds for cap in self.book.laws.settings.caps if isinstance(cap.per, Rolling)]
        pause = windows[0] * 1000 - 1_000 if windows and nearly else 0
        for number in range(count):
            message = Message(category=category, title="Hello", priority=number, content_key=key, content_window=3_600)
            self.wait(self._notify(message, [self._someone(who)], 0, arm=False))
            if pause:
                self.wait(self._work())
                self.clock.advance(pause)
        self.wait(self._work())

    @rule(number=numbers, really=seldom)
    def cancels(self, number: int, really: bool) -> None:
        if self.book.told and really:
            told = list(self.book.told.values())[number % len(self.book.told)]
            self.wait(self.world.pipeline.cancel(self.world.project, told.notification.id))
            told.cancelled = True

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

    # --- time and workers --------------------------------------------------------------------------------------------

    @rule(jump=st.sampled_from(JUMPS_MS))
    def time_passes(self, jump: int) -> None:
        self.clock.advance(jump)

    @rule(answers=st.lists(st.sampled_from([Gone("410", None), RetryAfter(60.0), RetryAfter(None)]), max_size=3))
    def the_service_answers_otherwise(self, answers: list[ProviderOutcome]) -> None:
        self.answers = list(answers)

    @rule()
    def all_work_is_done(self) -> None:
        self.wait(self._work())

    @rule(number=numbers)
    def somebody_takes_a_job(self, number: int) -> None:
        self.wait(self._claim(number))

    @rule(number=numbers, dies=st.sampled_from([False, False, True]), process=st.integers(0, 1))
    def somebody_goes_on(self, number: int, dies: bool, process: int) -> None:
        """With a job that they took some time ago: it may be somebody else's by now."""
        if self.hands:
            lease = self.hands.pop(number % len(self.hands))
            self.wait(self._step(lease, process, dies=dies))

    # --- the end -----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if hasattr(self, "book"):
            self.wait(self._end())

    async def _end(self) -> None:
        self.answers = []
        for _ in range(PATIENCE):
            await self._work()
            due = min((await self.world.store.work.waiting()).values(), default=None)
            if due is None:
                break
            self.clock.advance(max(0, due - self.clock.now()))
        else:
            raise AssertionError("it never ends")
        for told in self.book.told.values():
            decisions, deliveries = [
                await get(told.notification) for get in (self.world.decisions, self.world.deliveries)
            ]
            self.book.settled(told, decisions, deliveries)
        self.book.no_cap_is_exceeded()
        self.book.nothing_is_said_twice()
