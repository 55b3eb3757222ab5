"""A project whose people have phones at two push services, and servers, services and a database that come and go."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import aiohttp

from postgres_server import KILLABLE, PostgresServer, find_binaries, running_server
from processes.ledger import Api
from processes.phones import Phones, accepted, address, awkward, seed_phones
from processes.server import Server
from processes.waiting import PATIENCE_S
from processes.world import Tell, seed

BYTES_OF_A_MESSAGE = 230  # in the file of a simulator; APNs' are a little longer than FCM's
MESSAGES_A_KILL = 1_500
LONGEST_CALM_S = 3.0  # while all work is leased by the dead, nothing moves for up to 15 s
LONGEST_ABSENCE_S = 0.3
LONGEST_CALL_S = 0.03


class Victim(NamedTuple):
    """Something that dies, and comes back."""

    name: str
    kill: Callable[[], object]
    revive: Callable[[], Awaitable[object]]


class Sent(NamedTuple):
    """A notification that was accepted, to all phones but those that were gone before."""

    id: str
    collapse_key: str | None
    to: Sequence[int]
    gone: set[int]


@dataclass
class World:
    """Two push services, a server's API, and whoever may be killed."""

    count: int
    phones: Phones
    api: Api
    victims: Sequence[Victim]
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    sent: list[Sent] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    _bag: list[Victim] = field(default_factory=list)

    async def send(
        self,
        meanwhile: Callable[["World"], Awaitable[object]] | None = None,
        *,
        collapse_key: str | None = None,
        script: bool = False,
    ) -> None:
        """A notification to everybody until it is done; `meanwhile`, else somebody is killed again and again."""
        living = [number for number in range(self.count) if number not in self.gone]
        answers, gone = awkward(living, self.chance) if script else ({}, set())
        await self.phones.answer(answers)
        async with asyncio.timeout(2 * PATIENCE_S + self.count / 100), asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask(collapse_key))
            await (meanwhile(self) if meanwhile else self._strike_until_done(asking, tasks))
            while not await self._is_done(asking):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        self.sent.append(Sent(asking.result(), collapse_key, living, gone))
        self.gone |= gone

    async def _ask(self, collapse_key: str | None) -> str:
        """As a careful caller does: again, under the same key, until there is an answer."""
        again = {"Idempotency-Key": f"notification {len(self.sent)}"}
        body = {"to": {"everyone": True}, "title": "Shipped", "collapse_key": collapse_key}
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                status, answer = await self.api.answer("POST", "/v1/notifications", body, **again)
                if status == 202:
                    return str(answer["id"])
                assert status in (409, 503), answer
            await asyncio.sleep(0.02)

    async def _strike_until_done(self, asking: asyncio.Task[str], tasks: asyncio.TaskGroup) -> None:
        """The first strike meets the call itself. After many the living work in peace, or it would never be over."""
        await asyncio.sleep(self.chance.uniform(0, LONGEST_CALL_S))
        for _ in range(self.count // MESSAGES_A_KILL):
            if await self._is_done(asking):
                return
            self._strike(tasks)
            await self._moment()

    async def _is_done(self, asking: asyncio.Task[str]) -> bool:
        if not asking.done():
            return False
        with contextlib.suppress(aiohttp.ClientError):
            status, answer = await self.api.answer("GET", f"/v1/notifications/{asking.result()}")
            return status == 200 and answer["state"] == "done"  # 503 while the database is away
        return False

    async def _moment(self) -> None:
        """Until some more messages have been accepted, or none were for a while."""
        more = self.chance.randrange(2 * MESSAGES_A_KILL * BYTES_OF_A_MESSAGE)
        until, deadline = self.phones.written() + more, time.monotonic() + LONGEST_CALM_S
        while self.phones.written() < until and time.monotonic() < deadline:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.005)

    def _strike(self, tasks: asyncio.TaskGroup) -> None:
        """One of those that live dies, in a random order in which everybody has a turn, and soon comes back."""
        if not self._bag:
            self._bag = self.chance.sample(self.victims, len(self.victims))
        victim = next((one for one in self._bag if one.name not in self.away), None)
        if victim is not None:
            self._bag.remove(victim)
            self.away.add(victim.name)
            victim.kill()
            self.killed[victim.name] += 1
            tasks.create_task(self._revive(victim))

    async def _revive(self, victim: Victim) -> None:
        await asyncio.sleep(self.chance.uniform(0, LONGEST_ABSENCE_S))
        await victim.revive()
        self.away.remove(victim.name)

    async def wrong(self) -> list[str]:
        """Everything that is not as it must be, in words."""
        wrong = [words for sent in self.sent async for words in self._wrong_counts(sent)]
        ids = {item["id"] async for item in self.api.all("/v1/notifications")}
        if ids != {sent.id for sent in self.sent}:
            wrong.append(f"there are notifications {ids}")
        shown, expected = self.phones.shown(), await self._expected()
        wrong += [
            f"{token} shows {shown.get(token)}, not {expected.get(token)}"
            for token in shown.keys() | expected.keys()
            if shown.get(token, Counter()).keys() != expected.get(token, set())
        ]
        counted, screens = await self.phones.counted(), sum(map(len, shown.values()))
        if counted != (len(shown), accepted(shown), screens):
            wrong.append(f"the services count {counted}, their files {len(shown), accepted(shown), screens}")
        return wrong + [words for sent in self.sent async for words in self._wrong_devices(sent)]

    async def _wrong_counts(self, sent: Sent) -> AsyncIterator[str]:
        """One decision for each person, and of each delivery what the services said."""
        told = (await self.api.call("GET", f"/v1/notifications/{sent.id}"))["counts"]
        reasons = Counter({"send": len(sent.to), "no_device": self.count - len(sent.to)})
        states = Counter({"accepted": len(sent.to) - len(sent.gone), "failed": len(sent.gone)})
        if Counter(told["reasons"]) != reasons or Counter(told["deliveries"]) != states:
            yield f"{sent.id}: recorded {told}, not {reasons} and {states}"

    async def _expected(self) -> dict[str, set[str]]:
        """What every phone must show, once each: the caller's key, or the id of the delivery that was accepted."""
        expected: dict[str, set[str]] = {}
        for sent in self.sent:
            async for item in self.api.all("/v1/deliveries", notification_id=sent.id, state="accepted"):
                token = address(int(item["device_id"], 16))
                id = str(UUID(item["id"])) if item["kind"] == "apns" else item["id"]
                expected.setdefault(token, set()).add(sent.collapse_key or id)
        return expected

    async def _wrong_devices(self, sent: Sent) -> AsyncIterator[str]:
        """Retired are those that their service called gone, each by one delivery that says so."""
        query = {"notification_id": sent.id, "state": "failed"}
        failed = [item async for item in self.api.all("/v1/deliveries", **query)]
        told = Counter((int(item["device_id"], 16), item["reason"]) for item in failed)
        if told != Counter((number, "device_gone") for number in sent.gone):
            yield f"{sent.id}: failed are {told}, gone are {sent.gone}"
        for number in sent.gone:
            [device] = (await self.api.call("GET", f"/v1/users/user-{number}/devices"))["items"]
            if device["state"] != "retired":
                yield f"phone {number} is gone, and {device['state']}"

    def account(self, took_s: float) -> str:
        """The counts, for people."""
        shown = self.phones.shown()
        screens = sum(map(len, shown.values()))
        return (
            f"{len(self.sent)} notifications to {self.count:,} phones in {took_s:.0f} s: {accepted(shown):,} messages "
            f"accepted, {self.again:,} of them again, {screens:,} shown once each, {len(self.gone)} phones retired\n"
            f"killed: {dict(sorted(self.killed.items()))}, {self.killed.total()} in all"
        )

    @property
    def again(self) -> int:
        """How many messages a service accepted that it had accepted before."""
        shown = self.phones.shown()
        return accepted(shown) - sum(map(len, shown.values()))


