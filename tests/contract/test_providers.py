"""What every provider keeps to, found by name: one file in providers/, one class that sends batches."""

import importlib
import inspect
import pkgutil

import pytest

import clarion.providers
from clarion.crypto.p256 import KeyPair
from clarion.crypto.webpush import Receiver
from clarion.model import Channel, DeviceKind
from clarion.ports import Address, HttpRequest, HttpResponse, Outgoing, Provider, Ready, RetryAfter
from clarion.testing import ManualClock

VAPID = KeyPair.generate()
SECRETS = {VAPID.public_text: VAPID.private}


class RecordingTransport:
    """Answers every request with the next of `answers`, then 201."""

    def __init__(self, *answers: HttpResponse) -> None:
        self.requests: list[HttpRequest] = []
        self._answers = list(answers)

    async def send(self, requests: list[HttpRequest]) -> list[HttpResponse]:
        self.requests += requests
        return [self._answers.pop(0) if self._answers else HttpResponse(201) for _ in requests]

    async def close(self) -> None:
        pass


def outgoing(
    receiver: Receiver | None = None,
    *,
    endpoint: str = "https://push.example/s/1",
    payload: bytes = b"{}",
    expires_at: int = ManualClock().now() + 60_000,
    collapse_key: str | None = None,
    urgency: str = "normal",
    details: bytes | None = None,
) -> Outgoing:
    receiver = receiver or Receiver.generate()
    if details is None:
        keys = receiver.keys()
        text = f'{{"p256dh":"{keys["p256dh"]}","auth":"{keys["auth"]}","vapid_public_key":"{VAPID.public_text}"}}'
        details = text.encode()
    ready = Ready(1, 2, 3, bytes(range(16)), payload, "general", expires_at, urgency, collapse_key)
    return Outgoing(ready, Address(3, 2, DeviceKind.WEBPUSH, endpoint, details))


def provider_classes() -> list[type]:
    found = []
    for module in pkgutil.iter_modules(clarion.providers.__path__):
        loaded = importlib.import_module(f"clarion.providers.{module.name}")
        classes = [
            noun
            for name, noun in inspect.getmembers(loaded, inspect.isclass)
            if noun.__module__ == loaded.__name__ and name.endswith("Provider")
        ]
        assert len(classes) == 1, f"{module.name} has one provider, not {classes}"
        found += classes
    return found


def build(noun: type) -> Provider:
    """With whatever its constructor asks for."""
    known = {"transport": RecordingTransport(), "subject": "mailto:a@example.com", "own_origin": "https://own.example"}
    wanted = inspect.signature(noun).parameters
    return noun(**{name: known[name] for name in wanted if name in known})


@pytest.fixture(params=provider_classes(), ids=lambda noun: noun.__name__)
def provider(request: pytest.FixtureRequest) -> Provider:
    return build(request.param)


async def test_it_says_what_it_serves(provider: Provider) -> None:
    assert provider.kind in DeviceKind
    assert provider.channel in Channel


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
async def test_it_answers_a_batch_of_any_size_in_full(provider: Provider, size: int) -> None:
    outcomes = await provider.send([outgoing()] * size, SECRETS, ManualClock().now())
    assert len(outcomes) == size


async def test_a_message_that_cannot_be_sent_does_not_hold_back_the_batch(provider: Provider) -> None:
    broken = outgoing(details=b'{"p256dh":"no point","auth":"","vapid_public_key":"unknown"}')
    outcomes = await provider.send([outgoing(), broken, outgoing()], SECRETS, ManualClock().now())
    assert type(outcomes[0]) is type(outcomes[2])
    assert not isinstance(outcomes[0], RetryAfter)
