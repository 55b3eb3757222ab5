"""Senders that are not ours: HTTP by hand to servers that may die, each message until it is accepted."""

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from free_ports import HOST
from processes.server import Server

_TRY_AGAIN_S = 0.02
_IDLE_S = 0.002
_OVERHEAD = 86 + 17  # RFC 8188: a header with a public key, and a record's tag and delimiter
_TTL_S = 3_600
_ANSWER_WITHIN_S = 30

Told: TypeAlias = Callable[[str], None]
"""Called when something happened, with the number of the server: `sent 0` (all bytes left), `accepted 0` (the 201)."""


@dataclass
class Letter:
    """One message to one device. Its number stands in its body, which is the same at every try."""

    number: int
    device: int
    path: str
    topic: str | None
    urgency: str | None
    tries: int = 0
    accepted: bool = False
    locations: list[str] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """Looks encrypted to the service; the device reads the number."""
        noise = random.Random(self.number).randbytes(_OVERHEAD)
        return self.number.to_bytes(8) + noise

    def request(self) -> bytes:
        """As any HTTP client writes it."""
        body = self.body
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {HOST}",
            f"TTL: {_TTL_S}",
            "Content-Encoding: aes128gcm",
            f"Content-Length: {len(body)}",
            *([f"Topic: {self.topic}"] if self.topic else []),
            *([f"Urgency: {self.urgency}"] if self.urgency else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Mail:
    """All letters. `endpoints`: of the devices, in order; of one topic only one letter is under way at a time."""

    servers: Sequence[Server]
    endpoints: Sequence[str]
    chance: random.Random
    told: Told = lambda _: None
    left: int = 0  # how many more letters may be written
    letters: list[Letter] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    _again: deque[Letter] = field(default_factory=deque)
    _topics: set[tuple[int, str]] = field(default_factory=set)
    _busy: int = 0
    _stopped: bool = False

    @property
    def accepted(self) -> list[Letter]:
        """Those that got a 201, in the order in which they were written."""
        return [letter for letter in self.letters if letter.accepted]

    @property
    def settled(self) -> bool:
        """Whether everything that was written is accepted."""
        return not self._again and not self._busy

    @asynccontextmanager
    async def flowing(self, senders: int = 8) -> AsyncIterator[None]:
        """Senders at work, each with one connection to one server at a time."""
        self._stopped = False
        working = [asyncio.create_task(self._send()) for _ in range(senders)]
        try:
            yield
        finally:
            self._stopped = True
            await asyncio.gather(*working)

    def write(self, device: int, topic: str | None = None) -> None:
        """A letter to be sent by whoever comes next."""
        path = urlsplit(self.endpoints[device]).path
        urgency = self.chance.choice([None, None, "very-low", "low", "normal", "high"])
        letter = Letter(len(self.letters), device, path, topic, urgency)
        self.letters.append(letter)
        self._again.append(letter)

    async def _send(self) -> None:
        while not self._stopped:
            number = self.chance.randrange(len(self.servers))
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                await self._at(number)
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _at(self, number: int) -> None:
        """Send over one connection until it breaks, and now and then go elsewhere."""
        reader, writer = await asyncio.open_connection(HOST, self.servers[number].port)
        try:
            for _ in range(self.chance.randint(1, 40)):
                letter = self._next()
                while letter is None:
                    if self._stopped:
                        return
                    await asyncio.sleep(_IDLE_S)
                    letter = self._next()
                await self._try(letter, number, reader, writer)
        finally:
            writer.close()

    def _next(self) -> Letter | None:
        for letter in self._again:
            if letter.topic is None or (letter.device, letter.topic) not in self._topics:
                self._again.remove(letter)
                return letter
        if self.left <= 0:
            return None
        self.left -= 1
        device = self.chance.randrange(len(self.endpoints))
        self.write(device, self.chance.choice([None, None, None, "inbox", "score"]))
        return self._next()

    async def _try(
        self, letter: Letter, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        key = (letter.device, letter.topic or "")
        self._busy += 1
        if letter.topic is not None:
            self._topics.add(key)
        try:
            letter.tries += 1
            writer.write(letter.request())
            await writer.drain()
            self.told(f"sent {number}")
            status, headers = await asyncio.wait_for(_answer(reader), _ANSWER_WITHIN_S)
            self.answers[status] += 1
            if status == 201:
                letter.accepted = True
                letter.locations.append(headers["location"])
                self.told(f"accepted {number}")
            elif status != 503:
                self.refused.append(f"{letter}: {status}")
        finally:
            self._busy -= 1
            self._topics.discard(key)
            if not letter.accepted:
                # In front: the next one of its topic must not overtake it.
                self._again.appendleft(letter)
        if status == 503:
            await asyncio.sleep(_TRY_AGAIN_S)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    await reader.readexactly(int(headers.get("content-length", 0)))
    return int(status.split(" ")[1]), headers
