"""Proves a request to the push endpoint valid before anything runs: `HttpRequest` in, a typed request or `Refused` out.

RFC 8030 (TTL, Topic, Urgency), RFC 8292 (VAPID), RFC 8188 and its draft (`aesgcm`) as far as headers show them: what is
inside the body is for the device to judge.
"""

import hmac
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from clarion.crypto.endpoints import Endpoint, EndpointTokens, vapid_hash
from clarion.crypto.signing import Signer
from clarion.crypto.vapid import VapidError, VapidVerifier
from clarion.gateway.refusal import Errno, Refused
from clarion.model import MAX_TTL_SECONDS, Key, Millis, Urgency
from clarion.ports import HttpRequest

MAX_BODY = 5_630
"""Bytes of a body: 4,096 of plaintext with every overhead, also for those who send base64."""
MESSAGE_PURPOSE = "push message"
_KEY_BYTES = 8
_MAX_CRYPTO_HEADER = 1_024  # characters; they are stored with the message

_TTL = re.compile(r"(-?)[0-9]{1,20}", re.ASCII)
_TOPIC = re.compile(r"[0-9A-Za-z_-]{1,32}=*", re.ASCII)
_MAX_TOPIC = 32
_BASE64URL = re.compile(r"[0-9A-Za-z_-]+", re.ASCII)
_PADDING = re.compile(r"(?<=[0-9A-Za-z_-])=+(?=\s*(?:[,;]|$))", re.ASCII)
_URGENCIES = frozenset(Urgency)


class Push(NamedTuple):
    """A valid message for a device that may or may not exist. `ttl` in seconds, not more than 30 days."""

    endpoint: Endpoint
    ttl: int
    topic: str | None
    urgency: Urgency
    headers: dict[str, str]
    data: bytes
    source: bytes | None


class Cancel(NamedTuple):
    """A message that its sender takes back."""

    key: Key
    channel: Key


class Discovery(NamedTuple):
    """An app asks whether this address takes Web Push."""


class Extractor:
    """What is valid here: tokens that we made, audiences that name us, message ids that we signed."""

    def __init__(
        self, tokens: EndpointTokens, vapid: VapidVerifier, signer: Signer, at_google: VapidVerifier | None = None
    ) -> None:
        """`at_google`: for the addresses that Chromium gives out, which name Google's hosts."""
        self._tokens = tokens
        self._vapid = vapid
        self._at_google = at_google or vapid
        self._signer = signer
        self._sign = signer.signer_for(MESSAGE_PURPOSE)

    def extract(self, request: HttpRequest, path: str, now: Millis) -> Push | Cancel | Discovery:
        """Raises Refused."""
        match path.split("/"):
            case ["", "wpush", ("v1" | "v2") as version, token]:
                endpoint = self._read(version, token)
                if request.method == "GET":
                    return Discovery()
                _allow(request, "POST", "GET")
                return self._push(request, endpoint, self._vapid, now)
            case ["", "fcm", "send", token]:
                endpoint = self._read("gcm", token)
                _allow(request, "POST")
                return self._push(request, endpoint, self._at_google, now)
            case ["", "m", message_id]:
                _allow(request, "DELETE")
                return self._cancel(message_id)
        raise Refused(Errno.NO_TOKEN, "there is nothing here; a push endpoint is /wpush/{v1|v2}/{token}")

    def _read(self, version: str, token: str) -> Endpoint:
        endpoint = self._tokens.read(version, token)
        if endpoint is None:
            raise Refused(Errno.NO_TOKEN, "the token in the path is not one that this server made")
        return endpoint

    def _push(self, request: HttpRequest, endpoint: Endpoint, vapid: VapidVerifier, now: Millis) -> Push:
        if len(request.body) > MAX_BODY:
            raise Refused(Errno.TOO_LARGE, f"the body must have at most {MAX_BODY} bytes")
        headers = {name.lower(): value.strip() for name, value in request.headers.items()}
        push = Push(
            endpoint=endpoint,
            ttl=_ttl(headers.get("ttl")),
            topic=_topic(headers.get("topic")),
            urgency=_urgency(headers.get("urgency")),
            headers=_encryption(headers) if request.body else {},
            data=request.body,
            source=request.id,
        )
        _check_sender(headers, endpoint, vapid, now)
        return push

    def message_id(self, key: Key, channel: Key) -> str:
        """The end of a message's `Location`; only who has it can take the message back."""
        return self._sign(key.to_bytes(_KEY_BYTES) + channel.to_bytes(_KEY_BYTES))

    def _cancel(self, message_id: str) -> Cancel:
        named = self._signer.verify(MESSAGE_PURPOSE, message_id)
        if named is None:
            raise Refused(Errno.NO_TOKEN, "the message id in the path is not one that this server made")
        return Cancel(int.from_bytes(named[:_KEY_BYTES]), int.from_bytes(named[_KEY_BYTES:]))


