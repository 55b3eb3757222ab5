"""APNs against the simulated APNs: real TLS and HTTP/2, every reason, and what becomes of the device."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clarion.crypto.credentials import ApnsSecret
from clarion.model import DeviceKind, DeviceState, Permission, Registration
from clarion.ports import (
    Accepted,
    ArmedWork,
    BadCredentials,
    Gone,
    HttpResponse,
    Outgoing,
    Prepared,
    ProviderOutcome,
    Quarantined,
    Rejected,
    RetryAfter,
    TooLarge,
    uuid_of,
)
from clarion.providers.apns import ApnsProvider
from clarion.testing import ManualClock, MemoryStore, SeededChance
from clarion.testing.simulators import ApnsSimulator, Registered
from clarion.testing.simulators.apns import TOPIC
from clarion.testing.simulators.apns_rules import REASONS, TOPIC_SUFFIX
from clarion.transport.senders import Http2Senders
from contract.support_credentials import apns_certificate, apns_token
from contract.test_providers import RecordingSenders, message_for
from story.world import World

ID = bytes(range(16))
UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
ALERT = b'{"aps":{"alert":{"title":"Shipped"}}}'
TOKEN = "ab" * 32
MINUTE_MS = 60_000


@pytest.fixture
async def apns(clock: ManualClock, tmp_path: Path) -> AsyncIterator[ApnsSimulator]:
    async with ApnsSimulator(folder=tmp_path, now=clock.now) as simulator:
        yield simulator


@pytest.fixture
async def provider(apns: ApnsSimulator) -> AsyncIterator[ApnsProvider]:
    senders = Http2Senders(authority=apns.ca_file)
    yield ApnsProvider(senders, hosts=dict.fromkeys(("production", "sandbox"), apns.url))
    await senders.close()


def message(token: str = TOKEN, details: bytes = b"{}", **ready: Any) -> Outgoing:
    return message_for(DeviceKind.APNS, token, details, **{"payload": ALERT, **ready})


async def send(
    provider: ApnsProvider, batch: Sequence[Outgoing], *credentials: ApnsSecret, now: int = ManualClock().now()
) -> list[ProviderOutcome]:
    return await provider.send(batch, {str(at): one.sealed_form() for at, one in enumerate(credentials)}, now)


# --- what is sent ----------------------------------------------------------------------------------------------------


async def headers_of(apns: ApnsSimulator, provider: ApnsProvider, one: Outgoing) -> dict[str, str]:
    assert await send(provider, [one], apns_token(apns)) == [Accepted()], apns.answers
    return apns.shown.messages[-1].headers


async def test_an_ordinary_alert(apns: ApnsSimulator, provider: ApnsProvider, clock: ManualClock) -> None:
    headers = await headers_of(apns, provider, message(expires_at=clock.now() + 60_500))
    assert headers == {
        "apns-id": UUID,
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(clock.now() // 1000 + 61),
        "apns-collapse-id": UUID,
    }


@pytest.mark.parametrize(("urgency", "priority"), [("very-low", "1"), ("low", "5"), ("normal", "10"), ("high", "10")])
async def test_urgency(apns: ApnsSimulator, provider: ApnsProvider, urgency: str, priority: str) -> None:
    assert (await headers_of(apns, provider, message(urgency=urgency)))["apns-priority"] == priority


async def test_what_has_no_time_to_live_is_not_kept(
    apns: ApnsSimulator, provider: ApnsProvider, clock: ManualClock
) -> None:
    assert (await headers_of(apns, provider, message(expires_at=clock.now())))["apns-expiration"] == "0"


@pytest.mark.parametrize(
    ("key", "same"),
    [("order A-17", True), ("k" * 64, True), ("k" * 65, False), ("Größe", False), (" x", False), ("a\nb", False)],
)
async def test_a_collapse_key_goes_as_it_is_or_as_its_hash(
    apns: ApnsSimulator, provider: ApnsProvider, key: str, same: bool
) -> None:
    sent = (await headers_of(apns, provider, message(collapse_key=key)))["apns-collapse-id"]
    assert (sent == key) is same
    assert len(sent) <= 64
    assert (await headers_of(apns, provider, message(collapse_key=key)))["apns-collapse-id"] == sent


@pytest.mark.parametrize("push_type", TOPIC_SUFFIX)
async def test_each_push_type_goes_to_its_topic(apns: ApnsSimulator, provider: ApnsProvider, push_type: str) -> None:
    headers = await headers_of(apns, provider, message(headers={"apns-push-type": push_type}))
    assert headers["apns-topic"] == TOPIC + TOPIC_SUFFIX[push_type]


async def test_the_caller_has_the_last_word_about_topic_and_priority(
    apns: ApnsSimulator, provider: ApnsProvider
) -> None:
    chosen = {"apns-push-type": "voip", "apns-topic": f"{TOPIC}.voip", "apns-priority": "1"}
    headers = await headers_of(apns, provider, message(urgency="high", headers=chosen))
    assert headers.items() >= chosen.items()


async def test_each_environment_has_its_host() -> None:
    senders = RecordingSenders()
    batch = [message(details=b'{"environment":"%s"}' % name) for name in (b"sandbox", b"production", b"sandbox")]
    assert await send(ApnsProvider(senders), batch, apns_token()) == [Accepted()] * 3
    assert {batch.origin: len(batch.requests) for batch in senders.batches} == {
        "https://api.sandbox.push.apple.com": 2,
        "https://api.push.apple.com": 1,
    }


async def test_a_thousand_go_out_in_one_batch(apns: ApnsSimulator, provider: ApnsProvider) -> None:
    batch = [message(f"{number:064x}", id=number.to_bytes(16)) for number in range(1_000)]
    outcomes = await send(provider, batch, apns_token(apns))
    assert outcomes == [Accepted()] * 1_000
    assert apns.shown.accepted == apns.shown.notifications == 1_000


async def test_what_was_armed_goes_out_like_any_other(apns: ApnsSimulator, provider: ApnsProvider) -> None:
    """Straight from its columns, with the same headers and payload as one by one."""
    batch = [message(f"{number:064x}", id=number.to_bytes(16), collapse_key="goal") for number in range(3)]
    first, others = batch[0].ready, [each.ready for each in batch]
    work = ArmedWork(
        kind=DeviceKind.APNS, notification=first.notification, armed_at=0, category=first.category,
        urgency=first.urgency, collapse_key=first.collapse_key, headers=first.headers,
        users=[each.user for each in others], devices=[each.device for each in others],
        ids=[uuid_of(each.id) for each in others],
        addresses=[each.address.address for each in batch], details=[str(batch[0].address.details, "utf-8")],
        bodies=[each.payload for each in others],
    )  # fmt: skip
    armed = Prepared(work, first.expires_at)
    assert [each.ready.id for each in armed] == [each.id for each in others]
    assert [each.address.address for each in armed[1:]] == [each.address.address for each in batch[1:]]
    for sent in (batch, armed):
        assert await send(provider, sent, apns_token(apns)) == [Accepted()] * 3
    one_by_one, from_columns = list(apns.shown.messages)[:3], list(apns.shown.messages)[3:]
    assert [(each.headers, each.payload) for each in from_columns] == [
        (each.headers, each.payload) for each in one_by_one
    ]


# --- who sends -------------------------------------------------------------------------------------------------------

ONE_PROCESS = """
import asyncio, sys
from pathlib import Path
from clarion.providers.apns import ApnsProvider
from clarion.transport.senders import Http2Senders
from contract.test_provider_apns import message

