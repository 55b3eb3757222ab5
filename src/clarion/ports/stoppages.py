"""Push services that nothing is sent to for now: why, since when, and when a probe may go. Shared by all processes."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from clarion.model import DeviceKind, Key, Millis
from clarion.ports.jobs import lane_queue


class StopReason(StrEnum):
    """Why a lane is stopped: the service refuses our keys (or there are none), or it fails altogether."""

    BAD_CREDENTIALS = "bad_credentials"
    PROVIDER_ERROR = "provider_error"


class Place(NamedTuple):
    """One lane of one project."""

    project: Key
    kind: DeviceKind
    lane: str

    @property
    def queue(self) -> str:
        """Where its work waits."""
        return lane_queue(self.kind, self.project, self.lane)


class Stoppage(msgspec.Struct, frozen=True, kw_only=True):
    """One lane that is held back; the alert that people see. `credential`: the name of the one it goes out with.

    `failures`: how often in a row it was tried. At `again_at` a probe may go.
    """

    project: Key
    kind: DeviceKind
    lane: str
    reason: StopReason
    detail: str
    credential: str | None
    since: Millis
    again_at: Millis
    failures: int

    @property
    def place(self) -> Place:
        """What is stopped."""
        return Place(self.project, self.kind, self.lane)


class Stoppages(Protocol):
    """The lanes that are held back: few rows, so that reading all of them is cheap."""

    async def all(self) -> Sequence[Stoppage]:
        """Of all projects, oldest first."""
        ...

    async def of_project(self, project: Key) -> Sequence[Stoppage]:
        """Oldest first."""
        ...

    async def put(self, stoppage: Stoppage) -> None:
        """Note it, or what is new about it; since when stays as it was noted first."""
        ...

    async def claim_probe(self, place: Place, now: Millis, until: Millis) -> bool:
        """Whether the probe is ours: it is due, and nobody else gets it before `until`."""
        ...

    async def end(self, place: Place) -> bool:
        """The lane is open again; False when it was not stopped."""
        ...

    async def end_kind(self, project: Key, kind: DeviceKind) -> Sequence[Stoppage]:
        """All lanes of a kind are to be tried again at once; those that were stopped."""
        ...

    async def forget(self, before: Millis) -> int:
        """Drop those that nobody tried since `before`: nothing waits there any more. How many."""
        ...
