"""The Matrix push gateway of UnifiedPush apps: a homeserver's notification becomes messages at our own endpoints.

Matrix Push Gateway API v1 (`POST /_matrix/push/v1/notify`); a device's `pushkey` is its endpoint. The body goes on as
it came, without the list of devices: it is not encrypted, and an app that registered for UnifiedPush expects that.
"""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from clarion.gateway.asgi import Receive, Scope, Send, address_of, read_body, respond
from clarion.gateway.endpoint import PushEndpoint
from clarion.ports import HttpRequest, HttpResponse

PATH = "/_matrix/push/v1/notify"
MAX_BODY = 65_536
_MOST_DEVICES = 100
_TTL_S = 86_400
_JSON = {"content-type": "application/json"}
_DISCOVERED = HttpResponse(HTTPStatus.OK.value, _JSON, b'{"gateway":"matrix","unifiedpush":{"gateway":"matrix"}}')
_REJECTED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""Answers that stay: the homeserver is to forget the device."""
_LATER = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class _Device(msgspec.Struct, frozen=True):
    pushkey: str


class _Body(msgspec.Struct, frozen=True):
    notification: dict[str, msgspec.Raw]


class _Invalid(ValueError):
    """The body is not what the API asks for."""


class MatrixApp:
    """Delivers to endpoints of our own, which refuse what is none, within their limits. It never makes a request."""

    def __init__(self, endpoint: PushEndpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] in {"GET", "HEAD"}:
            await respond(send, _DISCOVERED)
        elif scope["method"] == "POST":
            body = await read_body(scope, receive, MAX_BODY)
            if body is not None:
                await respond(send, await self._notify(body, address_of(scope)))
        else:
            await respond(send, _refused(HTTPStatus.METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", "takes GET and POST"))

    async def _notify(self, body: bytes, address: str) -> HttpResponse:
        try:
            keys, message = _read(body)
        except _Invalid as error:
            return _refused(HTTPStatus.BAD_REQUEST, "M_BAD_JSON", str(error))
        answers = await self._endpoint.accept([_request(key, message) for key in keys], address)
        if late := next((answer for answer in answers if answer.status in _LATER), None):
            wait = {"retry-after": late.headers["retry-after"]}
            return _refused(HTTPStatus(late.status), "M_LIMIT_EXCEEDED", "send it again later", wait)
        rejected = [key for key, answer in zip(keys, answers, strict=True) if answer.status in _REJECTED]
        return HttpResponse(HTTPStatus.OK.value, _JSON, msgspec.json.encode({"rejected": rejected}))


def _read(body: bytes) -> tuple[Sequence[str], bytes]:
    """The endpoints, and the message for each of them."""
    if len(body) > MAX_BODY:
        raise _Invalid(f"the body must have at most {MAX_BODY} bytes")
    try:
        notification = msgspec.json.decode(body, type=_Body).notification
        devices = msgspec.json.decode(notification.pop("devices", b"[]"), type=list[_Device])
    except (ValueError, RecursionError) as error:
        raise _Invalid(str(error)) from error
    if not 0 < len(devices) <= _MOST_DEVICES:
        raise _Invalid(f"notification.devices must name 1 to {_MOST_DEVICES} devices")
    keys = list(dict.fromkeys(device.pushkey for device in devices))
    return keys, msgspec.json.encode({"notification": notification})


def _request(endpoint: str, message: bytes) -> HttpRequest:
    # The encoding is what an endpoint asks for; the receiving app knows that this message is none of Web Push.
    headers = {"ttl": str(_TTL_S), "content-encoding": "aes128gcm"}
    return HttpRequest("POST", endpoint, headers, message)


def _refused(status: HTTPStatus, code: str, words: str, headers: dict[str, str] | None = None) -> HttpResponse:
    body = msgspec.json.encode({"errcode": code, "error": words})
    return HttpResponse(status.value, {**_JSON, **(headers or {})}, body)