async def main(url, ca, now):
    senders = Http2Senders(authority=Path(ca))
    provider = ApnsProvider(senders, hosts={"production": url, "sandbox": url})
    print(await provider.send([message()] * 3, {"main": sys.stdin.buffer.read()}, int(now)))
    await senders.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_all_processes_use_one_token_without_a_word_between_them(apns: ApnsSimulator, clock: ManualClock) -> None:
    async def process() -> bytes:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ONE_PROCESS, apns.url, str(apns.ca_file), str(clock.now()),
            cwd=Path(__file__).parents[1], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await child.communicate(apns_token(apns).sealed_form())
        return output

    outputs = await asyncio.gather(*(process() for _ in range(3)))
    assert [output.count(b"Accepted") for output in outputs] == [3, 3, 3], outputs
    assert apns.answers == {"200": 9}


@pytest.mark.parametrize("begin_min", [0, 4, 11, 19, 27])
async def test_the_token_is_changed_neither_too_often_nor_too_late(
    apns: ApnsSimulator, provider: ApnsProvider, clock: ManualClock, begin_min: int
) -> None:
    clock.advance(seconds=begin_min * 60)
    refused = 0
    for _ in range(90):  # three hours
        [outcome] = await send(provider, [message()], apns_token(apns), now=clock.now())
        if not isinstance(outcome, Accepted):
            refused += 1
            [outcome] = await send(provider, [message()], apns_token(apns), now=clock.now())
        assert outcome == Accepted(), apns.answers
        clock.advance(seconds=120)
    # Who began just before a change is told a few times that it came too soon, and then never again.
    assert refused <= 3
    assert apns.answers["403 ExpiredProviderToken"] == 0


