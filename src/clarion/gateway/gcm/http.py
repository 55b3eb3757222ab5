"""Chromium's way to a subscription over HTTP: check-in gives it a name, register3 gives it addresses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import structlog

from clarion.crypto import base64url
from clarion.crypto.android import AndroidId, AndroidIds
from clarion.crypto.p256 import load_public
from clarion.errors import RateLimited, Unavailable
from clarion.gateway import metrics
from clarion.gateway.asgi import Receive, Scope, Send, address_of, read_body
from clarion.gateway.gcm.apps import App
from clarion.gateway.gcm.protobuf import NotProtobuf, bytes_field, fields, fixed64_field, number_field
from clarion.gateway.node import Node
from clarion.ports import Limiter

log = structlog.get_logger(__name__)

PATH = "/gcm/"
CHECKIN_PATH = PATH + "checkin"
REGISTER_PATH = PATH + "register3"
_MAX_BODY = 8 * 1024
_CHECKIN_INTERVAL_S = 12 * 3600  # the shortest that Chromium takes: so soon it sees that its name is worth nothing
_MAX_NAME = 2_048  # characters of what an app is called
_FORM_FIELDS = 32


class _Answer(NamedTuple):
    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    retry_after: int | None = None


class _Refused(Exception):
    """With one of the words that Chromium knows (google_apis/gcm/engine/registration_request.cc)."""

    def __init__(self, word: str, text: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        super().__init__(text)
        self.answer = _Answer(status, f"Error={word}".encode())


class GcmApp:
    """An ASGI app for `/gcm/…`."""

    def __init__(
        self, node: Node, ids: AndroidIds, mcs_url: str, http_origin: str, limiter: Limiter | None = None
    ) -> None:
        """`mcs_url`: how browsers reach the MCS port, `https://…`; `http_origin`: how they reach us."""
        self._node = node
        self._ids = ids
        self._limiter = limiter
        self._settings = _service_settings(mcs_url, http_origin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = {CHECKIN_PATH: self._checkin, REGISTER_PATH: self._registration}.get(scope["path"])
        if handler is None:
            await _send(send, _Answer(HTTPStatus.NOT_FOUND, b"there is nothing here"))
            return
        if scope["method"] != "POST":
            await _send(send, _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"the method must be POST"))
            return
        try:
            if self._limiter is not None:
                self._limiter.take(("browser", address_of(scope)))
        except RateLimited as limited:
            late = _Answer(HTTPStatus.TOO_MANY_REQUESTS, b"come back later", retry_after=limited.retry_after)
            await _send(send, late)
            return
        body = await read_body(scope, receive, _MAX_BODY)
        if body is None:
            return
        if len(body) > _MAX_BODY:
            await _send(send, _Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"Error=INVALID_PARAMETERS"))
        else:
            await _send(send, await handler(_authorization(scope), body))

    # --- check-in ---

    async def _checkin(self, _: str, body: bytes) -> _Answer:
        """Nothing is stored: the name proves itself. 401 makes a browser begin anew, without subscriptions."""
        try:
            id, token = _claimed(body)
        except NotProtobuf:
            return _Answer(HTTPStatus.BAD_REQUEST, b"the body must be an AndroidCheckinRequest")
        known = self._ids.prove(id, token)
        if known is None and id:
            metrics.CHECKINS.labels("refused").inc()
            return _Answer(HTTPStatus.UNAUTHORIZED, b"id and security token do not match")
        metrics.CHECKINS.labels("new" if known is None else "known").inc()
        response = self._checkin_response(known or self._ids.new())
        return _Answer(HTTPStatus.OK, response, "application/x-protobuf")

    def _checkin_response(self, device: AndroidId) -> bytes:
        """AndroidCheckinResponse. The settings tell the browser the rest, so that one switch is enough."""
        out = number_field(1, 1) + number_field(3, self._node.clock.now())
        for name, value in self._settings.items():
            out += bytes_field(5, bytes_field(1, name) + bytes_field(2, value))
        out += fixed64_field(7, device.id) + fixed64_field(8, device.token)
        return out + number_field(9, 0)  # settings_diff: these are all

    # --- registration ---

    async def _registration(self, authorization: str, body: bytes) -> _Answer:
        try:
            device = self._device(authorization)
            form = _form(body)
            app = App(_named(form, "app"), form.get("X-subtype", ""), form.get("sender", ""))
            if form.get("delete") == "true":
                return await self._unregister(device, app)
            return await self._register(device, app)
        except _Refused as refused:
            metrics.REGISTRATIONS.labels("register", 400).inc()
            log.info("gcm_registration_refused", reason=str(refused))
            return refused.answer
        except Unavailable as error:
            metrics.REGISTRATIONS.labels("register", 500).inc()
            log.warning("gcm_registration_failed", error=error.detail)
            return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"Error=InternalServerError")

    def _device(self, authorization: str) -> AndroidId:
        scheme, _, credentials = authorization.partition(" ")
        id, _, token = credentials.partition(":")
        if scheme == "AidLogin" and _is_number(id) and _is_number(token):
            device = self._ids.prove(int(id), int(token))
            if device is not None:
                return device
        raise _Refused("PHONE_REGISTRATION_ERROR", "not a device that has checked in here", HTTPStatus.UNAUTHORIZED)

    async def _register(self, device: AndroidId, app: App) -> _Answer:
        point = _vapid_point(app.sender)
        uaid, channel_id = device.uaid(), app.channel_id
        now = self._node.clock.now()
        # Whoever holds the browser's connection has written that at the login; it need not be this process.
        key = base64url.encode(point)
        await self._node.store.register(uaid.hex(), channel_id, key, None, now, app.stored())
        token = self._node.tokens.make_gcm(uaid, bytes.fromhex(channel_id.replace("-", "")), point)
        metrics.REGISTRATIONS.labels("register", 200).inc()
        return _Answer(HTTPStatus.OK, f"token={token}".encode())

    async def _unregister(self, device: AndroidId, app: App) -> _Answer:
        """A channel that is not there is as good as removed."""
        store = self._node.store
        [channel] = await store.channels([(device.uaid().hex(), app.channel_id)])
        if channel is not None:
            await store.unregister(channel.device, channel.channel_id)
        metrics.REGISTRATIONS.labels("unregister", 200).inc()
        return _Answer(HTTPStatus.OK, f"token={app.subtype or app.category}".encode())


def _service_settings(mcs_url: str, http_origin: str) -> Mapping[str, str]:
    """Chromium's `GServicesSettings`: where everything is."""
    mcs = urlsplit(mcs_url)
    return {
        "checkin_interval": str(_CHECKIN_INTERVAL_S),
        "gcm_hostname": mcs.hostname or "",
        "gcm_secure_port": str(mcs.port or 443),
        "gcm_registration_url": http_origin + REGISTER_PATH,
    }


