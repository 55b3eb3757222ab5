"""What lets us send through services of others: the fields of a credential, checked, and what of them may be shown."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from clarion.errors import FieldError, InvalidRequest
from clarion.model import Json, Millis

_PRIVATE: Final = "private_key"
_CERTIFICATE: Final = "certificate"
_PROJECT: Final = re.compile(r"[a-z0-9.:-]{1,100}")
_ID_LENGTH: Final = 10
_TOKEN_HOSTS: Final = frozenset({"oauth2.googleapis.com", "accounts.google.com", "www.googleapis.com"})


class Secret(msgspec.Struct, frozen=True, kw_only=True, tag_field="form"):
    """Base of what is sealed. Its repr shows no field, so that no log does."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def sealed_form(self) -> bytes:
        """What is encrypted and stored; `opened` reads it."""
        return msgspec.json.encode(self)


class ApnsToken(Secret, frozen=True, kw_only=True, tag="apns_token"):
    """A team's signing key (`AuthKey_….p8`); `bundle_id` is the topic of devices that name none."""

    key_id: str
    team_id: str
    private_key: str
    bundle_id: str

    def check(self, _now: Millis) -> None:
        """Raises InvalidRequest naming the fields."""
        problems = [
            FieldError(name, "must be ten capital letters and digits, as Apple shows it")
            for name in ("key_id", "team_id")
            if not _is_apple_id(getattr(self, name))
        ]
        _refuse(problems)
        key = private_key(self.private_key, "private_key")
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InvalidRequest.field(_PRIVATE, "must be an elliptic-curve key (the .p8 file from Apple), not RSA")
        if not isinstance(key.curve, ec.SECP256R1):
            raise InvalidRequest.field(_PRIVATE, f"must be a key on the curve P-256, not {key.curve.name}")

    def shown(self) -> Json:
        """What may be seen of it."""
        return {"key_id": self.key_id, "team_id": self.team_id, "bundle_id": self.bundle_id} | _print(self.private_key)


class ApnsCertificate(Secret, frozen=True, kw_only=True, tag="apns_certificate"):
    """A push certificate of one bundle id with its key, both in PEM."""

    certificate: str
    private_key: str
    bundle_id: str

    def check(self, now: Millis) -> None:
        """Raises InvalidRequest naming the fields."""
        certificate = _certificate(self.certificate)
        if certificate.not_valid_after_utc.timestamp() * 1000 <= now:
            raise InvalidRequest.field(_CERTIFICATE, f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
        bundle = certificate_topic(certificate)
        if bundle != self.bundle_id:
            raise InvalidRequest.field(
                "bundle_id", f"the certificate is for {bundle}" if bundle else "the certificate is for no app"
            )
        key = private_key(self.private_key, "private_key")
        if _spki(key.public_key()) != _spki(certificate.public_key()):
            raise InvalidRequest.field(_PRIVATE, "must be the key of this certificate")

    def shown(self) -> Json:
        """What may be seen of it."""
        certificate = _certificate(self.certificate)
        expires = certificate.not_valid_after_utc.isoformat(timespec="seconds").replace("+00:00", "Z")
        return {"bundle_id": self.bundle_id, "expires_at": expires} | _print(self.private_key)


class ServiceAccount(Secret, frozen=True, kw_only=True, tag="fcm"):
    """What we need of the JSON file of a Google service account."""

    project_id: str
    client_email: str
    private_key_id: str
    private_key: str
    token_uri: str

    FIELDS: ClassVar = ("project_id", "client_email", "private_key_id", "private_key", "token_uri")

    @classmethod
    def of(cls, told: Json) -> Self:
        """Raises InvalidRequest naming the fields that are missing."""
        if told.get("type") != "service_account":
            raise InvalidRequest.field(
                "service_account.type", "must be service_account: another kind of file was given"
            )
        _refuse(
            FieldError(f"service_account.{name}", "is missing from the file")
            for name in cls.FIELDS
            if not isinstance(told.get(name), str) or not told[name]
        )
        return cls(**{name: told[name] for name in cls.FIELDS})

    def check(self, _now: Millis) -> None:
        """Raises InvalidRequest naming the fields. Which hosts may give tokens is for the caller to say."""
        if not _PROJECT.fullmatch(self.project_id):
            raise InvalidRequest.field("service_account.project_id", "must be the id of a Google Cloud project")
        key = private_key(self.private_key, "service_account.private_key")
        if not isinstance(key, rsa.RSAPrivateKey):
            raise InvalidRequest.field("service_account.private_key", "must be an RSA key, as Google makes them")

    def shown(self) -> Json:
        """What may be seen of it."""
        names = ("project_id", "client_email", "private_key_id")
        return {name: getattr(self, name) for name in names} | _print(self.private_key)


S = TypeVar("S", bound=Secret)
AnySecret: TypeAlias = ApnsToken | ApnsCertificate | ServiceAccount
ApnsSecret: TypeAlias = ApnsToken | ApnsCertificate
_DECODER: Final[msgspec.json.Decoder[AnySecret]] = msgspec.json.Decoder(AnySecret)


def gives_tokens(token_uri: str, also: str | None) -> bool:
    """Whether this is where access tokens come from: Google, or the origin that a setting names instead.

    A file that anybody may upload does not say to whom we open connections.
    """
    parts = urlsplit(token_uri)
    return parts.scheme == "https" and (
        parts.netloc in _TOKEN_HOSTS or (also is not None and f"https://{parts.netloc}" == also.rstrip("/"))
    )


@lru_cache(maxsize=1_024)
def opened(sealed_form: bytes) -> AnySecret:
    """What `sealed_form` made. Raises ValueError for anything else."""
    return _DECODER.decode(sealed_form)


def among(secrets: Mapping[str, bytes], *forms: type[S]) -> list[S]:
    """Those of these forms, in their order. What another version sealed and this one cannot read is left out."""
    return [secret for each in secrets.values() if isinstance(secret := _opened(each), forms)]


def _opened(sealed_form: bytes) -> AnySecret | None:
    try:
        return opened(sealed_form)
    except ValueError:
        return None


@lru_cache(maxsize=1_024)
def private_key(pem: str, field: str = _PRIVATE) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """The key of a PEM text. Raises InvalidRequest naming `field`."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except TypeError:
        raise InvalidRequest.field(field, "must not be encrypted: give the key without its password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidRequest.field(field, "must be a private key in PEM (-----BEGIN PRIVATE KEY-----)") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InvalidRequest.field(field, "must be an elliptic-curve or an RSA key")
    return key


def certificate_topic(certificate: x509.Certificate) -> str | None:
    """The bundle id that a push certificate is for, which Apple writes into the subject as the user id."""
    names = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
    return str(names[0].value) if names else None


def _certificate(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise InvalidRequest.field(_CERTIFICATE, "must be a certificate in PEM (-----BEGIN CERTIFICATE-----)") from None


def _is_apple_id(text: str) -> bool:
    return len(text) == _ID_LENGTH and text.isascii() and text.isalnum() and text.upper() == text


def _print(pem: str) -> dict[str, str]:
    """SHA-256 of the public key: by it people tell keys apart, and nobody learns the private one."""
    return {"fingerprint": hashlib.sha256(_spki(private_key(pem).public_key())).hexdigest()}


def _spki(key: Any) -> bytes:
    told: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return told


def _refuse(problems: Any) -> None:
    found = list(problems)
    if found:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in found), errors=found)
