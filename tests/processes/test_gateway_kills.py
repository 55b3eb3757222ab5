"""The push service alone, `kill -9` at any step: what a 201 accepted arrives, and what was acknowledged stays away.

An ack *counts* from the moment when a later command on its connection is answered; from then on no frame may carry its
version again, whatever dies. Before that moment the message may come again, under the same version.
"""

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from postgres_server import CUT_OFF_OTHERS, PostgresServer
from processes.bare_device import BareDevice
from processes.foreign_sender import Mail
from processes.moments import Moments
from processes.server import Server
from processes.waiting import until
from processes.world import ROUNDS, Tell, seed

pytestmark = [pytest.mark.process]

DEVICES = 6
LETTERS_A_ROUND = 60
PATIENCE_S = 0.5  # for a step to come
LONGEST_CALM_S = 0.8
SETTINGS = {"PUSH_MESSAGE_LIMIT": "100000", "RATE_LIMITS": "off", "PUBLIC_ENDPOINT_URL": "http://push.example"}
WAITING = "SELECT count(*) FROM push_message WHERE data IS NOT NULL"
# `sent`: a request's last byte left. `accepted`: its 201 came. `frame`, `drained`: a message came, direct or from the
# store. `acked`: its ack left. `kept`: the ack counts. `greeted`, `hello`: a hello left, or was answered.
STEPS = ("sent", "accepted", "frame", "drained", "acked", "kept", "greeted", "hello", "start", "later")
OF_WAKING = ("drained", "greeted", "hello")
# While the database's connections are cut, what cannot be done is logged and answered; nothing else may go wrong.
OF_A_CUT = {"messages_not_stored"}


@dataclass
class World:
    """Servers, devices, and senders who know nothing of either but an address."""

    servers: Sequence[Server]
    devices: Sequence[BareDevice]
    mail: Mail
    chance: random.Random
    moments: Moments
    cut: Callable[[], object]
    struck: Counter[str] = field(default_factory=Counter)

    async def round(self, number: int) -> None:
        """Mail flows, devices sleep and wake, something dies at some step, and all are there again."""
        step = self.chance.choice(STEPS)
        asleep = self.devices if step in OF_WAKING else self.chance.sample(self.devices, number % 3)
        await asyncio.gather(*(device.go_offline() for device in asleep))
        self.mail.left = LETTERS_A_ROUND
        await self._strike(step)
        for device in self.devices:
            device.go_online()
        await asyncio.gather(*(server.start() for server in self.servers if not server.running))

    async def _strike(self, step: str) -> None:
        at = self.chance.randrange(len(self.servers))
        victim, strike = self._blow()
        if step == "start":
            self.servers[at].kill()
            self.servers[at].spawn()
        if step in ("start", "later"):
            await asyncio.sleep(self.chance.uniform(0, LONGEST_CALM_S))
            strike()
        elif not await self._at_the_instant(step, at, strike):
            step = f"after no {step}"
        if step == "start":
            self.servers[at].kill()
        self.struck[f"{step}, {victim}"] += 1

    async def _at_the_instant(self, step: str, at: int, strike: Callable[[], object]) -> bool:
        """Strike inside the call that tells of it; False when it was not told of, and struck all the same."""
        if step in OF_WAKING:
            with contextlib.suppress(AssertionError):
                await until(lambda: not self.mail.left and self.mail.settled, "letters wait in the store", PATIENCE_S)
        rare = step in ("greeted", "hello", "kept")
        self.moments.arm(f"{step} {at}", 1 if rare else self.chance.randint(1, 10), strike)
        for device in self.devices if step in OF_WAKING else ():
            device.go_online()
        with contextlib.suppress(AssertionError):
            await until(lambda: not self.moments.armed, step, PATIENCE_S)
        if not self.moments.armed:
            return True
        self.moments.disarm()
        strike()
        return False

    def _blow(self) -> tuple[str, Callable[[], object]]:
        """One server, all of them, or the database's connections."""
        if self.chance.random() < 0.15:
            return "cut", self.cut
        if self.chance.random() < 0.2:
            return "all", lambda: [server.kill() for server in self.servers]
        return "one", self.chance.choice(self.servers).kill

    async def settle(self) -> None:
        """Until everything is accepted, has arrived, and what was acknowledged is written."""
        for device in range(DEVICES):
            for topic in ("inbox", "score", None):  # behind all that may still be on its way
                self.mail.write(device, topic)
        await until(lambda: self.mail.settled, "all letters are accepted")
        with contextlib.suppress(AssertionError):  # then the account says what is missing
            await until(lambda: not self.missing(), "all letters have arrived")
            for device in self.devices:
                await device.confirm()
            await until(lambda: all(device.confirmed for device in self.devices), "the last acks count")

    def missing(self) -> list[str]:
        """What was accepted and has not come, but for what was replaced by the next of its topic."""
        last = {(letter.device, letter.topic): letter for letter in self.mail.accepted if letter.topic}
        return [
            str(letter)
            for letter in self.mail.accepted
            if letter.number not in self.devices[letter.device].received
            and (letter.topic is None or last[letter.device, letter.topic] is letter)
        ]

    def wrong(self) -> list[str]:
        """All that a push service must never do."""
        wrong = [words for device in self.devices for words in device.wrong]
        wrong += [f"lost: {words}" for words in self.missing()]
        wrong += [f"refused: {words}" for words in self.mail.refused]
        versions = Counter(version for device in self.devices for version in device.versions)
        wrong += [f"version {version} at {count} devices" for version, count in versions.items() if count > 1]
        copies = Counter(number for device in self.devices for number in device.versions.values())
        tries = {letter.number: letter.tries for letter in self.mail.letters}
        wrong += [
            f"letter {n}: {count} versions of {tries[n]} tries" for n, count in copies.items() if count > tries[n]
        ]
        locations = Counter(place for letter in self.mail.letters for place in letter.locations)
        wrong += [f"{place} names {count} messages" for place, count in locations.items() if count > 1]
        return wrong

    def account(self, rounds: int) -> str:
        """The counts, for people."""
        versions = sum(len(device.versions) for device in self.devices)
        repeated = sum(device.repeated.total() for device in self.devices)
        tries = sum(letter.tries for letter in self.mail.letters)
        delivered = sum(len(device.received) for device in self.devices)
        replaced = len(self.mail.accepted) - delivered
        return (
            f"{rounds} rounds: {len(self.mail.accepted)} accepted in {tries} tries, answers {dict(self.mail.answers)}\n"
            f"{delivered} delivered as {versions} versions, {replaced} replaced by topic, {repeated} frames repeated "
            f"before their ack counted, {sum(device.visits for device in self.devices)} connections\n"
            f"struck: {dict(sorted(self.struck.items()))}"
        )