async def supervised(server: Server) -> None:
    """Started until it serves: where the database is away a server ends, and whoever watches it begins it again."""
    while True:
        try:
            await server.start()
        except AssertionError:
            if server.running:
                raise
            await asyncio.sleep(0.1)
        else:
            return


@contextmanager
def killable_postgres() -> Iterator[tuple[PostgresServer, Victim]]:
    """A server of our own: its end disturbs no other test, and what it committed outlives it."""
    binaries = find_binaries()
    assert binaries is not None
    with running_server(binaries, KILLABLE) as server:
        yield server, Victim("postgresql", server.kill, lambda: asyncio.to_thread(server.start))


def by_role(folder: Path, url: str) -> dict[str, Server]:
    """The API and two workers, on one database."""
    roles = {"api": "api", "worker one": "worker", "worker two": "worker"}
    return {name: Server(folder / name, {"DATABASE_URL": url}, role=role) for name, role in roles.items()}


def driver_url(url: str) -> str:
    """A URL of PostgreSQL as SQLAlchemy takes it."""
    return url.replace("postgresql://", "postgresql+psycopg://")


@asynccontextmanager
async def new_world(
    folder: Path,
    count: int,
    servers: Mapping[str, Server],
    database: str,
    tell: Tell,
    below: Sequence[Victim] = (),
) -> AsyncIterator[World]:
    """Everything started and that many people registered; at the end everything is gone.

    The first server is the one with the API. `database` is a URL of SQLAlchemy; `below` may be killed, too.
    """
    starting = seed()
    tell(f"CLARION_SOAK_SEED={starting}")
    async with AsyncExitStack() as stack:
        phones = Phones(folder / "services")
        stack.callback(phones.kill)
        await phones.start()
        for server in servers.values():
            server.configure(phones.settings)
            stack.callback(server.kill)
        first = next(iter(servers.values()))
        keys = await asyncio.to_thread(first.create_project, "soak")
        await asyncio.to_thread(seed_phones, database, count)
        await asyncio.gather(*(server.start() for server in servers.values()))
        api = await stack.enter_async_context(Api(first.url, keys.server))
        await phones.upload_credentials(api)
        services = [Victim(kind, service.kill, service.start) for kind, service in phones.services.items()]
        own = [Victim(name, server.kill, partial(supervised, server)) for name, server in servers.items()]
        yield World(count, phones, api, [*below, *services, *own], random.Random(starting))
