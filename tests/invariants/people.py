"""What people do: say yes and no, move, ask for quiet, come with another device, turn out to be somebody, and go."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from clarion.journey.permission import Elsewhere, Said
from clarion.model import Channel, Device, Event, Key, Permission, PreferenceChange, QuietHours, UserChange
from invariants.nouns import Person, Phone
from invariants.readings import utc, zone_of
from invariants.strategies import (
    DAY_MS,
    LUNCH,
    NAMES,
    NIGHT,
    WEEKEND,
    ZONES,
    categories,
    channels,
    numbers,
    seldom,
    someone,
)
from invariants.workers import Workers
from story.world import subscription


class People(Workers):
    """`secrets`: of those whom nobody has named, by their id."""

    secrets: dict[str, str]

    def __init__(self) -> None:
        super().__init__()
        self.secrets = {}

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

    @rule(who=someone, category=categories, channel=channels, granted=st.booleans())
    def says(self, who: int, category: str, channel: str | None, granted: bool) -> None:
        self.wait(self._says(self._someone(who), category, channel, granted=granted))

    async def _says(self, user_id: str, category: str, channel: str | None, *, granted: bool) -> None:
        if channel not in self.book.laws.kinds[category].channels:
            channel = None
        said = [Said(category, None if channel is None else Channel(channel), granted=granted)]
        await self.world.pipeline.consent(self.world.project, user_id, said, source="page")
        self.book.says(await self._known(user_id), category, channel, granted, self.clock.now())

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

    @rule(who=someone)
    def wants_quiet_now(self, who: int) -> None:
        """For an hour, by the clock on their wall."""
        person = self.wait(self._named(self._someone(who)))
        now = self.clock.now()
        wall = utc(now).astimezone(zone_of(person, self.book.laws.settings, now))
        hours = QuietHours(start=f"{wall:%H:%M}", end=f"{wall + timedelta(hours=1):%H:%M}")
        self.asks_for_quiet(who, hours)

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