def _check_sender(headers: Mapping[str, str], endpoint: Endpoint, vapid: VapidVerifier, now: Millis) -> None:
    """A subscription made with a key takes messages of that key only; else a sender who gives a name proves it."""
    authorization = headers.get("authorization")
    if endpoint.vapid_hash is None and authorization is None:
        return
    try:
        public = vapid.verify(authorization, headers.get("crypto-key"), now)
    except VapidError as error:
        raise Refused(Errno.VAPID, str(error)) from error
    if endpoint.vapid_hash is not None and not hmac.compare_digest(vapid_hash(public), endpoint.vapid_hash):
        raise Refused(Errno.VAPID, "Authorization: the subscription was made with another VAPID key")


def _allow(request: HttpRequest, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        refused = Refused(None, f"the method must be one of: {allowed}", HTTPStatus.METHOD_NOT_ALLOWED)
        refused.headers["allow"] = allowed
        raise refused


def _ttl(text: str | None) -> int:
    """RFC 8030 section 5.2."""
    match = _TTL.fullmatch(text or "")
    if match is None:
        raise Refused(Errno.NO_TTL, "TTL: must be a number of seconds, 0 or more")
    if match[1]:
        raise Refused(Errno.NEGATIVE_TTL, "TTL: must not be negative")
    return min(int(match[0]), MAX_TTL_SECONDS)


def _topic(text: str | None) -> str | None:
    """RFC 8030 section 5.4."""
    if text is not None and (len(text) > _MAX_TOPIC or not _TOPIC.fullmatch(text)):
        raise Refused(Errno.TOPIC, f"Topic: must be at most {_MAX_TOPIC} characters of 0-9 A-Z a-z _ -")
    return text


def _urgency(text: str | None) -> Urgency:
    """RFC 8030 section 5.3: several values are an error; one that we do not know is as good as none."""
    if text is not None and "," in text:
        raise Refused(None, "Urgency: must be one of very-low, low, normal, high")
    return Urgency(text) if text in _URGENCIES else Urgency.NORMAL


def _encryption(headers: Mapping[str, str]) -> dict[str, str]:
    """What the device must know to decrypt."""
    encoding = headers.get("content-encoding", "").lower()
    encryption = _bare("Encryption", headers.get("encryption"))
    crypto_key = _bare("Crypto-Key", headers.get("crypto-key"))
    match encoding:
        case "aes128gcm":
            _must_not_have("Encryption", encryption, "salt")
            _must_not_have("Crypto-Key", crypto_key, "dh")
            return {"encoding": encoding}
        case "aesgcm":
            _must_have("Encryption", encryption or "", "salt")
            if "encryption-key" in headers:
                raise Refused(Errno.ENCRYPTION, "Encryption-Key: belongs to a draft before aesgcm; use Crypto-Key")
            if crypto_key is None:
                return {"encoding": encoding, "encryption": encryption or ""}
            _must_have("Crypto-Key", crypto_key, "dh")
            return {"encoding": encoding, "encryption": encryption or "", "crypto_key": crypto_key}
    raise Refused(Errno.ENCRYPTION, "Content-Encoding: must be aes128gcm (RFC 8291), or the old aesgcm, with a body")


def _bare(name: str, header: str | None) -> str | None:
    """Without quotes and padding, as devices expect it."""
    if header is not None and len(header) > _MAX_CRYPTO_HEADER:
        raise Refused(Errno.ENCRYPTION, f"{name}: must have at most {_MAX_CRYPTO_HEADER} characters")
    return None if header is None else _PADDING.sub("", header.replace('"', ""))


def _parameter(header: str | None, name: str) -> str | None:
    if header is None:
        return None
    pairs = (part.partition("=") for part in re.split("[,;]", header))
    return next((value.strip() for key, _, value in pairs if key.strip().lower() == name), None)


def _must_have(name: str, header: str, parameter: str) -> None:
    if not _BASE64URL.fullmatch(_parameter(header, parameter) or ""):
        raise Refused(Errno.ENCRYPTION, f"{name}: `{parameter}=` must be there, in base64url")


def _must_not_have(name: str, header: str | None, parameter: str) -> None:
    if _parameter(header, parameter) is not None:
        raise Refused(Errno.ENCRYPTION, f"{name}: `{parameter}=` is inside the body for aes128gcm, not in the header")
