"""Stub: a push service that takes everything and shows nothing, to measure and to try out all that comes before it."""

from collections.abc import Mapping, Sequence

from clarion.model import Channel, DeviceKind, Millis
from clarion.ports import Accepted, Outgoing, ProviderOutcome


class StubProvider:
    """Accepts at once; `sent` counts."""

    channel = Channel.PUSH

    def __init__(self, kind: DeviceKind = DeviceKind.WEBPUSH) -> None:
        self.kind = kind
        self.sent = 0

    async def send(
        self,
        batch: Sequence[Outgoing],
        secrets: Mapping[str, bytes],  # noqa: ARG002 - nothing to prove to nobody
        now: Millis,  # noqa: ARG002
    ) -> list[ProviderOutcome]:
        """Every message is accepted under its own id."""
        self.sent += len(batch)
        return [Accepted(outgoing.ready.id.hex()) for outgoing in batch]

    def uses(self, lane: str, secrets: Mapping[str, bytes]) -> list[str]:  # noqa: ARG002 - one service, one lane
        """All of them."""
        return list(secrets)

    async def prepare(
        self,
        batch: Sequence[Outgoing],
        secrets: Mapping[str, bytes],  # noqa: ARG002
    ) -> list[bytes | ProviderOutcome]:
        """The payloads."""
        return [outgoing.ready.payload for outgoing in batch]

    async def check(self, secret: bytes, now: Millis) -> None:
        """There is nothing to refuse."""
