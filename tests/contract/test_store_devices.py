"""Addresses of users: who is the same device, and whose it is."""

import msgspec
import pytest

from clarion.model import Device, DeviceKind, DeviceState, DeviceVerdict, Permission
from clarion.ports import Effects, Store
from contract.support import NOW, new_denied_device, new_project, new_user, new_users, register, registration

ELSEWHERE = "https://push.example/2"


async def only_device(store: Store, project: int, user: int) -> Device:
    [device] = await store.devices.of_user(project, user)
    return device


async def test_a_new_device_has_what_it_told(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    told = registration(
        permission=Permission.PROVISIONAL,
        locale="de",
        timezone="Europe/Berlin",
        app_version="1.2",
        model="Firefox",
        installation="i1",
        details={"p256dh": "key", "auth": "secret"},
    )
    device, new = await store.devices.register(project.key, user, told, "d1", NOW)
    assert new
    assert (device.id, device.project, device.user, device.user_id) == ("d1", project.key, user, "u1")
    assert (device.kind, device.address, device.permission) == (told.kind, told.address, Permission.PROVISIONAL)
    assert (device.locale, device.timezone, device.app_version) == ("de", "Europe/Berlin", "1.2")
    assert (device.model, device.installation, device.details) == ("Firefox", "i1", told.details)
    assert (device.state, device.state_reason) == (DeviceState.ACTIVE, None)
    assert (device.registered_at, device.created_at, device.updated_at) == (NOW, NOW, NOW)
    assert await store.devices.get(project.key, "d1") == device
    assert await only_device(store, project.key, user) == device


async def test_registering_again_keeps_the_device_and_replaces_its_state(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    first = await register(store, project, user, locale="de", model="Firefox", details={"auth": "old"})
    told = registration(locale="fr", details={"auth": "new"})
    again, new = await store.devices.register(project.key, user, told, "never-used", NOW + 5)
    assert not new
    assert (again.key, again.id, again.created_at, again.registered_at) == (first.key, first.id, NOW, NOW + 5)
    assert (again.locale, again.model, again.details) == ("fr", None, {"auth": "new"})
    assert await only_device(store, project.key, user) == again


async def test_a_rotated_token_keeps_the_device(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    first = await register(store, project, user)
    again = await register(store, project, user, ELSEWHERE, previous_address=first.address)
    assert (again.key, again.id, again.address) == (first.key, first.id, ELSEWHERE)
    assert await only_device(store, project.key, user) == again


async def test_an_installation_is_the_same_device_whatever_its_address(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    first = await register(store, project, user, installation="i1")
    again = await register(store, project, user, ELSEWHERE, installation="i1")
    assert (again.key, again.address) == (first.key, ELSEWHERE)
    assert await only_device(store, project.key, user) == again


async def test_an_unknown_previous_address_falls_back_to_the_address(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    first = await register(store, project, user)
    again = await register(store, project, user, previous_address="https://push.example/forgotten")
    assert again.key == first.key


async def test_when_two_devices_turn_out_to_be_one_the_installation_stays(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    kept = await register(store, project, user, installation="i1")
    gone = await register(store, project, user, ELSEWHERE)
    again = await register(store, project, user, ELSEWHERE, installation="i1")
    assert (again.key, again.address) == (kept.key, ELSEWHERE)
    assert await only_device(store, project.key, user) == again
    assert await store.devices.get(project.key, gone.id) is None


async def test_when_two_devices_turn_out_to_be_one_the_rotated_one_stays(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    kept = await register(store, project, user)
    await register(store, project, user, ELSEWHERE)
    again = await register(store, project, user, ELSEWHERE, previous_address=kept.address)
    assert again.key == kept.key
    assert await only_device(store, project.key, user) == again


async def test_an_address_that_another_user_registers_moves_with_its_device(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    device = await register(store, project, first)
    moved = await register(store, project, second)
    assert (moved.key, moved.id, moved.user, moved.user_id) == (device.key, device.id, second, "u1")
    assert await store.devices.of_user(project.key, first) == []
    assert await only_device(store, project.key, second) == moved


async def test_the_same_text_is_another_address_for_another_kind(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    apns = await register(store, project, user, "token", id="d1", kind=DeviceKind.APNS)
    fcm = await register(store, project, user, "token", id="d2", kind=DeviceKind.FCM)
    assert apns.key != fcm.key
    assert len(await store.devices.of_user(project.key, user)) == 2


async def test_devices_without_an_address_are_not_one_device(store: Store) -> None:
    project = await new_project(store)
    first, second = await new_users(store, project, 2)
    one = await new_denied_device(store, project, first, id="d1", installation="i1")
    two = await new_denied_device(store, project, second, id="d2", installation="i2")
    assert one.key != two.key
    assert (await only_device(store, project.key, first)).permission is Permission.DENIED


async def test_who_says_no_later_keeps_the_device_without_an_address(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    first = await register(store, project, user, installation="i1")
    again = await new_denied_device(store, project, user, installation="i1")
    assert (again.key, again.address, again.permission) == (first.key, None, Permission.DENIED)


@pytest.mark.parametrize("state", [DeviceState.RETIRED, DeviceState.QUARANTINED])
async def test_registering_makes_active_again(store: Store, state: DeviceState) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    device = await register(store, project, user)
    await store.steps.commit(Effects(device_verdicts=[DeviceVerdict(device.key, state, "410", NOW)]))
    assert (await only_device(store, project.key, user)).state is state
    again = await register(store, project, user, now=NOW + 5)
    assert (again.key, again.state, again.state_reason) == (device.key, DeviceState.ACTIVE, None)


async def test_a_verdict_counts_only_if_the_device_did_not_register_since(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    device = await register(store, project, user, now=NOW + 5)
    late = DeviceVerdict(device.key, DeviceState.RETIRED, "410", NOW + 4)
    await store.steps.commit(Effects(device_verdicts=[late]))
    assert await only_device(store, project.key, user) == device
    await store.steps.commit(Effects(device_verdicts=[msgspec.structs.replace(late, sent_at=NOW + 6)]))
    retired = await only_device(store, project.key, user)
    assert (retired.state, retired.state_reason) == (DeviceState.RETIRED, "410")


async def test_find_leaves_out_what_is_not_there(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    one = await register(store, project, user)
    two = await register(store, project, user, ELSEWHERE)
    found = await store.devices.find(project.key, [two.id, "nothing", one.id])
    assert sorted(found, key=lambda device: device.key) == [one, two]
    assert await store.devices.find(project.key, []) == []


async def test_a_deleted_device_is_gone_and_deleting_it_again_is_false(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    device = await register(store, project, user)
    assert await store.devices.delete(project.key, device.id)
    assert not await store.devices.delete(project.key, device.id)
    assert await store.devices.get(project.key, device.id) is None
    assert await store.devices.of_user(project.key, user) == []
    again = await register(store, project, user, id="d9")
    assert (again.id, again.key == device.key) == ("d9", False)


async def test_addresses_are_given_for_devices_that_may_be_sent_to(store: Store) -> None:
    project = await new_project(store)
    user = await new_user(store, project)
    good = await register(store, project, user, details={"auth": "secret"})
    quiet = await register(store, project, user, "https://push.example/quiet", permission=Permission.PROVISIONAL)
    denied = await register(store, project, user, "https://push.example/denied", permission=Permission.DENIED)
    silent = await new_denied_device(store, project, user)
    retired = await register(store, project, user, "https://push.example/retired")
    await store.steps.commit(Effects(device_verdicts=[DeviceVerdict(retired.key, DeviceState.RETIRED, "410", NOW)]))
    keys = [device.key for device in (good, quiet, denied, silent, retired)]
    found = await store.steps.addresses(project.key, [*keys, 999_999])
    assert found.keys() == {good.key, quiet.key}
    address = found[good.key]
    assert (address.device, address.user, address.kind, address.address) == (good.key, user, good.kind, good.address)
    assert msgspec.json.decode(address.details) == {"auth": "secret"}