async def test_a_certificate_is_enough(apns: ApnsSimulator, provider: ApnsProvider) -> None:
    assert await send(provider, [message()] * 5, apns_certificate(apns)) == [Accepted()] * 5


async def test_a_certificate_of_the_other_environment(apns: ApnsSimulator, provider: ApnsProvider) -> None:
    [outcome] = await send(provider, [message()], apns_certificate(apns, TOPIC, "sandbox"))
    assert outcome == BadCredentials("403 BadCertificateEnvironment")


async def test_a_certificate_with_another_key_or_none_at_all(apns: ApnsSimulator, provider: ApnsProvider) -> None:
    good = apns_certificate(apns)
    for broken in ({"private_key": apns_token().private_key}, {"certificate": "x"}, {"private_key": "x"}):
        [outcome] = await send(provider, [message()], msgspec.structs.replace(good, **broken))
        assert isinstance(outcome, BadCredentials), outcome
        assert "PRIVATE" not in outcome.detail
    assert apns.requests == 0


async def test_each_device_is_served_by_the_credential_of_its_app(tmp_path: Path, clock: ManualClock) -> None:
    topics = ("com.example.shop", "com.example.bank", "com.example.game")
    devices = {f"{at:064x}": Registered(topic) for at, topic in enumerate(topics)}
    async with ApnsSimulator(folder=tmp_path, now=clock.now, topics=topics, devices=devices) as apns:
        senders = Http2Senders(authority=apns.ca_file)
        provider = ApnsProvider(senders, hosts={"production": apns.url})
        batch = [
            message(token, json.dumps({"bundle_id": device.bundle_id}).encode()) for token, device in devices.items()
        ]
        certificate = apns_certificate(apns, topics[1], bundle_id=topics[1])
        outcomes = await send(provider, batch, apns_token(apns, topics[0]), certificate)
        await senders.close()
    assert outcomes == [Accepted()] * 3


async def test_an_app_that_no_credential_is_for_is_alone_with_that(apns: ApnsSimulator, provider: ApnsProvider) -> None:
    stranger = message(details=b'{"bundle_id":"com.example.other"}')
    outcomes = await send(provider, [message(), stranger], apns_certificate(apns))
    assert outcomes == [Accepted(), BadCredentials("no APNs credential of this project is for com.example.other")]
    # A signing key may be for all apps of its team; that this one is not, Apple says.
    [outcome] = await send(provider, [stranger], apns_token(apns))
    assert outcome == Rejected("400 TopicDisallowed")
    [outcome] = await send(provider, [message(headers={"apns-topic": "com.example.other"})], apns_token(apns))
    assert outcome == Rejected("400 TopicDisallowed")
    [outcome] = await send(provider, [message()], apns_token(apns, "com.example.other"))
    assert outcome == BadCredentials("400 TopicDisallowed: com.example.other")


