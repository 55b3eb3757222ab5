"""A wake-up between processes: who subscribed hears it, and nobody's fault is another's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from clarion.ports import Bus
from clarion.transport.bus import LocalBus
from contract.support import soon


@pytest.fixture(params=["local", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_bus(request: pytest.FixtureRequest) -> Callable[[], Bus]:
    """Makes a bus, not yet open; all of PostgreSQL's are joined by one database."""
    if request.param == "local":
        return LocalBus
    from clarion.storage.notify import PostgresBus  # noqa: PLC0415 - only when a test asks for it

    url = request.getfixturevalue("postgres_url")
    return lambda: PostgresBus(url)


@pytest.fixture
async def bus(new_bus: Callable[[], Bus]) -> AsyncIterator[Bus]:
    """An open bus."""
    opened = new_bus()
    await opened.open()
    yield opened
    await opened.close()


class Ear:
    """A subscriber that remembers what it heard."""

    def __init__(self, bus: Bus, topic: str = "news") -> None:
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.end = bus.subscribe(topic, self._heard.put)

    async def next(self) -> bytes:
        return await soon(self._heard.get())

    def heard_nothing(self) -> bool:
        return self._heard.empty()


async def test_a_message_reaches_who_subscribed(bus: Bus) -> None:
    ear = Ear(bus)
    await bus.publish("news", b"payload")
    assert await ear.next() == b"payload"


async def test_a_message_reaches_every_subscriber_once(bus: Bus) -> None:
    ears = [Ear(bus) for _ in range(3)]
    await bus.publish("news", b"1")
    await bus.publish("news", b"2")
    assert [[await ear.next(), await ear.next()] for ear in ears] == [[b"1", b"2"]] * 3
    assert all(ear.heard_nothing() for ear in ears)


async def test_a_payload_may_be_empty_or_any_bytes(bus: Bus) -> None:
    ear = Ear(bus)
    for payload in (b"", bytes(range(256)), b"'; --", "ä🎁".encode(), b"x" * 2000):
        await bus.publish("news", payload)
        assert await ear.next() == payload


async def test_without_a_payload_it_is_empty(bus: Bus) -> None:
    ear = Ear(bus)
    await bus.publish("news")
    assert await ear.next() == b""


async def test_topics_are_apart_and_may_be_any_text(bus: Bus) -> None:
    topics = ["work.decide", "Work.Decide", "node-" + "a" * 80, "node-" + "a" * 79 + "b", 'quo"te', "ä"]
    ears = {topic: Ear(bus, topic) for topic in topics}
    for topic in topics:
        await bus.publish(topic, topic.encode())
    for topic, ear in ears.items():
        assert await ear.next() == topic.encode()
    assert all(ear.heard_nothing() for ear in ears.values())


async def test_nobody_listening_is_no_error(bus: Bus) -> None:
    ear = Ear(bus)
    await bus.publish("nobody", b"hears this")
    await bus.publish("news", b"hears that")
    assert await ear.next() == b"hears that"


async def test_who_ended_the_subscription_hears_no_more_and_others_still_do(bus: Bus) -> None:
    gone, stays = Ear(bus), Ear(bus)
    gone.end()
    gone.end()
    await bus.publish("news", b"1")
    assert await stays.next() == b"1"
    assert gone.heard_nothing()


async def test_publishing_does_not_wait_for_the_handlers(bus: Bus) -> None:
    started, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_: bytes) -> None:
        started.set()
        await go_on.wait()
        done.set()

    bus.subscribe("news", slow)
    ear = Ear(bus)
    await soon(bus.publish("news", b"1"))
    await soon(started.wait())
    await soon(bus.publish("news", b"2"))
    assert [await ear.next(), await ear.next()] == [b"1", b"2"]
    go_on.set()
    await soon(done.wait())


async def test_a_handler_that_fails_is_logged_and_stops_nobody(bus: Bus) -> None:
    async def fails(payload: bytes) -> None:
        raise ValueError(f"cannot read {payload!r}")

    with capture_logs() as logs:
        bus.subscribe("news", fails)
        ear = Ear(bus)
        await bus.publish("news", b"1")
        await bus.publish("news", b"2")
        assert [await ear.next(), await ear.next()] == [b"1", b"2"]
        failures = await soon(_errors(logs, 2))
    assert all(entry.get("exc_info") for entry in failures)


async def test_a_handler_may_publish_and_subscribe(bus: Bus) -> None:
    ear = Ear(bus, "answers")

    async def answer(payload: bytes) -> None:
        bus.subscribe("later", answer)
        await bus.publish("answers", payload + b"!")

    bus.subscribe("questions", answer)
    await bus.publish("questions", b"why")
    assert await ear.next() == b"why!"


async def test_many_messages_at_once_all_arrive(bus: Bus) -> None:
    ear = Ear(bus)
    await soon(asyncio.gather(*(bus.publish("news", b"%d" % number) for number in range(200))))
    assert sorted([int(await ear.next()) for _ in range(200)]) == list(range(200))


async def test_closing_ends_what_still_runs(bus: Bus) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def endless(_: bytes) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    bus.subscribe("news", endless)
    await bus.publish("news")
    await soon(started.wait())
    await soon(bus.close())
    assert ended.is_set()


@pytest.mark.parametrize("new_bus", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
async def test_a_message_reaches_another_process(new_bus: Callable[[], Bus]) -> None:
    here, there = new_bus(), new_bus()
    try:
        await here.open()
        await there.open()
        ears = [Ear(here), Ear(there)]
        await here.publish("news", b"to all")
        assert [await ear.next() for ear in ears] == [b"to all"] * 2
    finally:
        await here.close()
        await there.close()


async def _errors(logs: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """Waits until that many errors were logged."""
    while len(found := [entry for entry in logs if entry["log_level"] == "error"]) < count:  # noqa: ASYNC110 - a list tells nobody
        await asyncio.sleep(0)
    return found