@asynccontextmanager
async def new_world(
    servers: Sequence[Server], tell: Tell, cut: Callable[[], object] | None = None
) -> AsyncIterator[World]:
    """Servers started, devices subscribed; at the end everything is gone."""
    starting = seed()
    tell(f"CLARION_SOAK_SEED={starting}")
    chance, moments = random.Random(starting), Moments()
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.callback(server.kill)
        await asyncio.gather(*(server.start() for server in servers))
        devices = [BareDevice(number, servers, chance, moments) for number in range(DEVICES)]
        for device in devices:
            await stack.enter_async_context(device.alive())
        mail = Mail(servers, [str(device.endpoint) for device in devices], chance, moments)
        for device in devices:
            device.mail = mail
        yield World(servers, devices, mail, chance, moments, cut or servers[0].kill)


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


def cut_connections(url: str) -> None:
    """As when a network between the servers and PostgreSQL fails."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CUT_OFF_OTHERS)


@pytest.mark.soak
@pytest.mark.postgres
async def test_two_gateways_keep_what_they_accepted_whoever_is_killed(
    tmp_path: Path, empty_database: str, tell: Tell
) -> None:
    settings = {**SETTINGS, "DATABASE_URL": empty_database}
    servers = [Server(tmp_path / name, settings, role="gateway") for name in ("one", "other")]
    async with new_world(servers, tell, lambda: cut_connections(empty_database)) as world:
        async with world.mail.flowing():
            for number in range(ROUNDS):
                await world.round(number)
            world.mail.left = 0
            await world.settle()
        tell(world.account(ROUNDS))
        assert not world.wrong(), "\n".join(world.wrong()[:20])
        with psycopg.connect(empty_database, autocommit=True) as connection:
            # One whose 201 was lost is in no account: it may still be on its way to its device, but must not stay.
            await until(lambda: connection.execute(WAITING).fetchone() == (0,), "nothing waits any more")
        for server in servers:
            await server.stop()
            assert not _unforeseen(server), "\n".join(_unforeseen(server)[:20])


@pytest.mark.soak
async def test_one_gateway_on_sqlite_keeps_what_it_accepted(tmp_path: Path, tell: Tell) -> None:
    server, rounds = Server(tmp_path, SETTINGS, role="gateway"), max(3, ROUNDS // 4)
    async with new_world([server], tell) as world:
        async with world.mail.flowing():
            for number in range(rounds):
                await world.round(number)
            world.mail.left = 0
            await world.settle()
        tell(world.account(rounds))
        assert not world.wrong(), "\n".join(world.wrong()[:20])
        await server.stop()
        with sqlite3.connect(server.data / "clarion.db") as connection:
            assert connection.execute(WAITING).fetchone() == (0,)
        assert not server.complaints(), "\n".join(server.complaints()[:20])


def _unforeseen(server: Server) -> list[str]:
    return [line for line in server.complaints() if not any(event in line for event in OF_A_CUT)]
