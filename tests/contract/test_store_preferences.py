"""What people asked for themselves, and the time zone that counts for them."""

import pytest

from clarion.model import DeviceKind, PersonPreference, PreferenceChange, Project, QuietHours, Registration, UserChange
from clarion.ports import Asked, FactsQuery, Recipient, Store
from contract.support import NOW, facts_query, new_project, new_user

NIGHT = QuietHours(start="22:00", end="08:00")
WEEKEND = QuietHours(start="00:00", end="24:00", days=("sat", "sun"))


async def recipient(store: Store, project: Project, user: int, **asked: bool) -> Recipient:
    [found] = (await store.steps.facts(project.key, facts_query([user], **asked))).recipients
    return found


async def test_what_is_not_given_stays_and_null_takes_it_back(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    put = store.preferences.put
    assert await store.preferences.get(project.key, user) == PersonPreference()
    await put(project.key, user, PreferenceChange(quiet_hours=WEEKEND), NOW)
    both = PersonPreference(quiet_hours=WEEKEND, marketing_paused_until=NOW + 5)
    assert await put(project.key, user, PreferenceChange(marketing_paused_until=NOW + 5), NOW + 1) == both
    assert await store.preferences.get(project.key, user) == both
    assert (await recipient(store, project, user, preferences=True)).preferences == both
    assert (await recipient(store, project, user)).preferences is None
    await put(project.key, user, PreferenceChange(quiet_hours=None, marketing_paused_until=None), NOW + 2)
    assert await store.preferences.get(project.key, user) == PersonPreference()


async def test_of_another_project_or_of_nobody_it_is_nothing(store: Store) -> None:
    shop, bank = await new_project(store, "shop"), await new_project(store, "bank")
    user = await new_user(store, shop)
    change = PreferenceChange(quiet_hours=NIGHT)
    assert await store.preferences.put(bank.key, user, change, NOW) is None
    assert await store.preferences.get(shop.key, user) == PersonPreference()
    await store.preferences.put(shop.key, user, change, NOW)
    assert await store.preferences.get(bank.key, user) == PersonPreference()
    await store.users.erase(shop.key, "u1")
    assert await store.preferences.put(shop.key, user, change, NOW) is None


async def test_who_asked_for_something_is_among_the_changed(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    await store.preferences.put(project.key, user, PreferenceChange(quiet_hours=NIGHT), NOW + 7)
    assert (await store.steps.changes(project.key, NOW + 7)).users == {user: NOW + 7}
    assert (await store.steps.changes(project.key, NOW + 8)).users == {}


@pytest.mark.parametrize(
    ("anonymous", "known", "joint"),
    [
        ((NIGHT, None), None, (NIGHT, None)),
        ((NIGHT, 9), (WEEKEND, 5), (WEEKEND, 9)),
        ((NIGHT, 5), (None, 9), (NIGHT, 9)),
        (None, (WEEKEND, 5), (WEEKEND, 5)),
        ((None, 5), (WEEKEND, None), (WEEKEND, 5)),
    ],
    ids=["moved", "the known one's hours", "the longer pause", "nothing to move", "a pause moves"],
)
async def test_a_merge_keeps_what_either_asked(store: Store, anonymous, known, joint) -> None:
    project = await new_project(store)
    visitor = await store.users.create_anonymous(project.key, "anon", NOW)
    user = await new_user(store, project)
    for key, asked in ((visitor.key, anonymous), (user, known)):
        if asked is not None:
            change = PreferenceChange(quiet_hours=asked[0], marketing_paused_until=asked[1])
            await store.preferences.put(project.key, key, change, NOW)
    await store.users.merge(project.key, visitor.key, user, NOW + 1)
    wanted = PersonPreference(quiet_hours=joint[0], marketing_paused_until=joint[1])
    assert await store.preferences.get(project.key, user) == wanted
    assert await store.preferences.get(project.key, visitor.key) == PersonPreference()
    # Who still knows them under the former key asks for who they are now.
    await store.preferences.put(project.key, visitor.key, PreferenceChange(quiet_hours=None), NOW + 2)
    assert (await store.preferences.get(project.key, user)).quiet_hours is None


async def test_the_zone_is_the_persons_own_else_that_of_the_device_seen_last(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)

    async def seen(address: str, zone: str | None, at: int) -> None:
        told = Registration(kind=DeviceKind.FCM, address=address, timezone=zone)
        await store.devices.register(project.key, user, told, f"id-{address}", at)

    async def zone() -> str | None:
        [span] = (await store.steps.facts(project.key, FactsQuery(span=(user, user), zones=True))).recipients
        assert await recipient(store, project, user, zones=True) == span
        return span.zone

    assert await zone() is None
    await seen("phone", "Europe/Paris", NOW + 1)
    await seen("tablet", "Asia/Tokyo", NOW + 2)
    await seen("browser", None, NOW + 3)
    assert await zone() == "Asia/Tokyo"
    await seen("phone", "Europe/Paris", NOW + 4)  # nothing new, but it was seen
    assert await zone() == "Europe/Paris"
    await store.users.put(project.key, "u1", UserChange(timezone="Africa/Cairo"), NOW)
    assert await zone() == "Africa/Cairo"
    assert (await recipient(store, project, user)).zone is None


async def test_who_asked_for_quiet_hours_has_a_zone_though_nobody_else_needs_one(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    await store.users.put(project.key, "u1", UserChange(timezone="Africa/Cairo"), NOW)
    assert (await recipient(store, project, user, preferences=True)).zone is None
    await store.preferences.put(project.key, user, PreferenceChange(quiet_hours=NIGHT), NOW)
    assert (await recipient(store, project, user, preferences=True)).zone == "Africa/Cairo"


async def test_what_matters_for_the_night_is_asked_for_alone(store: Store) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    ada, bob, eve, mallory = [await new_user(store, project, name) for name in ("ada", "bob", "eve", "mallory")]
    await store.users.put(project.key, "ada", UserChange(timezone="Africa/Cairo"), NOW)
    told = Registration(kind=DeviceKind.FCM, address="phone", timezone="Asia/Tokyo")
    await store.devices.register(project.key, bob, told, "id-phone", NOW)
    await store.preferences.put(project.key, bob, PreferenceChange(quiet_hours=NIGHT), NOW)
    await store.preferences.put(project.key, eve, PreferenceChange(marketing_paused_until=9), NOW)
    everybody = sorted([ada, bob, eve, mallory])
    nights = Asked(PersonPreference(quiet_hours=NIGHT), "Asia/Tokyo")
    paused = Asked(PersonPreference(marketing_paused_until=9), None)
    asked = store.steps.asked
    assert await asked(project.key, everybody, zones=False) == {bob: nights, eve: paused}
    everything = {ada: Asked(None, "Africa/Cairo"), bob: nights, eve: paused}
    assert await asked(project.key, everybody, zones=True) == everything
    assert await asked(other.key, everybody, zones=True) == {}
