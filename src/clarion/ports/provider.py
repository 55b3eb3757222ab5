"""Who speaks to one kind of push service, what it is given, and what can come of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, overload

import msgspec

from clarion.model import Channel, DeviceKind, Millis
from clarion.ports.facts import Address
from clarion.ports.jobs import ArmedWork, Ready


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One message for a provider. `body`: what `prepare` made of it ahead; the payload is not looked at again."""

    ready: Ready
    address: Address
    body: bytes | None = None


class Prepared(Sequence[Outgoing]):
    """Messages of one notification that were prepared, as the columns in which they waited.

    A provider may build its requests from the columns; for everybody else they are a sequence like any other.
    """

    __slots__ = ("_made", "expires_at", "work")

    def __init__(self, work: ArmedWork, expires_at: Millis) -> None:
        self.work = work
        self.expires_at = expires_at
        self._made: list[Outgoing] | None = None

    def __len__(self) -> int:
        return len(self.work.users)

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(self._all())

    @overload
    def __getitem__(self, at: int) -> Outgoing: ...
    @overload
    def __getitem__(self, at: slice) -> "Prepared": ...
    def __getitem__(self, at: int | slice) -> "Outgoing | Prepared":
        return self._all()[at] if isinstance(at, int) else Prepared(self.work.part(at), self.expires_at)

    def first(self) -> Outgoing:
        """The first message, without a look at the others."""
        return _messages(self.work.part(slice(1)), self.expires_at)[0]

    def _all(self) -> list[Outgoing]:
        if self._made is None:
            self._made = _messages(self.work, self.expires_at)
        return self._made


def _messages(work: ArmedWork, expires_at: Millis) -> list[Outgoing]:
    """One by one. The body is made, so there is no payload any more."""
    kind, notification, category, urgency = work.kind, work.notification, work.category, work.urgency
    collapse_key, attempts, headers = work.collapse_key, work.attempts, work.headers
    details = work.details * len(work.users) if len(work.details) == 1 else work.details
    ids = map(bytes.fromhex, [id.replace("-", "") for id in work.ids])
    return [
        Outgoing(
            Ready(notification, user, device, id, b"", category, expires_at, urgency, collapse_key, attempts, headers),
            Address(device, user, kind, address, detail),
            body,
        )
        for user, device, id, address, detail, body in zip(
            work.users, work.devices, ids, work.addresses, details, work.bodies, strict=True
        )
    ]


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The service took it; `provider_id` is its own name for it, where that is not the delivery's id."""

    provider_id: str | None = None


class Gone(msgspec.Struct, frozen=True, gc=False):
    """Proof that the address is dead. `since`: when it died, if the service says."""

    detail: str = ""
    since: Millis | None = None


class Quarantined(msgspec.Struct, frozen=True, gc=False):
    """The address is refused in a way that a new registration may mend."""

    detail: str = ""


Blames: TypeAlias = Literal["service", "load", "device"]
"""Why not now: the service fails or does not answer; it works and asks all of us to slow down; or only this address is
asked too much of, which says nothing about the others."""


class RetryAfter(msgspec.Struct, frozen=True, gc=False):
    """Try again; `seconds` if the service says how long to wait. `unknown`: it may have arrived."""

    seconds: float | None = None
    detail: str = ""
    unknown: bool = False
    blames: Blames = "service"


class TooLarge(msgspec.Struct, frozen=True, gc=False):
    """The payload is over the service's limit."""

    detail: str = ""


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """This message is refused for good; the address may be fine."""

    detail: str = ""


class BadCredentials(msgspec.Struct, frozen=True, gc=False):
    """Our keys are refused, or there are none: nothing of this lane can go out until they are mended."""

    detail: str = ""


ProviderOutcome: TypeAlias = Accepted | Gone | Quarantined | RetryAfter | TooLarge | Rejected | BadCredentials


class Provider(Protocol):
    """Speaks to one kind of push service. Never sleeps, retries or touches storage; never raises for one message.

    Whatever costs much and needs no clock can be done ahead, by `prepare`, where every second after a moment counts.
    """

    kind: DeviceKind
    channel: Channel

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        """Outcomes in order. `secrets` are the project's unsealed credentials of this kind by name."""
        ...

    def uses(self, lane: str, secrets: Mapping[str, bytes]) -> list[str]:
        """The names of the credentials that messages of this lane may go out with: none when there is none for it."""
        ...

    async def prepare(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes]) -> list[bytes | ProviderOutcome]:
        """The bodies as they will go over the wire, made ahead of the sending; an outcome where it can never be."""
        ...

    async def check(self, secret: bytes, now: Millis) -> BadCredentials | RetryAfter | None:
        """Ask the service whether it takes this credential, with nothing shown anywhere; None: it does."""
        ...
