"""Google's token endpoint for service accounts: a signed assertion in (RFC 7523 §2.1), an access token out."""

import hashlib
import hmac
import json
import secrets
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from clarion.crypto import base64url
from clarion.testing.simulators.certificates import write_secret
from clarion.testing.simulators.exchange import Request, Respond
from clarion.testing.simulators.fcm_errors import Refusal, forbidden, unauthenticated

SCOPES: Final = frozenset(
    {"https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"}
)
"""Either lets its bearer send messages."""
LIFETIME_S: Final = 3_600
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GOOGLE: Final = "https://oauth2.googleapis.com/token"
_SCOPE: Final = "https://www.googleapis.com/auth/"
_SKEW_S: Final = 300
_PREFIX: Final = "ya29."
_JWS: Final = jwt.PyJWS()
_TIMES: Final = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


class _Assertion(msgspec.Struct):
    iss: str
    aud: str
    iat: int
    exp: int
    scope: str = ""


class _Access(msgspec.Struct, array_like=True):
    """What an access token says to us alone."""

    project: str
    scope: str
    expires: int


class _Denied(Exception):
    """OAuth's own form of error (RFC 6749 §5.2)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class ServiceAccount:
    """An account of a project, whose JSON file senders use as their credential; it stays the same over restarts."""

    def __init__(self, folder: Path, project: str) -> None:
        self.project = project
        self.email = f"sender@{project}.iam.gserviceaccount.com"
        self.file = folder / "service-account.json"
        if not self.file.exists():
            self._make()
        told = json.loads(self.file.read_bytes())
        key = serialization.load_pem_private_key(told["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self.public = key.public_key()
        self.key_id = str(told["private_key_id"])
        # Access tokens carry their own proof, so that those of before a restart stay good.
        self.secret = hashlib.sha256(told["private_key"].encode()).digest()

    def serve_at(self, url: str) -> None:
        """Write into the file where this simulator gives tokens."""
        told = json.loads(self.file.read_bytes())
        told |= {"token_uri": f"{url}/token", "project_id": self.project, "client_email": self.email}
        write_secret(self.file, json.dumps(told, indent=2).encode() + b"\n")

    def _make(self) -> None:
        pem = rsa.generate_private_key(65_537, 2_048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        told = {
            "type": "service_account",
            "private_key_id": secrets.token_hex(20),
            "private_key": pem.decode(),
            "client_id": "100000000000000000000",
        }
        write_secret(self.file, json.dumps(told).encode())


class TokenEndpoint:
    """Gives access tokens for the account, and knows them again."""

    def __init__(self, account: ServiceAccount, lifetime_s: int = LIFETIME_S) -> None:
        self._account = account
        self._lifetime_s = lifetime_s
        self._known: dict[str, _Access] = {}

    def respond(self, request: Request, url: str, now: float) -> tuple[str, Respond]:
        """How it is counted, and the response. `url` is this endpoint's own; `now` is in seconds since the epoch."""
        try:
            access = self._granted(request, url, now)
        except _Denied as denied:
            body = {"error": denied.error, "error_description": str(denied)}
            return f"400 {denied.error}", _json(400, body)
        told = {"access_token": self._token(access), "expires_in": self._lifetime_s - 1, "token_type": "Bearer"}
        return "200 token", _json(200, told)

    def check(self, authorization: str | None, project: str, now: float) -> None:
        """Whether the bearer may send for the project. Raises `fcm_errors.Refusal`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated("CREDENTIALS_MISSING")
        access = self._known.get(token) or self._read(token)
        if access is None:
            raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED")
        if now >= access.expires:
            raise unauthenticated("ACCESS_TOKEN_EXPIRED")
        self._known[token] = access
        if not SCOPES & set(access.scope.split()):
            raise forbidden("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "Request had insufficient authentication scopes.")
        if access.project != project:
            raise _no_permission(project)

    def _granted(self, request: Request, url: str, now: float) -> _Access:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != _GRANT:
            raise _Denied("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        claims = self._verified(form.get("assertion", ""))
        if claims.iss != self._account.email:
            raise _Denied("invalid_grant", "Invalid grant: account not found")
        if claims.aud not in (url, _GOOGLE):
            raise _Denied("invalid_grant", "Failed audience check.")
        if claims.exp <= now or claims.iat > now + _SKEW_S or not 0 < claims.exp - claims.iat <= LIFETIME_S:
            raise _Denied("invalid_grant", _TIMES)
        scopes = claims.scope.split()
        if not scopes or not all(scope.startswith(_SCOPE) for scope in scopes):
            raise _Denied("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return _Access(self._account.project, claims.scope, int(now) + self._lifetime_s)

    def _verified(self, assertion: str) -> _Assertion:
        try:
            claims = _JWS.decode(assertion, self._account.public, algorithms=["RS256"])
            return msgspec.json.decode(claims, type=_Assertion)
        except (jwt.InvalidTokenError, msgspec.DecodeError, msgspec.ValidationError):
            raise _Denied("invalid_grant", "Invalid JWT Signature.") from None

    def _token(self, access: _Access) -> str:
        said = msgspec.json.encode(access)
        return _PREFIX + base64url.encode(self._proof(said) + said)

    def _read(self, token: str) -> _Access | None:
        try:
            data = base64url.decode(token.removeprefix(_PREFIX))
        except ValueError:
            return None
        proof, said = data[:32], data[32:]
        if not token.startswith(_PREFIX) or not hmac.compare_digest(proof, self._proof(said)):
            return None
        return msgspec.json.decode(said, type=_Access)

    def _proof(self, said: bytes) -> bytes:
        return hmac.digest(self._account.secret, said, "sha256")


def _no_permission(project: str) -> Refusal:
    resource = f"//cloudresourcemanager.googleapis.com/projects/{project}"
    text = f"Permission 'cloudmessaging.messages.create' denied on resource '{resource}' (or it may not exist)."
    return forbidden("IAM_PERMISSION_DENIED", text)


def _json(status: int, body: dict[str, Any]) -> Respond:
    return Respond(status, (("content-type", "application/json; charset=utf-8"),), msgspec.json.encode(body))
