"""The server behind the browser tests: `clarion demo` in a process of its own, as a stranger runs it."""

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from processes.server import Server

T = TypeVar("T")
Json = dict[str, Any]
_SERVER_KEY = re.compile(r"sk_[\w-]{40,}")
_PATIENCE_S = 30.0
_POLL_S = 0.03


class Demo(Server):
    """The shop, the API and the push service in one process; dies and comes back as a `Server` does."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, **options: Any) -> None:
        # No secret from outside: the key file in the data folder must serve every restart.
        super().__init__(folder, {"SECRET_KEY": "", **(settings or {})}, **options)
        self._banner = folder / "banner.txt"

    def spawn(self) -> subprocess.Popen[bytes]:
        assert not self.running
        command = [sys.executable, "-m", "clarion", "demo", "--data", str(self.data)]
        command += ["--port", str(self.port), "--push-port", str(self.push_port)]
        with self.log.open("ab") as log, self._banner.open("ab") as banner:
            self._process = subprocess.Popen(command, env=self._environment(), stdout=banner, stderr=log)
        return self._process

    @property
    def banner(self) -> str:
        """What the terminal shows, of all starts."""
        return self._banner.read_text()

    @property
    def server_key(self) -> str:
        """As the banner of the first start shows it."""
        found = _SERVER_KEY.search(self.banner)
        assert found, f"no server key in the banner:\n{self.banner}"
        return found[0]

    async def start_over(self) -> None:
        """The same address, but nothing is known any more: a new folder, new keys."""
        await self.stop()
        shutil.rmtree(self.data)
        self._banner.unlink()
        await self.start()

    async def call(self, method: str, path: str, body: Json | None = None, *, may_be_missing: bool = False) -> Any:
        """Ask the API with the server key."""
        headers = {"Authorization": f"Bearer {self.server_key}"}
        async with (
            aiohttp.ClientSession(self.url, headers=headers) as http,
            http.request(method, path, json=body, ssl=self.trust or True) as answer,
        ):
            missing = may_be_missing and answer.status == HTTPStatus.NOT_FOUND
            assert answer.ok or missing, f"{method} {path} answered {answer.status}: {await answer.text()}"
            return await answer.json()

    async def tell(self, user: str, name: str, properties: Json) -> None:
        """What a shop's own server says: something happened."""
        event = {"user_id": user, "name": name, "properties": properties}
        answer = await self.call("POST", "/v1/events", event)
        assert answer["accepted"] == 1, answer

    async def ship(self, user: str, order: str) -> None:
        """An order event, whose automation says that it is on its way."""
        await self.tell(user, "order_placed", {"order": order, "product": "Tide mug"})

    async def devices(self, user: str) -> list[Json]:
        """Oldest first."""
        return await self._of_person(user, "devices", "items")

    async def deliveries(self, user: str) -> list[Json]:
        """All of them."""
        items: list[Json] = (await self.call("GET", f"/v1/deliveries?user_id={user}"))["items"]
        return items

    async def story(self, user: str) -> list[Json]:
        """The chapters in time order."""
        return await self._of_person(user, "story", "chapters")

    async def _of_person(self, user: str, what: str, field: str) -> list[Json]:
        """Nothing while nobody has named this person."""
        answer = await self.call("GET", f"/v1/users/{user}/{what}", may_be_missing=True)
        found: list[Json] = answer.get(field, [])
        return found

    async def decision(self, user: str, *, nth: int = 1) -> Json:
        """Wait for the nth decision about this person."""
        decided = await self._until(user, lambda detail: "decision" in detail, nth, f"{nth} decisions")
        detail: Json = decided["detail"]
        return detail

    async def receipt(self, user: str, kind: str, *, nth: int = 1) -> Json:
        """Wait for the nth receipt of this kind; its chapter."""
        return await self._until(user, lambda detail: detail.get("kind") == kind, nth, f"a receipt {kind!r}")

    async def _until(self, user: str, wanted: Callable[[Mapping[str, Any]], bool], nth: int, what: str) -> Json:
        async def look() -> list[Json]:
            return [chapter for chapter in await self.story(user) if wanted(chapter["detail"])]

        return (await eventually(look, lambda found: len(found) >= nth, what))[nth - 1]

    def explain(self, user: str) -> str:
        """What `clarion explain` prints."""
        command = [sys.executable, "-m", "clarion", "explain", "--user", user, "--server", self.url]
        environment = self._environment() | {"CLARION_KEY": self.server_key}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str) -> T:
    """Look again and again until it holds; AssertionError with what was seen last."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds(seen := await look()):
        assert time.monotonic() < deadline, f"not within {_PATIENCE_S:g} s: {what}; last seen: {seen}"
        await asyncio.sleep(_POLL_S)
    return seen