async def test_a_key_that_apple_does_not_know(apns: ApnsSimulator, provider: ApnsProvider) -> None:
    assert await send(provider, [message()], apns_token()) == [BadCredentials("403 InvalidProviderToken")]


async def test_what_another_version_sealed_does_not_hold_back_the_rest(
    apns: ApnsSimulator, provider: ApnsProvider, clock: ManualClock
) -> None:
    secrets = {"newer": b'{"form":"apns_quantum"}', "broken": b"\xff", "main": apns_token(apns).sealed_form()}
    assert await provider.send([message()], secrets, clock.now()) == [Accepted()]


@pytest.mark.parametrize(
    ("token", "details"),
    [("xyz!", b"{}"), ("ab/../cd", b"{}"), (TOKEN, b'{"environment":"moon"}'), (TOKEN, b'{"bundle_id":"a\\nb"}')],
)
async def test_what_cannot_be_an_address_is_put_aside_without_asking_apple(
    apns: ApnsSimulator, provider: ApnsProvider, token: str, details: bytes
) -> None:
    assert isinstance((await send(provider, [message(token, details)], apns_token(apns)))[0], Quarantined)
    assert apns.requests == 0


# --- what the answers mean -------------------------------------------------------------------------------------------

ACTIVE, QUARANTINED, RETIRED = DeviceState.ACTIVE, DeviceState.QUARANTINED, DeviceState.RETIRED
MEANING: dict[str, tuple[type[ProviderOutcome], DeviceState]] = {
    "BadCollapseId": (Rejected, ACTIVE),
    "BadDeviceToken": (Quarantined, QUARANTINED),
    "BadExpirationDate": (Rejected, ACTIVE),
    "BadMessageId": (Rejected, ACTIVE),
    "BadPriority": (Rejected, ACTIVE),
    "BadTopic": (Rejected, ACTIVE),
    "DeviceTokenNotForTopic": (Quarantined, QUARANTINED),
    "DuplicateHeaders": (Rejected, ACTIVE),
    "IdleTimeout": (RetryAfter, ACTIVE),
    "InvalidPushType": (Rejected, ACTIVE),
    "MissingDeviceToken": (Rejected, ACTIVE),
    "MissingTopic": (Rejected, ACTIVE),
    "PayloadEmpty": (Rejected, ACTIVE),
    "TopicDisallowed": (BadCredentials, ACTIVE),
    "BadCertificate": (BadCredentials, ACTIVE),
    "BadCertificateEnvironment": (BadCredentials, ACTIVE),
    "ExpiredProviderToken": (BadCredentials, ACTIVE),
    "Forbidden": (BadCredentials, ACTIVE),
    "InvalidProviderToken": (BadCredentials, ACTIVE),
    "MissingProviderToken": (BadCredentials, ACTIVE),
    "UnrelatedKeyIdInToken": (BadCredentials, ACTIVE),
    "BadEnvironmentKeyIdInToken": (BadCredentials, ACTIVE),
    "BadPath": (Rejected, ACTIVE),
    "MethodNotAllowed": (Rejected, ACTIVE),
    "ExpiredToken": (Gone, RETIRED),
    "Unregistered": (Gone, RETIRED),
    "PayloadTooLarge": (TooLarge, ACTIVE),
    "TooManyProviderTokenUpdates": (RetryAfter, ACTIVE),
    "TooManyRequests": (RetryAfter, ACTIVE),
    "InternalServerError": (RetryAfter, ACTIVE),
    "ServiceUnavailable": (RetryAfter, ACTIVE),
    "Shutdown": (RetryAfter, ACTIVE),
}


def test_every_reason_is_in_the_table() -> None:
    assert MEANING.keys() == REASONS.keys()


