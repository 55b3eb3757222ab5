"""Addresses of users, in memory."""

from collections.abc import Callable, Sequence

import msgspec

from clarion.errors import NotFound
from clarion.model import Device, DeviceKind, DeviceState, Key, Millis, Registration
from clarion.ports import permission_line, revoked
from clarion.testing.memory.tables import Tables, drop


class MemoryDevices:
    """`ports.Devices`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def register(
        self, project: Key, user: Key, registration: Registration, device_id: str, now: Millis
    ) -> tuple[Device, bool]:
        owner = self._tables.user(project, user)
        if owner is None:
            raise NotFound("user: there is no such user in this project")
        known = self._same(project, registration)
        told = {name: getattr(registration, name) for name in registration.__struct_fields__}
        del told["previous_address"]
        device = Device(
            key=known.key if known else next(self._tables.keys),
            id=known.id if known else device_id,
            project=project,
            user=user,
            user_id=owner.user_id,
            state=DeviceState.ACTIVE,
            registered_at=now,
            created_at=known.created_at if known else now,
            updated_at=now,
            **told,
        )
        if known is not None and _alike(known, device):
            device = msgspec.structs.replace(device, updated_at=known.updated_at)
        if device.address is not None:
            self._remove(lambda key, other: key != device.key and _has(other, project, device), now)
        if known is not None and known.user != user:
            self._tables.removed.append((known, now))
        before = known.permission if known else None
        line = permission_line(user, device.kind, before, device.permission, now)
        self._tables.consents += [line] if line else []
        self._tables.losses |= dict.fromkeys((project, each) for each in revoked(line, device.key))
        self._tables.devices[device.key] = device
        self._tables.device_ids[device.key] = device.id
        return device, known is None

    async def get(self, project: Key, device_id: str) -> Device | None:
        return next(iter(await self.find(project, [device_id])), None)

    async def of_user(self, project: Key, user: Key) -> list[Device]:
        return [row for row in self._tables.devices.values() if (row.project, row.user) == (project, user)]

    async def find(self, project: Key, device_ids: Sequence[str]) -> list[Device]:
        wanted = set(device_ids)
        return [row for row in self._tables.devices.values() if row.project == project and row.id in wanted]

    async def delete(self, project: Key, device_id: str) -> bool:
        return self._remove(lambda _, row: (row.project, row.id) == (project, device_id), self._tables.now())

    def _remove(self, gone: Callable[[Key, Device], bool], now: Millis) -> bool:
        """Whether there were any. The trail still names them, and who armed something wants to know."""
        removed = [device for key, device in self._tables.devices.items() if gone(key, device)]
        self._tables.removed += [(device, now) for device in removed]
        return drop(self._tables.devices, gone) > 0

    async def end_doubts(self, project: Key, kind: DeviceKind, now: Millis) -> int:
        return self._return([row for row in self._doubtful() if (row.project, row.kind) == (project, kind)], now)

    async def retry_doubtful(self, before: Millis, now: Millis, limit: int) -> int:
        return self._return([row for row in self._doubtful() if row.updated_at < before][:limit], now)

    def _doubtful(self) -> list[Device]:
        return [row for row in self._tables.devices.values() if row.state is DeviceState.QUARANTINED]

    def _return(self, doubtful: list[Device], now: Millis) -> int:
        for row in doubtful:
            self._tables.devices[row.key] = msgspec.structs.replace(
                row, state=DeviceState.ACTIVE, state_reason=None, updated_at=now
            )
        return len(doubtful)

    def _same(self, project: Key, told: Registration) -> Device | None:
        """The device that registers again: by installation, else previous address, else address."""
        mine = [row for row in self._tables.devices.values() if (row.project, row.kind) == (project, told.kind)]
        for field, value in (
            ("installation", told.installation),
            ("address", told.previous_address),
            ("address", told.address),
        ):
            for device in mine:
                if value is not None and getattr(device, field) == value:
                    return device
        return None


def _alike(known: Device, device: Device) -> bool:
    """Whether it told nothing new."""
    return msgspec.structs.replace(known, registered_at=0, updated_at=0) == msgspec.structs.replace(
        device, registered_at=0, updated_at=0
    )


def _has(other: Device, project: Key, device: Device) -> bool:
    """Whether `other` holds the address that is `device`'s now."""
    return (other.project, other.kind, other.address) == (project, device.kind, device.address)


def with_state(device: Device, state: DeviceState, reason: str, now: Millis) -> Device:
    """The device after a provider's word about it."""
    return msgspec.structs.replace(device, state=state, state_reason=reason, updated_at=now)
