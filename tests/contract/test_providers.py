"""What every provider keeps to, found by name: one file in providers/, one class that sends batches."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

import clarion.providers
from clarion.crypto.p256 import KeyPair
from clarion.crypto.webpush import Receiver
from clarion.model import Channel, DeviceKind
from clarion.ports import Accepted, Address, HttpBatch, HttpRequest, HttpResponse, Outgoing, Provider, Ready
from clarion.providers.stub import StubProvider
from clarion.testing import ManualClock
from contract.support_credentials import apns_token, service_account

VAPID = KeyPair.generate()
SECRETS = {VAPID.public_text: VAPID.private}


class RecordingSenders:
    """`ports.Senders` whose every transport keeps batches and answers as told: by path, else 200."""

    def __init__(self, answers: Mapping[str, HttpResponse] | None = None) -> None:
        self.batches: list[HttpBatch] = []
        self._answers = answers or {}

    def to(self, _origin: str, **_how: object) -> "RecordingSenders":
        return self

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        self.batches.append(batch)
        token = HttpResponse(200, body=b'{"access_token": "ya29.x", "expires_in": 3599}')
        return [
            self._answers.get(request.path) or (token if request.path == "/token" else HttpResponse(200))
            for request in batch.requests
        ]

    async def close(self) -> None:
        pass


class RecordingTransport:
    """Answers every request with the next of `answers`, then 201. `requests` are those of all batches, whole."""

    def __init__(self, *answers: HttpResponse) -> None:
        self.batches: list[HttpBatch] = []
        self._answers = list(answers)

    @property
    def requests(self) -> list[HttpRequest]:
        return [request for batch in self.batches for request in whole(batch)]

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]:
        self.batches.append(batch)
        return [self._answers.pop(0) if self._answers else HttpResponse(201) for _ in batch.requests]

    async def close(self) -> None:
        pass


def whole(batch: HttpBatch) -> list[HttpRequest]:
    """Each request with all that it says."""
    for request in batch.requests:
        assert not {name for name, _ in batch.headers} & {name for name, _ in request.headers}, "said twice"
    return [
        HttpRequest("POST", batch.origin + each.path, dict((*batch.headers, *each.headers)), each.body, each.id)
        for each in batch.requests
    ]


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
    known: dict[str, Any] = {
        "senders": RecordingSenders(),
        "transport": RecordingTransport(),
        "subject": "mailto:a@example.com",
        "own_origin": "https://own.example",
    }
    wanted = inspect.signature(noun).parameters
    return noun(**{name: known[name] for name in wanted if name in known})


def message_for(kind: DeviceKind, address: str = "ab" * 32, details: bytes = b"{}", **ready: Any) -> Outgoing:
    """A message to a device of that kind, whatever its payload."""
    if kind is DeviceKind.WEBPUSH:
        return outgoing()
    told = {"expires_at": ManualClock().now() + 60_000, "urgency": "normal", "collapse_key": None, **ready}
    payload = told.pop("payload", b'{"android":{}}')
    made = Ready(1, 2, 3, told.pop("id", bytes(range(16))), payload, "general", **told)
    return Outgoing(made, Address(3, 2, kind, address, details))


UNSENDABLE = {
    DeviceKind.APNS: message_for(DeviceKind.APNS, "no token"),
    DeviceKind.FCM: message_for(DeviceKind.FCM, details=b'{"address_kind":"topic"}'),
    DeviceKind.WEBPUSH: outgoing(details=b'{"p256dh":"no point","auth":"","vapid_public_key":"unknown"}'),
}


def secrets_for(kind: DeviceKind) -> dict[str, bytes]:
    made = {DeviceKind.APNS: apns_token, DeviceKind.FCM: service_account}
    return {"main": made[kind]().sealed_form()} if kind in made else SECRETS


@pytest.fixture(params=provider_classes(), ids=lambda noun: noun.__name__)
def provider(request: pytest.FixtureRequest) -> Provider:
    return build(request.param)


async def test_it_says_what_it_serves(provider: Provider) -> None:
    assert provider.kind in DeviceKind
    assert provider.channel in Channel


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
async def test_it_answers_a_batch_of_any_size_in_full(provider: Provider, size: int) -> None:
    batch = [message_for(provider.kind)] * size
    outcomes = await provider.send(batch, secrets_for(provider.kind), ManualClock().now())
    assert [type(outcome) for outcome in outcomes] == [Accepted] * size


async def test_a_message_that_cannot_be_sent_does_not_hold_back_the_batch(provider: Provider) -> None:
    good, unsendable = message_for(provider.kind), UNSENDABLE[provider.kind]
    outcomes = await provider.send([good, unsendable, good], secrets_for(provider.kind), ManualClock().now())
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [
        True, isinstance(provider, StubProvider), True
    ]  # fmt: skip


async def test_without_a_credential_nothing_is_accepted_and_nothing_is_raised(provider: Provider) -> None:
    [outcome] = await provider.send([message_for(provider.kind)], {}, ManualClock().now())
    assert isinstance(outcome, Accepted) == isinstance(provider, StubProvider)


async def test_what_was_prepared_is_sent_as_it_is(provider: Provider) -> None:
    batch, secrets = [message_for(provider.kind)] * 3, secrets_for(provider.kind)
    bodies = await provider.prepare(batch, secrets)
    ahead = [msgspec.structs.replace(each, body=body) for each, body in zip(batch, bodies, strict=True)]
    # Nobody looks at the payload any more.
    ahead = [msgspec.structs.replace(each, ready=msgspec.structs.replace(each.ready, payload=b"{]")) for each in ahead]
    outcomes = await provider.send(ahead, secrets, ManualClock().now())
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 3
