"""FCM HTTP v1: one request a message over HTTP/2, with the access token that a service account is given."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlencode, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from clarion.crypto.bounded import Bounded
from clarion.crypto.credentials import ServiceAccount, among, gives_tokens, private_key
from clarion.crypto.jws import sign_grant
from clarion.errors import InvalidRequest
from clarion.model import Channel, DeviceKind, Json, Millis
from clarion.ports import (
    Accepted,
    BadCredentials,
    Gone,
    HttpBatch,
    HttpResponse,
    Outgoing,
    Prepared,
    ProviderOutcome,
    Quarantined,
    Ready,
    Rejected,
    RetryAfter,
    Senders,
    TooLarge,
)
from clarion.wire.answers import clean, retry_after

URL: Final = "https://fcm.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GRANT_S: Final = 3_600
_RENEW_S: Final = 300
"""So long before its end an access token is replaced."""
_MOST_TTL_S: Final = 2_419_200
_QUOTA_S: Final = 60.0
_FIRST_WAIT_S: Final = 10.0
_LONGEST_WAIT_S: Final = 900.0
_UNSAID: Final = b'{"android":{"ttl":null'
"""How a payload begins whose TTL the caller did not choose."""
_TARGET: Final = {"token": b',"token":', "fid": b',"fid":'}
_JSON: Final = ("content-type", "application/json")
_FORM: Final = ("content-type", "application/x-www-form-urlencoded")


_SUCCESS: Final = range(200, 300)
"""RFC 9110 section 15.3."""
_MEANING: Final[dict[str, type[Gone | Quarantined | BadCredentials | RetryAfter]]] = {
    "UNREGISTERED": Gone,
    "SENDER_ID_MISMATCH": Quarantined,
    "THIRD_PARTY_AUTH_ERROR": BadCredentials,
    "UNAUTHENTICATED": BadCredentials,
    "PERMISSION_DENIED": BadCredentials,
    "ACCESS_TOKEN_EXPIRED": RetryAfter,
    "QUOTA_EXCEEDED": RetryAfter,
    "INTERNAL": RetryAfter,
    "UNAVAILABLE": RetryAfter,
}
"""By FcmError's errorCode, or what `_code_of` says for it; INVALID_ARGUMENT needs a closer look."""


class _Details(msgspec.Struct, frozen=True, gc=False):
    """Which of two kinds of address a device has."""

    address_kind: str = "token"


class _Granted(msgspec.Struct, frozen=True, gc=False):
    """The token endpoint's answer (RFC 6749 §5.1)."""

    access_token: str
    expires_in: int


class _Denied(msgspec.Struct, frozen=True, gc=False):
    """Its refusal (§5.2)."""

    error: str = ""
    error_description: str = ""


class _Access(NamedTuple):
    """An access token, and when to get another."""

    token: str
    renew_at: Millis


class _Violation(msgspec.Struct, frozen=True, gc=False):
    field: str = ""
    description: str = ""


class _Detail(msgspec.Struct, frozen=True, gc=False):
    """A detail of an error: FcmError has `errorCode`, ErrorInfo `reason`, BadRequest the fields."""

    type: str = msgspec.field(name="@type", default="")
    code: str = msgspec.field(name="errorCode", default="")
    reason: str = ""
    violations: list[_Violation] = msgspec.field(name="fieldViolations", default_factory=list)


class _Error(msgspec.Struct, frozen=True, gc=False):
    message: str = ""
    details: list[_Detail] = []

    @property
    def code(self) -> str:
        """What to classify on: FCM's own word, not the status."""
        return next((each.code for each in self.details if each.type.endswith("FcmError")), "")

    def names(self, *fields: str) -> bool:
        """Whether one of these fields of the request is called wrong."""
        return any(violation.field in fields for each in self.details for violation in each.violations)


class _Refusal(msgspec.Struct, frozen=True, gc=False):
    error: _Error = _Error()