class Watched(ApnsProvider):
    """Keeps the last outcome by address."""

    def __init__(self, senders: Http2Senders, hosts: dict[str, str]) -> None:
        super().__init__(senders, hosts=hosts)
        self.outcomes: dict[str, ProviderOutcome] = {}

    async def send(self, batch: Sequence[Outgoing], secrets: Any, now: int) -> list[ProviderOutcome]:
        outcomes = await super().send(batch, secrets, now)
        self.outcomes |= {one.address.address: outcome for one, outcome in zip(batch, outcomes, strict=True)}
        return outcomes


@pytest.fixture
async def world(apns: ApnsSimulator, clock: ManualClock, chance: SeededChance) -> AsyncIterator[World]:
    world = await World(MemoryStore(clock), clock, chance).begin()
    senders = Http2Senders(authority=apns.ca_file)
    world.providers[DeviceKind.APNS] = Watched(senders, dict.fromkeys(("production", "sandbox"), apns.url))
    await world.credential(DeviceKind.APNS, apns_token(apns))
    yield world
    await senders.close()


async def register(world: World, user_id: str, token: str) -> None:
    phone = Registration(
        kind=DeviceKind.APNS, address=token, permission=Permission.GRANTED, details={"environment": "production"}
    )
    await world.pipeline.register(world.project, user_id, phone)


async def state(world: World, user_id: str) -> DeviceState:
    user = await world.store.users.get(world.project.key, user_id)
    assert user is not None
    [device] = await world.store.devices.of_user(world.project.key, user.key)
    return device.state


async def test_every_reason_has_its_outcome_and_the_device_its_state(world: World, apns: ApnsSimulator) -> None:
    tokens = {reason: apns.codes.token(number, rest="00" * 28) for number, reason in enumerate(REASONS, start=1)}
    for reason, token in tokens.items():
        await register(world, reason, token)
    await register(world, "fine", TOKEN)
    world.clock.advance(seconds=1)
    await world.notify("fine", *tokens)
    await world.work()
    provider = world.providers[DeviceKind.APNS]
    assert isinstance(provider, Watched)
    seen = {reason: (type(provider.outcomes[token]), await state(world, reason)) for reason, token in tokens.items()}
    assert seen == MEANING
    assert isinstance(provider.outcomes[TOKEN], Accepted)
    assert apns.shown.tokens == [TOKEN]


async def test_a_device_that_registered_after_it_was_gone_stays(world: World, apns: ApnsSimulator) -> None:
    # Apple tells when the token was last known to be dead; the person came back since.
    from clarion.testing.simulators import Refuse  # noqa: PLC0415

    apns.script.on(TOKEN, Refuse(reason="Unregistered", timestamp=world.clock.now()))
    world.clock.advance(seconds=60)
    await register(world, "ada", TOKEN)
    await world.notify("ada")
    await world.work()
    assert await state(world, "ada") is ACTIVE


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (HttpResponse(0, error="no answer within 20 s", unknown=True), RetryAfter(None, "no answer within 20 s", True)),
        (HttpResponse(0, error="not sent within 20 s: refused"), RetryAfter(None, "not sent within 20 s: refused")),
        (
            HttpResponse(429, {"retry-after": "7"}, b'{"reason":"TooManyRequests"}'),
            RetryAfter(7, "429 TooManyRequests", blames="device"),
        ),
        (HttpResponse(503, {}, b"<html>"), RetryAfter(None, "503")),
        (HttpResponse(410, {}, b""), Gone("410")),
        (HttpResponse(410, {}, b'{"reason":"Unregistered","timestamp":5}'), Gone("410 Unregistered", 5)),
        (HttpResponse(400, {}, b'{"reason":"ExpiredToken"}'), Gone("400 ExpiredToken")),
        (HttpResponse(400, {}, b'{"reason":"SomethingNew"}'), Rejected("400 SomethingNew")),
        (HttpResponse(400, {}, b'{"reason":7}'), Rejected("400")),
    ],
)
async def test_answers_that_are_out_of_the_ordinary(answer: HttpResponse, outcome: ProviderOutcome) -> None:
    provider = ApnsProvider(RecordingSenders({f"/3/device/{TOKEN}": answer}))
    assert await send(provider, [message()], apns_token()) == [outcome]


