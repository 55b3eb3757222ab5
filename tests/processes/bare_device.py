"""A device that speaks autopush and nothing else, and holds the push service to its promises, frame by frame."""

import asyncio
import base64
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp

from processes.foreign_sender import Letter, Mail, Told
from processes.server import Server
from processes.waiting import until

_RECONNECT_S = 0.02


@dataclass
class Visit:
    """One connection, from its hello on. Letters below `since` were written before it."""

    server: int
    socket: aiohttp.ClientWebSocketResponse
    since: int
    accepted_before: frozenset[int]
    frames: list[str] = field(default_factory=list)  # versions
    plain: bool = False  # a message without a topic has come
    acked: set[str] = field(default_factory=set)
    covered: dict[str, set[str]] = field(default_factory=dict)  # command → versions acknowledged before it


class BareDevice:
    """One subscription. `wrong` says what the service must never do, in words."""

    def __init__(self, number: int, servers: Sequence[Server], chance: random.Random, told: Told) -> None:
        self.number = number
        self.told = told
        self.mail: Mail | None = None
        self.endpoint: str | None = None
        self.versions: dict[str, int] = {}  # version → number of its letter, in the order of their first frames
        self.kept: set[str] = set()  # versions whose ack surely counts: a later command was answered
        self.repeated: Counter[str] = Counter()  # versions that came again because their ack did not surely count
        self.visits = 0
        self.wrong: list[str] = []
        self._servers = servers
        self._chance = chance
        self._uaid: str | None = None
        self._channel = str(uuid4())
        self._latest: dict[str, int] = {}  # topic → number of the last letter
        self._visit: Visit | None = None
        self._wanted = asyncio.Event()

    @property
    def received(self) -> set[int]:
        """Numbers of letters."""
        return set(self.versions.values())

    @property
    def confirmed(self) -> bool:
        """Whether all commands of this connection are answered."""
        return self._visit is not None and not self._visit.covered

    @asynccontextmanager
    async def alive(self) -> AsyncIterator["BareDevice"]:
        """Connected whenever there is a server to connect to; yields once it has an endpoint."""
        self._wanted.set()
        async with aiohttp.ClientSession() as http:
            staying = asyncio.create_task(self._stay_connected(http))
            try:
                await until(lambda: self.endpoint is not None or staying.done(), "an endpoint")
                yield self
            finally:
                staying.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await staying

    async def go_offline(self) -> None:
        """Cut the connection without a word, and stay away."""
        self._wanted.clear()
        if self._visit is not None and self._visit.socket._response.connection is not None:
            transport = self._visit.socket._response.connection.transport
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        await until(lambda: self._visit is None, "the connection is cut")

    def go_online(self) -> None:
        """Come back as soon as there is a server."""
        self._wanted.set()

    async def confirm(self) -> None:
        """A command behind all acks, on whatever connection there is."""
        if self._visit is not None:
            with contextlib.suppress(ConnectionError):
                await self._command(self._visit)

    # --- the connection ---

    async def _stay_connected(self, http: aiohttp.ClientSession) -> None:
        while True:
            await self._wanted.wait()
            number = self._chance.randrange(len(self._servers))
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async with http.ws_connect(self._servers[number].push_url, max_msg_size=0) as socket:
                    await self._session(number, socket)
            self._visit = None
            await asyncio.sleep(_RECONNECT_S)

    async def _session(self, number: int, socket: aiohttp.ClientWebSocketResponse) -> None:
        letters = self.mail.letters if self.mail else []
        accepted = frozenset(letter.number for letter in letters if letter.accepted)
        visit = Visit(number, socket, len(letters), accepted)
        hello: dict[str, Any] = {"messageType": "hello", "use_webpush": True}
        await socket.send_json(hello | ({"uaid": self._uaid} if self._uaid else {}))
        self.told(f"greeted {number}")
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            match message["messageType"]:
                case "hello":
                    await self._welcomed(visit, message)
                case "register":
                    self.endpoint = message["pushEndpoint"]
                case "unregister":
                    self._confirmed(visit, message)
                case "notification":
                    await self._notified(visit, message)

    async def _welcomed(self, visit: Visit, message: dict[str, Any]) -> None:
        if self._uaid not in (None, message["uaid"]):
            self.wrong.append(f"device {self.number} was {self._uaid} and is now {message['uaid']}")
        if message["status"] != 200 or not message["use_webpush"]:
            self.wrong.append(f"a hello was answered {message}")
        self._uaid = message["uaid"]
        self._visit = visit
        self.visits += 1
        self.told(f"hello {visit.server}")
        if self.endpoint is None:
            await visit.socket.send_json({"messageType": "register", "channelID": self._channel})

    async def _notified(self, visit: Visit, message: dict[str, Any]) -> None:
        number, version = _number(message["data"]), message["version"]
        drained = number in visit.accepted_before
        self._judge(visit, version, self._letter(number))
        visit.frames.append(version)
        self.versions.setdefault(version, number)
        self.told(f"{'drained' if drained else 'frame'} {visit.server}")
        update = {"channelID": message["channelID"], "version": version, "code": 100}
        await visit.socket.send_json({"messageType": "ack", "updates": [update]})
        visit.acked.add(version)
        self.told(f"acked {visit.server}")
        if self._chance.random() < 0.4:
            await self._command(visit)

    async def _command(self, visit: Visit) -> None:
        """Removes a channel that is not there, for the sake of the answer."""
        name = str(uuid4())
        visit.covered[name] = set(visit.acked)
        await visit.socket.send_json({"messageType": "unregister", "channelID": name})

    def _confirmed(self, visit: Visit, message: dict[str, Any]) -> None:
        covered = visit.covered.pop(message["channelID"])
        if message["status"] == 200:
            self.kept |= covered
            self.told(f"kept {visit.server}")

    # --- what must never be ---

    def _letter(self, number: int) -> Letter:
        assert self.mail is not None
        return self.mail.letters[number]

    def _judge(self, visit: Visit, version: str, letter: Letter) -> None:
        what = f"letter {letter.number} as version {version} to device {self.number}"
        if letter.device != self.number:
            self.wrong.append(f"{what}: it is not for it")
        if version in self.kept:
            self.wrong.append(f"{what}: again after its ack counted")
        if version in visit.frames:
            self.wrong.append(f"{what}: twice on one connection")
        if self.versions.get(version, letter.number) != letter.number:
            self.wrong.append(f"{what}: the version was that of letter {self.versions[version]}")
        if version in self.versions:
            self.repeated[version] += 1
        if letter.topic is None:
            visit.plain = True
            return
        if visit.plain and letter.number in visit.accepted_before:
            self.wrong.append(f"{what}: a topic that waited came behind a plain message")
        if letter.number < self._latest.get(letter.topic, 0):
            self.wrong.append(f"{what}: after letter {self._latest[letter.topic]} of the same topic")
        self._latest[letter.topic] = letter.number


def _number(data: str) -> int:
    raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    return int.from_bytes(raw[:8])