class _Sent(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None


_Answer: TypeAlias = HttpResponse | BadCredentials | RetryAfter
"""Of FCM; or why it was not even asked."""
_decode_details = msgspec.json.Decoder(_Details).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode
_decode_sent = msgspec.json.Decoder(_Sent).decode
_decode_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class FcmProvider:
    """Sends with the project's service account. Its access token is shared by all batches of this process."""

    kind = DeviceKind.FCM
    channel = Channel.PUSH

    def __init__(self, senders: Senders, *, url: str = URL) -> None:
        """`url`: the origin of the service; besides Google only that one may give access tokens."""
        self._senders = senders
        self._url = url
        self._access: Bounded[ServiceAccount, _Access] = Bounded(1_000)
        self._asking: Bounded[ServiceAccount, asyncio.Lock] = Bounded(1_000)

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        """Outcomes in order."""
        accounts = among(secrets, ServiceAccount)
        if not accounts:
            return [BadCredentials("the project has no FCM credential (POST /v1/credentials)")] * len(batch)
        if isinstance(batch, Prepared):
            made: Sequence[bytes | ProviderOutcome] = batch.work.bodies
            heads = [_head(batch.expires_at, now)] * len(made)
        else:
            made = [outgoing.body or _body(outgoing) for outgoing in batch]
            heads = [_head(outgoing.ready.expires_at, now) for outgoing in batch]
        bodies = [_whole(head, body) for head, body in zip(heads, made, strict=True) if isinstance(body, bytes)]
        answers = await self._post(accounts[0], bodies, now) if bodies else ()
        taken = [answer for answer in answers if isinstance(answer, HttpResponse) and answer.status in _SUCCESS]
        if len(taken) == len(batch):
            return [Accepted(_name(answer.body)) for answer in taken]
        left = iter(answers)
        return [
            _outcome(next(left), outgoing.ready, now) if isinstance(body, bytes) else body
            for outgoing, body in zip(batch, made, strict=True)
        ]

    def uses(self, lane: str, secrets: Mapping[str, bytes]) -> list[str]:  # noqa: ARG002 - one service, one lane
        """The first service account, as long as there is one."""
        return [name for name, secret in secrets.items() if among({name: secret}, ServiceAccount)][:1]

    async def prepare(
        self,
        batch: Sequence[Outgoing],
        secrets: Mapping[str, bytes],  # noqa: ARG002 - nothing is sealed for a device
    ) -> list[bytes | ProviderOutcome]:
        """The bodies but for the time that is left."""
        return [_body(outgoing) for outgoing in batch]

    async def check(self, secret: bytes, now: Millis) -> BadCredentials | RetryAfter | None:
        """Get an access token, and have a message validated that goes nowhere: its target is all that may be wrong."""
        [account] = among({"": secret}, ServiceAccount)
        body = _encode({"validateOnly": True, "message": {"token": "nobody", "data": {"clarion": "check"}}})
        [answer] = await self._post(account, [body], now)
        outcome = _outcome(answer, Ready(0, 0, 0, bytes(16), b"", "", now, "", None), now)
        return outcome if isinstance(outcome, BadCredentials | RetryAfter) else None

    async def _post(self, account: ServiceAccount, bodies: Sequence[bytes], now: Millis) -> Sequence[_Answer]:
        access = await self._token(account, now)
        if not isinstance(access, _Access):
            return [access] * len(bodies)
        path = f"/v1/projects/{account.project_id}/messages:send"
        headers = (_JSON, ("authorization", f"Bearer {access.token}"))
        batch = HttpBatch(self._url, headers, [path] * len(bodies), bodies)
        answers = await self._senders.to(self._url).send_batch(batch)
        if any(answer.status == 401 for answer in answers) and self._access.get(account) == access:  # noqa: PLR2004
            self._access.put(account, _Access("", 0))  # whatever is wrong with it, the next one is new
        return answers

    async def _token(self, account: ServiceAccount, now: Millis) -> _Access | BadCredentials | RetryAfter:
        access = self._access.get(account)
        if access is not None and now < access.renew_at:
            return access
        asking = self._asking.get(account)
        if asking is None:
            asking = asyncio.Lock()
            self._asking.put(account, asking)
        async with asking:
            access = self._access.get(account)
            if access is not None and now < access.renew_at:
                return access  # somebody else asked while we waited
            got = await self._ask(account, now)
            if isinstance(got, _Access):
                self._access.put(account, got)
            return got

    async def _ask(self, account: ServiceAccount, now: Millis) -> _Access | BadCredentials | RetryAfter:
        """A signed assertion for an access token (RFC 7523 §2.1)."""
        if not gives_tokens(account.token_uri, self._url):
            return BadCredentials("token_uri is not Google's")
        try:
            key = private_key(account.private_key)
        except InvalidRequest as error:
            return BadCredentials(clean(str(error)))
        if not isinstance(key, rsa.RSAPrivateKey):
            return BadCredentials("the service account's key is not an RSA key")
        iat = now // 1000
        claims: Json = {
            "iss": account.client_email, "scope": _SCOPE, "aud": account.token_uri, "iat": iat, "exp": iat + _GRANT_S
        }  # fmt: skip
        form = urlencode({"grant_type": _GRANT, "assertion": sign_grant(claims, key, account.private_key_id)})
        parts = urlsplit(account.token_uri)
        origin = f"{parts.scheme}://{parts.netloc}"
        batch = HttpBatch(origin, (_FORM,), [parts.path or "/"], [form.encode()])
        [answer] = await self._senders.to(origin).send_batch(batch)
        return _granted(answer, now)


def _granted(answer: HttpResponse, now: Millis) -> _Access | BadCredentials | RetryAfter:
    if answer.status in (0, 429) or answer.status >= 500:  # noqa: PLR2004 - the far side's
        # No message was sent yet, so nothing can have arrived.
        wait = retry_after(answer.headers.get("retry-after"), now)
        detail = clean(f"no access token: {answer.error or answer.status}")
        return RetryAfter(wait, detail, blames="load" if answer.status == 429 else "service")  # noqa: PLR2004
    try:
        granted = msgspec.json.decode(answer.body, type=_Granted)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return BadCredentials(clean(f"no access token: {answer.status} {_denial(answer.body)}"))
    lifetime_s = max(0, granted.expires_in - _RENEW_S)
    return _Access(granted.access_token, now + lifetime_s * 1000)


def _denial(body: bytes) -> str:
    try:
        denied = msgspec.json.decode(body, type=_Denied)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return f"{denied.error} {denied.error_description}"


def _body(outgoing: Outgoing) -> bytes | ProviderOutcome:
    """The message with its target, whole if the caller chose a TTL; else what comes after it (`_head`)."""
    ready, address = outgoing.ready, outgoing.address
    kind = _address_kind(address.details)
    if kind not in _TARGET:
        return Quarantined("address_kind must be token or fid")
    payload = ready.payload
    if not payload.startswith(_UNSAID):
        message = _decode_parts(payload)
        android = _decode_parts(message.pop("android", b"{}"))
        if "ttl" in android:
            return _encode({"message": {kind: address.address, **message, "android": android}})
        payload = _encode({"android": {"ttl": None, **android}, **message})
    # As nearly all of them are: TTL and target find their places without a look at the rest.
    return b"".join((payload[len(_UNSAID) : -1], _TARGET[kind], _encode(address.address), b"}}"))


@lru_cache(maxsize=1_024)
def _head(expires_at: Millis, now: Millis) -> bytes:
    """How a message begins: with the time that is left to it."""
    return b'{"message":{"android":{"ttl":"%ds"' % min(max(0, -(-(expires_at - now) // 1000)), _MOST_TTL_S)


def _whole(head: bytes, body: bytes) -> bytes:
    return body if body[:1] == b"{" else head + body


@lru_cache(maxsize=1_024)
def _address_kind(details: str | bytes) -> str:
    try:
        return _decode_details(details).address_kind
    except msgspec.MsgspecError:
        return "token"


def _outcome(response: _Answer, ready: Ready, now: Millis) -> ProviderOutcome:
    """What an answer means (the reference of FcmError, and "Handle errors" of the HTTP v1 guide)."""
    if not isinstance(response, HttpResponse):
        return response
    status = response.status
    if status in _SUCCESS:
        return Accepted(_name(response.body))
    if status == 0:
        return RetryAfter(detail=clean(response.error or "no answer"), unknown=response.unknown)
    error = _read_error(response.body)
    code = error.code or _code_of(status, error)
    detail = clean(f"{status} {code} {error.message}")
    if code == "INVALID_ARGUMENT":
        return _invalid(error, detail)
    meaning = _MEANING.get(code, Rejected)
    if meaning is RetryAfter:
        wait = _wait(code, response, ready, now)
        return RetryAfter(wait, detail, blames="load" if code == "QUOTA_EXCEEDED" else "service")
    return meaning(detail=detail)


def _invalid(error: _Error, detail: str) -> ProviderOutcome:
    """Our own fault, unless it is the address that is called wrong."""
    if error.names("message.token", "message.fid"):
        return Quarantined(detail)
    return TooLarge(detail) if "too large" in error.message or "too big" in error.message else Rejected(detail)


def _wait(code: str, response: HttpResponse, ready: Ready, now: Millis) -> float:
    """Seconds: what Google says; else a minute for the quota, ten seconds and twice as much each time for the rest."""
    told = retry_after(response.headers.get("retry-after"), now)
    if told is not None:
        return told
    if code == "QUOTA_EXCEEDED":
        return _QUOTA_S
    if code == "ACCESS_TOKEN_EXPIRED":
        return 1.0
    # Jitter of up to a half, from the delivery's own id.
    return min(_FIRST_WAIT_S * 2.0**ready.attempts, _LONGEST_WAIT_S) * (1 + ready.id[-1] / 512)


def _code_of(status: int, error: _Error) -> str:
    """What an answer from the front of Google's API means, which has not FCM's words and may be a page of HTML."""
    if status == 401:  # noqa: PLR2004 - Unauthorized
        expired = any(each.reason == "ACCESS_TOKEN_EXPIRED" for each in error.details)
        return "ACCESS_TOKEN_EXPIRED" if expired else "UNAUTHENTICATED"
    if status >= 500:  # noqa: PLR2004 - RFC 9110 section 15.6
        return "UNAVAILABLE"
    return {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 429: "QUOTA_EXCEEDED"}.get(status, "")


def _read_error(body: bytes) -> _Error:
    try:
        return _decode_refusal(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Error()


def _name(body: bytes) -> str | None:
    try:
        name = _decode_sent(body).name
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return clean(name) if name else None
