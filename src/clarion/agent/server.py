"""What the agent asks of the server over HTTP: how things are called here, and to be a device."""

import email.utils
import os
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import msgspec

from clarion import __version__
from clarion.errors import ClarionError, FieldError, Forbidden, InvalidRequest, NotFound, Unauthenticated, Unavailable

USER_AGENT = f"clarion-agent/{__version__}"
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
T = TypeVar("T")
_TOO_MANY, _SERVER_ERROR = 429, 500


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/sdk/config`, as far as an agent needs it."""

    project: str
    vapid_public_key: str
    push_url: str


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a registration. `user_token` comes with a new anonymous user."""

    id: str
    user_id: str
    user_token: str | None = None


class _Field(msgspec.Struct, frozen=True):
    field: str
    message: str


class _Document(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457)."""

    title: str
    code: str
    detail: str = ""
    errors: list[_Field] = []


class NotClarion(ClarionError):
    """Something answers there, but in other words than a Clarion server."""

    code = "not_clarion"
    title = "This is not a Clarion server"


_PERMANENT: dict[int, type[ClarionError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
}


class Server:
    """Raises Unavailable for what may pass by itself, and other ClarionErrors for what somebody must mend."""

    def __init__(self, http: aiohttp.ClientSession, origin: str, key: str) -> None:
        self._http = http
        self._origin = origin
        self._headers = {"Authorization": f"Bearer {key}"}

    async def config(self) -> Config:
        """Keys, and where the push service is."""
        return await self._ask("GET", "/v1/sdk/config", Config)

    async def register(self, body: Mapping[str, Any], who: Mapping[str, str]) -> Device:
        """Be a device of the user that the headers in `who` name."""
        return await self._ask("POST", "/v1/sdk/devices", Device, body, who)

    async def _ask(
        self, method: str, path: str, answer: type[T], body: Any = None, who: Mapping[str, str] | None = None
    ) -> T:
        headers = self._headers | dict(who or {})
        try:
            async with self._http.request(
                method, self._origin + path, json=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"no answer from {self._origin}: {reason_of(error)}") from None
        if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise _refusal(response, content, self._origin)
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.DecodeError:
            raise NotClarion(f"{self._origin}{path} answered something else than a Clarion server does") from None


def reason_of(error: BaseException) -> str:
    """What failed, in words."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "this machine does not trust its certificate; SSL_CERT_FILE can name another authority"
    if isinstance(error, aiohttp.ClientConnectorError) and (error.os_error.errno or 0) > 0:
        return os.strerror(error.os_error.errno or 0)
    return str(error) or type(error).__name__


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds of `Retry-After`, a number or a date (RFC 9110 section 10.2.3); None without one that can be read."""
    told = headers.get("Retry-After", "")
    if told.isascii() and told.isdigit():
        return int(told)
    try:
        return max(0, round(email.utils.parsedate_to_datetime(told).timestamp() - time.time()))
    except ValueError:
        return None


def _refusal(response: aiohttp.ClientResponse, content: bytes, origin: str) -> ClarionError:
    status = response.status
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        return Unavailable(f"{origin} answered {status}", retry_after=retry_after(response.headers))
    if response.headers.get("Location"):  # a key is not carried to where somebody else points
        return NotClarion(f"{origin} has moved; its new address may be {response.headers['Location']}")
    try:
        told = msgspec.json.decode(content, type=_Document)
    except msgspec.DecodeError:
        return NotClarion(f"{origin} answered {status}, without the words of a Clarion server")
    errors = [FieldError(each.field, each.message) for each in told.errors]
    return _PERMANENT.get(status, ClarionError)(told.detail or told.title, errors=errors)