def _claimed(body: bytes) -> tuple[int, int]:
    """Id and security token of an AndroidCheckinRequest; 0 when it has none."""
    held = {number: value for number, value in fields(body) if number in (2, 13)}
    id, token = held.get(2, 0), held.get(13, 0)
    if not isinstance(id, int) or not isinstance(token, int):
        raise NotProtobuf("id and security token are numbers")
    return id, token


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS))
    except ValueError as error:
        raise _Refused("INVALID_PARAMETERS", f"the body must be a form; {error}") from error


def _named(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value or len(value) > _MAX_NAME:
        raise _Refused("INVALID_PARAMETERS", f"{name}: must be there, with at most {_MAX_NAME} characters")
    return value


def _vapid_point(sender: str) -> bytes:
    try:
        point = base64url.decode(sender)
        load_public(point)
    except ValueError as error:
        raise _Refused(
            "INVALID_SENDER", "sender: must be a VAPID public key; there are no other senders here"
        ) from error
    return point


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20  # noqa: PLR2004 - digits of 2⁶⁴


def _authorization(scope: Scope) -> str:
    found: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    return found[0].decode("latin-1") if found else ""


async def _send(send: Send, answer: _Answer) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if answer.retry_after is not None:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    await send({"type": "http.response.start", "status": answer.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
