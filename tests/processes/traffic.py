"""Callers who ask for notifications and tell events, and repeat what was not answered until it is."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from processes.waiting import PATIENCE_S, until

EVENT = "ordered"
AUTOMATION = {"name": "thanks", "on": {"event": EVENT}, "notification": {"title": "{{ event.properties.text }}"}}
_IDLE_S = 0.01
_TRY_AGAIN_S = 0.05
_ANSWER_WITHIN_S = 20
_MOST_UNANSWERED = 20  # past that, callers wait for their answers instead of asking for more
_LATER = {409, 429, 503}
# A key in progress when the server died is taken up again after a minute at the latest.
SETTLED_WITHIN_S = 70 + PATIENCE_S


@dataclass
class Ask:
    """One request: repeated, it is the same one. `texts`: title → the users who are to get it."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    texts: Mapping[str, Sequence[str]]
    tries: int = 0
    due: float = 0.0
    answer: Any = None


@dataclass
class Traffic:
    """`urls`: of servers; each try goes to one of them. `told`: see `Moments`; it hears `answered`."""

    urls: Sequence[str]
    key: str
    users: Sequence[str]
    chance: random.Random
    told: Callable[[str], None] = lambda _: None
    left: int = 0  # how many more requests may be thought of
    answered: list[Ask] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _again: deque[Ask] = field(default_factory=deque)
    _asked: int = 0
    _stopped: bool = True

    @property
    def wanted(self) -> dict[str, Sequence[str]]:
        """Title → users, of all that was accepted."""
        return {text: users for ask in self.answered for text, users in ask.texts.items()}

    @property
    def notifications(self) -> list[Ask]:
        """Those that were asked for by a call, accepted."""
        return [ask for ask in self.answered if ask.path == "/v1/notifications"]

    @property
    def events(self) -> list[Ask]:
        """Single events and batches, accepted."""
        return [ask for ask in self.answered if ask.path == "/v1/events"]

    @property
    def repeated(self) -> int:
        """Requests that were sent more than once."""
        return sum(ask.tries > 1 for ask in self.answered)

    @asynccontextmanager
    async def flowing(self, callers: int = 6) -> AsyncIterator[None]:
        """Callers at work: they ask while anything is `left` to ask for, and repeat what was not answered."""
        self._stopped = False
        async with aiohttp.ClientSession() as http:
            working = [asyncio.create_task(self._call(http)) for _ in range(callers)]
            try:
                yield
            finally:
                self._stopped = True
                await asyncio.gather(*working)

    def texts_of(self, user_id: str) -> set[str]:
        """What a user is to get, of all that was accepted."""
        return {text for text, users in self.wanted.items() if user_id in users}

    def ask(self, ask: Ask) -> None:
        """Have it asked by whoever comes next."""
        self._again.append(ask)

    async def settle(self) -> None:
        """Repeat until everything is answered."""
        async with aiohttp.ClientSession() as http:
            working = [asyncio.create_task(self._repeat(http)) for _ in range(4)]
            try:
                left = lambda: f"answers to {[(ask.path, ask.tries, ask.answer) for ask in self._again][:5]}"  # noqa: E731
                await until(lambda: all(task.done() for task in working), left, SETTLED_WITHIN_S)
            finally:
                for task in working:
                    task.cancel()
            await asyncio.gather(*working)

    async def ask_again(self, asks: Sequence[Ask]) -> list[Any]:
        """The answers to the same requests, sent once more."""
        turns = asyncio.Semaphore(8)
        async with aiohttp.ClientSession() as http:

            async def once(ask: Ask) -> Any:
                async with turns:
                    return await self._post(http, ask)

            return await asyncio.gather(*map(once, asks))

    # --- callers ---

    async def _call(self, http: aiohttp.ClientSession) -> None:
        while not self._stopped:
            ask = self._due()
            if ask is None and self.left > 0 and len(self._again) < _MOST_UNANSWERED:
                self.left -= 1
                ask = self._new()
            if ask is None:
                await asyncio.sleep(_IDLE_S)
            else:
                await self._try(http, ask)

    async def _repeat(self, http: aiohttp.ClientSession) -> None:
        while self._again:
            ask = self._due()
            if ask is None:
                await asyncio.sleep(_TRY_AGAIN_S)
            else:
                await self._try(http, ask)

    def _due(self) -> Ask | None:
        """The next that must be asked again, if it is time."""
        now = time.monotonic()
        for _ in range(len(self._again)):
            ask = self._again.popleft()
            if ask.due <= now:
                return ask
            self._again.append(ask)
        return None

    async def _try(self, http: aiohttp.ClientSession, ask: Ask) -> None:
        ask.tries += 1
        try:
            status, answer = await self._post(http, ask)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            await self._later(ask)
            return
        if status == 202:
            ask.answer = answer
            self.answered.append(ask)
            self.told("answered")
        elif status in _LATER:
            ask.answer = answer
            await self._later(ask)
        else:
            self.refused.append(f"{ask.path} {ask.body}: {status} {answer}")

    async def _later(self, ask: Ask) -> None:
        ask.due = time.monotonic() + _TRY_AGAIN_S * min(ask.tries, 10)
        self._again.append(ask)
        await asyncio.sleep(_TRY_AGAIN_S)  # a server that is away is not asked in a busy loop

    async def _post(self, http: aiohttp.ClientSession, ask: Ask) -> tuple[int, Any]:
        url = self.chance.choice(self.urls) + ask.path
        headers = {"Authorization": f"Bearer {self.key}", **ask.headers}
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        async with http.post(url, json=ask.body, headers=headers, timeout=timeout) as answer:
            return answer.status, await answer.json()

    # --- what they ask ---

    def _new(self) -> Ask:
        self._asked += 1
        number = self._asked
        kind = self.chance.choices(("notification", "event", "events"), (6, 2, 1))[0]
        if kind == "notification":
            return self.notification(f"n{number}", self.chance.sample(self.users, self.chance.choice((1, 1, 1, 2))))
        return self.event(f"e{number}", 1 if kind == "event" else 3)

    def notification(self, text: str, users: Sequence[str]) -> Ask:
        """A notification with that title to these users."""
        body = {"to": {"users": list(users)}, "title": text, "body": "as it was accepted"}
        return Ask("/v1/notifications", body, {"Idempotency-Key": f"key-{text}"}, {text: users})

    def event(self, text: str, count: int = 1) -> Ask:
        """So many events at once, each of which becomes a notification."""
        events, texts = [], {}
        for index in range(count):
            user, title = self.chance.choice(self.users), f"{text}.{index}"
            events.append({"user_id": user, "name": EVENT, "id": title, "properties": {"text": title}})
            texts[title] = [user]
        body: dict[str, Any] = events[0] if count == 1 else {"events": events}
        return Ask("/v1/events", body, {}, texts)
