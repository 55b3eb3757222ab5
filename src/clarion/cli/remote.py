"""Through a server's HTTP API."""

import asyncio
import os
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import msgspec

from clarion import __version__
from clarion.cli.problem import Problem
from clarion.errors import FieldError
from clarion.model import Json

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)


_BUSY = (429, 503)
_PATIENCE = 60  # times that a server may say: later


class Busy(Problem):
    """It would have been taken later; in seconds."""

    def __init__(self, refusal: Problem, retry_after: int) -> None:
        super().__init__(refusal.title, refusal.detail, refusal.errors)
        self.retry_after = retry_after


class _Field(msgspec.Struct):
    field: str
    message: str


class _Document(msgspec.Struct):
    """A problem document (RFC 9457), as far as it is shown."""

    title: str
    status: int
    code: str
    detail: str = ""
    errors: list[_Field] = []


class Remote:
    """`Door` to a server; `key` is a server key of the project."""

    def __init__(self, server: str, key: str) -> None:
        if not server.startswith(("http://", "https://")):
            raise Problem("This is no server", f"--server takes http://host:port or https://host, not {server}")
        self._server = server.rstrip("/")
        self._key = key

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._key}", "User-Agent": f"clarion-cli/{__version__}"}
        self._session = aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def notify(self, body: Json) -> Json:
        return await self._ask("POST", "/v1/notifications", body)

    async def events(self, body: Json) -> Json:
        for _ in range(_PATIENCE):
            try:
                return await self._ask("POST", "/v1/events", body)
            except Busy as busy:
                await asyncio.sleep(busy.retry_after)
        return await self._ask("POST", "/v1/events", body)

    async def lint(self, body: Json) -> Json:
        return await self._ask("POST", "/v1/lint", body)

    async def preview(self, template: str, body: Json) -> Json:
        return await self._ask("POST", f"/v1/templates/{quote(template, safe='')}/preview", body)

    async def fire(self, notification_id: str) -> Json:
        return await self._ask("POST", f"/v1/notifications/{quote(notification_id, safe='')}/fire")

    async def replace(self, notification_id: str, changes: Json) -> Json:
        return await self._ask("POST", f"/v1/notifications/{quote(notification_id, safe='')}/replace", changes)

    async def withdraw(self, notification_id: str) -> Json:
        return await self._ask("POST", f"/v1/notifications/{quote(notification_id, safe='')}/withdraw")

    async def results(self, notification_id: str) -> Json:
        return await self._ask("GET", f"/v1/notifications/{quote(notification_id, safe='')}/results")

    async def story(self, user_id: str, notification_id: str | None) -> Json:
        query = f"?notification_id={quote(notification_id, safe='')}" if notification_id else ""
        return await self._ask("GET", f"/v1/users/{quote(user_id, safe='')}/story{query}")

    async def preview_segment(self, body: Json) -> Json:
        return await self._ask("POST", "/v1/segments/preview", body)

    async def automations(self) -> list[Json]:
        found: list[Json] = []
        cursor = ""
        while True:
            page = await self._ask("GET", f"/v1/automations?limit=100{cursor}")
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={quote(page['next_cursor'], safe='')}"

    async def automation(self, name: str) -> tuple[Json, Json]:
        path = f"/v1/automations/{quote(name, safe='')}"
        return await self._ask("GET", path), await self._ask("GET", f"{path}/counts")

    async def cancel_runs(self, name: str, which: Json) -> Json:
        return await self._ask("POST", f"/v1/automations/{quote(name, safe='')}/cancel", which)

    async def add_to_segment(self, name: str, users: Sequence[str]) -> Json:
        return await self._ask("POST", f"/v1/segments/{quote(name, safe='')}/users", {"users": users})

    async def campaigns(self) -> Json:
        return await self._every("/v1/campaigns")

    async def campaign(self, name: str) -> Json:
        return await self._ask("GET", f"/v1/campaigns/{quote(name, safe='')}")

    async def turn_campaign(self, name: str, verb: str) -> Json:
        return await self._ask("POST", f"/v1/campaigns/{quote(name, safe='')}/{verb}")

    async def keys(self) -> Json:
        return await self._every("/v1/keys")

    async def _every(self, path: str) -> Json:
        """All pages as one."""
        first = page = await self._ask("GET", path)
        items = first["items"]
        while page["next_cursor"] is not None:
            page = await self._ask("GET", f"{path}?cursor={quote(page['next_cursor'], safe='')}")
            items += page["items"]
        return {**first, "items": items, "next_cursor": None}

    async def create_key(self, body: Json) -> Json:
        return await self._ask("POST", "/v1/keys", body)

    async def alerts(self) -> Json:
        return await self._ask("GET", "/v1/alerts")

    async def losses(self, by: str, days: int) -> Json:
        return await self._ask("GET", f"/v1/losses?by={by}&days={days}")

    async def revoke_key(self, id: str) -> None:
        await self._ask("DELETE", f"/v1/keys/{quote(id, safe='')}")

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        try:
            async with self._session.request(method, self._server + path, json=body) as response:
                content = await response.read()
                busy = response.headers.get("Retry-After", "") if response.status in _BUSY else ""
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError) as error:
            raise Problem(f"No answer from {self._server}", _why(error)) from None
        if response.ok:
            return self._decoded(content)
        refusal = _refusal(response.status, content, f"{method} {self._server}{path}")
        raise Busy(refusal, int(busy)) if busy.isdecimal() else refusal

    def _decoded(self, content: bytes) -> Json:
        try:
            return msgspec.json.decode(content or b"{}", type=dict[str, Any])
        except msgspec.DecodeError:
            raise Problem(f"{self._server} is not a Clarion server", "it answered something else than JSON") from None


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "It took too long."
    if isinstance(error, aiohttp.ClientConnectorError) and (error.os_error.errno or 0) > 0:
        return f"{os.strerror(error.os_error.errno or 0)}. Does it run, and is this its address?"
    return str(error)


def _refusal(status: int, content: bytes, asked: str) -> Problem:
    try:
        told = msgspec.json.decode(content, type=_Document)
    except msgspec.DecodeError:
        return Problem(f"The answer was {status}", f"without words of a Clarion server, to {asked}")
    errors = [FieldError(one.field, one.message) for one in told.errors]
    return Problem(f"{told.title} ({told.status} {told.code})", told.detail, errors)
