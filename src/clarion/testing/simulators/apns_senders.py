"""Who may send to APNs: provider tokens ("Establishing a token-based connection to APNs") and push certificates."""

from collections.abc import Sequence
from typing import Final

import jwt
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clarion.testing.simulators.apns_rules import Refusal
from clarion.testing.simulators.certificates import PUSH_CERTIFICATE, Environment

LIFETIME_S: Final = 60 * 60
"""A token is refused when it was made longer ago."""
RENEWAL_S: Final = 20 * 60
"""A team that changes its token sooner is told so."""
_SKEW_S: Final = 60
_JWS: Final = jwt.PyJWS()


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A team's key. `environment` and `topics` (bundle ids) are None for a key that is not limited."""

    key_id: str
    team_id: str
    public: ec.EllipticCurvePublicKey
    environment: Environment | None = None
    topics: tuple[str, ...] | None = None


class _Header(msgspec.Struct):
    kid: str
    alg: str


class _Claims(msgspec.Struct):
    iss: str
    iat: float


class _Known(msgspec.Struct):
    key: SigningKey
    issued: float
    first_used: float


class ProviderTokens:
    """The tokens that senders use. Each is verified once; then only the clock can turn it down."""

    def __init__(self, keys: Sequence[SigningKey], environment: Environment, renewal_s: float = RENEWAL_S) -> None:
        """`renewal_s`: how long a team must keep its token; 0 lets it change at will."""
        self._keys = {key.key_id: key for key in keys}
        self._environment = environment
        self._renewal_s = renewal_s
        self._known: dict[str, _Known] = {}
        self._newest: dict[str, _Known] = {}  # of each team

    def check(self, authorization: str | None, now: float) -> SigningKey:
        """The key that signed; `now` is in seconds since the epoch.

        Raises Refusal: MissingProviderToken, InvalidProviderToken, BadEnvironmentKeyIdInToken, ExpiredProviderToken,
        TooManyProviderTokenUpdates. Apple counts updates by team, whichever key signs, and names no number: here the
        first change within `renewal_s` is one too many, and the token of before stays good.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal("MissingProviderToken")
        known = self._known.get(token) or self._verify(token, now)
        if known.issued < now - LIFETIME_S:
            raise Refusal("ExpiredProviderToken")
        if token not in self._known:
            self._admit(token, known, now)
        return known.key

    def _verify(self, token: str, now: float) -> _Known:
        try:
            header = msgspec.convert(jwt.get_unverified_header(token), _Header)
            key = self._keys[header.kid]
            claims = msgspec.json.decode(_JWS.decode(token, key.public, algorithms=["ES256"]), type=_Claims)
        except (jwt.InvalidTokenError, msgspec.DecodeError, msgspec.ValidationError, KeyError):
            raise Refusal("InvalidProviderToken") from None
        if claims.iss != key.team_id or claims.iat > now + _SKEW_S:
            raise Refusal("InvalidProviderToken")
        if key.environment not in (None, self._environment):
            raise Refusal("BadEnvironmentKeyIdInToken")
        return _Known(key, claims.iat, now)

    def _admit(self, token: str, known: _Known, now: float) -> None:
        before = self._newest.get(known.key.team_id)
        if before is not None and now - before.first_used < self._renewal_s:
            raise Refusal("TooManyProviderTokenUpdates")
        self._known[token] = self._newest[known.key.team_id] = known


class PushCertificate:
    """A client certificate that stands for one bundle id and one or both environments."""

    def __init__(self, der: bytes) -> None:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
        self.topic = str(names[0].value) if names else None
        marks = {extension.oid for extension in certificate.extensions}
        self._environments = {where for where, oid in PUSH_CERTIFICATE.items() if oid in marks}

    def check(self, environment: Environment) -> None:
        """Raises Refusal: BadCertificate, BadCertificateEnvironment."""
        if self.topic is None or not self._environments:
            raise Refusal("BadCertificate")
        if environment not in self._environments:
            raise Refusal("BadCertificateEnvironment")