@pytest.mark.parametrize("number", [0xF2, 0xF3, 0xF5, 0xE0])
async def test_a_broken_connection_is_no_answer(apns: ApnsSimulator, provider: ApnsProvider, number: int) -> None:
    [outcome] = await send(provider, [message(apns.codes.token(number, rest="00" * 28))], apns_token(apns))
    assert isinstance(outcome, RetryAfter)
    assert outcome.unknown is (number != 0xE0)


# --- the words -------------------------------------------------------------------------------------------------------


async def test_what_the_phone_gets(world: World, apns: ApnsSimulator) -> None:
    await register(world, "ada", TOKEN)
    await world.notify(
        "ada",
        title="Order {{ data.order }}",
        body="It left today.",
        url="https://shop.example/{{ data.order }}",
        data={"order": "A-17"},
        apns={"aps": {"badge": 3, "sound": None}, "more": [1]},
    )
    await world.work()
    [sent] = apns.shown.messages
    own = sent.payload.pop("clarion")
    assert sent.payload == {
        "aps": {
            "alert": {"title": "Order A-17", "body": "It left today."},
            "badge": 3,
            "category": "general",
            "thread-id": "general",
            "interruption-level": "active",
            "mutable-content": 1,
        },
        "more": [1],
    }
    claim = world.receipts.read(own.pop("receipt"), world.clock.now())
    assert claim.user == (await world.store.users.resolve(world.project.key, ["ada"], 0, create=False))["ada"]
    assert own == {
        "id": sent.id.replace("-", ""),
        "receipts_url": "https://push.example/v1/receipts",
        "url": "https://shop.example/A-17",
        "data": {"order": "A-17"},
        "class": "informational",
    }


async def test_a_payload_that_is_too_long_says_which_part_to_cut(world: World) -> None:
    await register(world, "ada", TOKEN)
    notification = await world.notify("ada", body="b" * 1000, data={"x": "y" * 4000})
    await world.work()
    [decision] = await world.decisions(notification)
    assert decision.reason == "too_large"
    [*_, because] = [gate[2] for gate in msgspec.json.decode(decision.gates)]
    assert "4096 fit: shorten data (4008 bytes) or body (1000 bytes)" in because


@pytest.mark.parametrize("key", [None, "order-A-17", "Größe"])
async def test_an_update_has_the_place_of_the_first_and_a_withdrawal_wakes_the_app(
    world: World, apns: ApnsSimulator, key: str | None
) -> None:
    await register(world, "ada", TOKEN)
    first = await world.notify("ada", body="10 stops away", collapse_key=key)
    await world.work()
    for more in ({}, {"renotify": True}):
        await world.pipeline.updating.replace(world.project, first.id, {"body": "3 stops away"}, **more)
        await world.work()
    await world.pipeline.updating.withdraw(world.project, first.id)
    await world.work()
    shown, quiet, loud, gone = apns.shown.messages
    [place] = {one.headers["apns-collapse-id"] for one in (shown, quiet, loud, gone)}
    assert len({one.headers["apns-id"] for one in (shown, quiet, loud, gone)}) == 4
    assert ("sound" in quiet.payload["aps"], quiet.payload["aps"]["interruption-level"]) == (False, "passive")
    assert (loud.payload["aps"]["sound"], loud.payload["aps"]["interruption-level"]) == ("default", "active")
    assert quiet.payload["clarion"]["replaces"] == loud.payload["clarion"]["replaces"] == place
    assert gone.payload["aps"] == {"content-available": 1}
    assert (gone.headers["apns-push-type"], gone.headers["apns-priority"]) == ("background", "5")
    assert gone.payload["clarion"].keys() == {"id", "receipt", "receipts_url", "withdraw"}
    assert gone.payload["clarion"]["withdraw"] == place
