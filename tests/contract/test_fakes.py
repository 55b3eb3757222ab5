"""The fakes that we ship keep their word: time stands still, chance repeats itself, a provider follows its script."""

import pytest

from clarion.model import Channel, DeviceKind
from clarion.ports import Accepted, Address, Gone, Outgoing, Ready, RetryAfter
from clarion.testing import ManualClock, ScriptedProvider, SeededChance
from contract.support import NOW


def outgoing(device: int) -> Outgoing:
    ready = Ready(
        notification=1,
        user=2,
        device=device,
        id=bytes(16),
        payload=b"{}",
        category="general",
        expires_at=NOW,
        urgency="normal",
        collapse_key=None,
    )
    address = Address(device, 2, DeviceKind.WEBPUSH, f"https://push.example/{device}", b"{}")
    return Outgoing(ready, address)


def test_the_clock_moves_only_when_told() -> None:
    clock = ManualClock(NOW)
    assert [clock.now(), clock.now()] == [NOW, NOW]
    assert clock.advance(5, seconds=1, minutes=1, hours=1) == NOW + 3_661_005
    assert clock.now() == NOW + 3_661_005


def test_the_clock_never_goes_back() -> None:
    clock = ManualClock(NOW)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    assert clock.now() == NOW


def test_chance_repeats_itself_by_its_seed() -> None:
    first, again, other = SeededChance(7), SeededChance(7), SeededChance(8)
    tokens = [first.token(16) for _ in range(3)]
    assert [again.token(16) for _ in range(3)] == tokens
    assert other.token(16) not in tokens
    assert len(set(tokens)) == 3
    assert [len(first.token(size)) for size in (0, 1, 32)] == [0, 1, 32]


async def test_a_provider_answers_by_its_script_and_then_accepts() -> None:
    provider = ScriptedProvider(script=[Gone(), lambda message: RetryAfter(detail=str(message.ready.device))])
    assert (provider.kind, provider.channel) == (DeviceKind.WEBPUSH, Channel.PUSH)
    assert await provider.send([outgoing(1), outgoing(2), outgoing(3)], {}, NOW) == [
        Gone(),
        RetryAfter(detail="2"),
        Accepted(),
    ]
    provider.then(Gone())
    assert await provider.send([outgoing(4), outgoing(5)], {}, NOW) == [Gone(), Accepted()]


async def test_a_provider_may_answer_otherwise_than_yes() -> None:
    provider = ScriptedProvider(DeviceKind.SMS, otherwise=RetryAfter(seconds=3))
    assert provider.channel is Channel.SMS
    assert await provider.send([outgoing(1), outgoing(2)], {}, NOW) == [RetryAfter(seconds=3)] * 2


async def test_a_provider_remembers_what_it_was_given() -> None:
    provider = ScriptedProvider()
    secrets = {"key": b"secret"}
    await provider.send([outgoing(1), outgoing(2)], secrets, NOW)
    secrets.clear()
    await provider.send([outgoing(3)], secrets, NOW + 1)
    assert [(len(call.batch), call.secrets, call.now) for call in provider.calls] == [
        (2, {"key": b"secret"}, NOW),
        (1, {}, NOW + 1),
    ]
    assert provider.sent == [outgoing(1), outgoing(2), outgoing(3)]
