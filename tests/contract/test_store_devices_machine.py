"""Registrations, rotations, logins and deletions in any order: an address has one device, a device one user."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from clarion.model import Device, DeviceState, Key, Permission, Project
from clarion.ports import Store
from contract.support import NOW, new_project, new_user, registration

T = TypeVar("T")
Wait = Callable[[Coroutine[Any, Any, T]], T]

USERS = ["u0", "u1"]
ADDRESSES = [f"https://push.example/{number}" for number in range(3)]
INSTALLATIONS = ["i0", "i1"]

users = st.sampled_from(USERS)
addresses = st.sampled_from(ADDRESSES)
installations = st.none() | st.sampled_from(INSTALLATIONS)


class Devices(RuleBasedStateMachine):
    """Drives a store from outside its event loop; each run has a project of its own."""

    store: Store
    wait: Wait[Any]
    runs = itertools.count()

    @initialize()
    def begin(self) -> None:
        self.project: Project = self.wait(new_project(self.store, f"shop-{next(self.runs)}"))
        self.ids = itertools.count()
        self.ever: dict[str, Key] = {}
        self.merged: set[Key] = set()

    @rule(user=users, address=addresses, installation=installations, previous=st.none() | addresses)
    def register(self, user: str, address: str, installation: str | None, previous: str | None) -> None:
        self._register(user, address, installation, previous)

    @rule(user=users, installation=st.sampled_from(INSTALLATIONS))
    def refuse(self, user: str, installation: str) -> None:
        self._register(user, None, installation, None)

    @rule(known=users)
    def login(self, known: str) -> None:
        anonymous = self.wait(self.store.users.create_anonymous(self.project.key, f"anon-{next(self.ids)}", NOW))
        address = ADDRESSES[next(self.ids) % len(ADDRESSES)]
        device = self._register(anonymous.user_id, address, None, None)
        key = self._user(known)
        self.wait(self.store.users.merge(self.project.key, anonymous.key, key, NOW))
        self.merged.add(anonymous.key)
        moved = self.wait(self.store.devices.get(self.project.key, device.id))
        assert (moved.user, moved.key) == (key, device.key)

    @rule(user=users)
    def erase(self, user: str) -> None:
        self.wait(self.store.users.erase(self.project.key, user))

    @rule(number=st.integers(0, 5))
    def delete(self, number: int) -> None:
        devices = self._devices()
        if devices:
            assert self.wait(self.store.devices.delete(self.project.key, devices[number % len(devices)].id))

    @invariant()
    def every_device_is_one_device_of_one_user(self) -> None:
        devices = self._devices()
        for held in (
            [device.key for device in devices],
            [device.id for device in devices],
            [device.address for device in devices if device.address is not None],
            [device.installation for device in devices if device.installation is not None],
        ):
            assert len(held) == len(set(held))
        for device in devices:
            assert device.user not in self.merged
            assert self.wait(self.store.devices.get(self.project.key, device.id)) == device
            assert self.ever.setdefault(device.id, device.key) == device.key
        owners = self.wait(self.store.users.ids(self.project.key, [device.user for device in devices]))
        assert all(device.user_id == owners[device.user] for device in devices)

    def _register(self, user: str, address: str | None, installation: str | None, previous: str | None) -> Device:
        permission = Permission.GRANTED if address else Permission.DENIED
        told = registration(address, installation=installation, previous_address=previous, permission=permission)
        key, id = self._user(user), f"d{next(self.ids)}"
        known = {device.id for device in self._devices()}
        device, new = self.wait(self.store.devices.register(self.project.key, key, told, id, NOW))
        assert (device.user, device.address, device.installation) == (key, address, installation)
        assert device.state is DeviceState.ACTIVE
        assert new == (device.id == id)
        assert new == (device.id not in known)
        return device

    def _user(self, user_id: str) -> Key:
        return self.wait(new_user(self.store, self.project, user_id))

    def _devices(self) -> list[Device]:
        """Of everybody, and of those who were merged and must have none."""
        return self.wait(_all_devices(self.store, self.project, self.merged))


async def _all_devices(store: Store, project: Project, merged: set[Key]) -> list[Device]:
    spans = await store.steps.user_span(project.key, 0, 1, 1000)
    users = [user for user, _ in spans] + sorted(merged)
    return [device for user in users for device in await store.devices.of_user(project.key, user)]


async def test_an_address_has_one_device_and_a_device_one_user(store: Store) -> None:
    loop = asyncio.get_running_loop()

    def wait(coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=20)

    class OnThisStore(Devices):
        """The machine with its store."""

    OnThisStore.store, OnThisStore.wait = store, staticmethod(wait)
    limits = settings(max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
    await asyncio.to_thread(run_state_machine_as_test, OnThisStore, settings=limits)
