"""A push service that answers by script and remembers what it was given."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from clarion.model import CHANNEL_OF_KIND, DeviceKind, Millis
from clarion.ports import Accepted, BadCredentials, Outgoing, ProviderOutcome, RetryAfter

Answer: TypeAlias = ProviderOutcome | Callable[[Outgoing], ProviderOutcome]


class Call(NamedTuple):
    """One batch as the provider got it."""

    batch: list[Outgoing]
    secrets: dict[str, bytes]
    now: Millis


class ScriptedProvider:
    """A `Provider` that takes one answer of its script a message, then answers `otherwise` to all that follow.

    An answer is an outcome, or a function from the message to one; `otherwise` may be changed. `calls` holds every
    batch in order, `taken` is what is said of every credential, `unpreparable` by address what can never be sent.
    """

    def __init__(
        self,
        kind: DeviceKind = DeviceKind.WEBPUSH,
        script: Iterable[Answer] = (),
        otherwise: Answer | None = None,
    ) -> None:
        self.kind = kind
        self.channel = CHANNEL_OF_KIND[kind]
        self.calls: list[Call] = []
        self.unpreparable: dict[str, ProviderOutcome] = {}
        self.taken: BadCredentials | RetryAfter | None = None
        self._script: deque[Answer] = deque(script)
        self.otherwise = otherwise or Accepted()

    @property
    def sent(self) -> list[Outgoing]:
        """Every message of every batch, in order."""
        return [message for call in self.calls for message in call.batch]

    def then(self, *answers: Answer) -> None:
        """Put answers at the end of the script."""
        self._script.extend(answers)

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        self.calls.append(Call(list(batch), dict(secrets), now))
        return [self._answer(message) for message in batch]

    def uses(self, lane: str, secrets: Mapping[str, bytes]) -> list[str]:  # noqa: ARG002 - one service, one lane
        """All of them."""
        return list(secrets)

    async def prepare(
        self,
        batch: Sequence[Outgoing],
        secrets: Mapping[str, bytes],  # noqa: ARG002 - nothing is sealed for a device
    ) -> list[bytes | ProviderOutcome]:
        """The payloads, or what `unpreparable` says of an address."""
        return [self.unpreparable.get(message.address.address, message.ready.payload) for message in batch]

    async def check(self, secret: bytes, now: Millis) -> BadCredentials | RetryAfter | None:  # noqa: ARG002 - `taken`
        """What `taken` says."""
        return self.taken

    def _answer(self, message: Outgoing) -> ProviderOutcome:
        answer = self._script.popleft() if self._script else self.otherwise
        return answer(message) if callable(answer) else answer
