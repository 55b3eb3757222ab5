"""Credentials as callers send them become secrets: every field checked, and all of them in one form."""

import base64
from typing import Annotated, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from msgspec import Meta

from clarion.api.fields import Name, Word
from clarion.api.schemas import Body
from clarion.crypto import base64url
from clarion.crypto.credentials import (
    AnySecret,
    ApnsCertificate,
    ApnsSecret,
    ApnsToken,
    ServiceAccount,
    gives_tokens,
    opened,
    private_key,
)
from clarion.crypto.p256 import PRIVATE_SIZE, KeyPair
from clarion.errors import FieldError, InvalidRequest
from clarion.model import Json, Millis

Pem: TypeAlias = Annotated[str, Meta(max_length=16_384)]


Rate: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=1_000_000,
        description="Messages a second that may go out with it, over all processes; as fast as the service takes them "
        "unless given.",
        examples=[500],
    ),
]


class CredentialBody(Body, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all kinds. It is stored encrypted and never shown again."""

    name: Name | None = None
    rate: Rate | None = None
    check: Annotated[bool, Meta(description="Ask the service first, and keep it only when the service takes it.")] = (
        False
    )


class ApnsCredential(CredentialBody, frozen=True, kw_only=True, tag="apns"):
    """A signing key (key_id, team_id, private_key), or a push certificate (with private_key, or as PKCS #12)."""

    bundle_id: Annotated[Word, Meta(description="The app; also the topic of devices that name none.")]
    key_id: Annotated[str, Meta(max_length=20, examples=["ABC123DEFG"])] | None = None
    team_id: Annotated[str, Meta(max_length=20, examples=["DEF123GHIJ"])] | None = None
    private_key: Annotated[Pem, Meta(description="PEM: the text of the .p8 file.")] | None = None
    certificate: Annotated[Pem, Meta(description="PEM.")] | None = None
    pkcs12: Annotated[Pem, Meta(description="A .p12 file in base64.")] | None = None
    password: Annotated[str, Meta(max_length=1_024, description="Of the PKCS #12 file.")] | None = None


class FcmCredential(CredentialBody, frozen=True, kw_only=True, tag="fcm"):
    """The JSON file of a Google service account, as it is."""

    service_account: Json


class WebPushCredential(CredentialBody, frozen=True, kw_only=True, tag="webpush"):
    """A VAPID key, whose name is its public key; a new one without `private_key`."""

    private_key: Annotated[Pem, Meta(description="32 bytes in base64url, or PEM, to bring a key along.")] | None = None
    current: Annotated[bool, Meta(description="Whether new subscriptions are made with it.")] = True


AnyCredential: TypeAlias = ApnsCredential | FcmCredential | WebPushCredential


def apns_secret(body: ApnsCredential, now: Millis) -> ApnsSecret:
    """Raises InvalidRequest naming the fields."""
    certified = body.certificate is not None or body.pkcs12 is not None
    unwanted = ("key_id", "team_id") if certified else ("password",)
    _refuse(
        {
            name: f"does not go with a {'certificate' if certified else 'signing key'}"
            for name in unwanted
            if getattr(body, name) is not None
        }
    )
    secret = _certificate(body) if certified else _signing_key(body)
    secret.check(now)
    return secret


def _signing_key(body: ApnsCredential) -> ApnsToken:
    _refuse({name: "is required with a signing key" for name in ("key_id", "team_id") if getattr(body, name) is None})
    if body.private_key is None:
        raise InvalidRequest.field("private_key", "is required: the text of the .p8 file, or a certificate")
    return ApnsToken(
        key_id=body.key_id or "", team_id=body.team_id or "", private_key=body.private_key, bundle_id=body.bundle_id
    )


def _certificate(body: ApnsCredential) -> ApnsCertificate:
    if body.pkcs12 is not None:
        _refuse(
            {
                name: "is in the PKCS #12 file already"
                for name in ("certificate", "private_key")
                if getattr(body, name) is not None
            }
        )
        certificate, key = _unpacked(body.pkcs12, body.password)
        return ApnsCertificate(certificate=certificate, private_key=key, bundle_id=body.bundle_id)
    if body.private_key is None:
        raise InvalidRequest.field("private_key", "is required: the certificate's key in PEM")
    return ApnsCertificate(certificate=body.certificate or "", private_key=body.private_key, bundle_id=body.bundle_id)


def _unpacked(text: str, password: str | None) -> tuple[str, str]:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise InvalidRequest.field("pkcs12", "must be the .p12 file in base64") from None
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password.encode() if password else None)
    except (ValueError, TypeError):
        raise InvalidRequest.field("pkcs12", "cannot be opened: no PKCS #12 file, or another password") from None
    if key is None or certificate is None:
        raise InvalidRequest.field("pkcs12", "must hold a certificate and its key")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), pem.decode()


def fcm_secret(body: FcmCredential, now: Millis, fcm_url: str | None) -> ServiceAccount:
    """`fcm_url`: what stands in for Google, if anything does. Raises InvalidRequest naming the fields."""
    secret = ServiceAccount.of(body.service_account)
    secret.check(now)
    if not gives_tokens(secret.token_uri, fcm_url):
        raise InvalidRequest.field("service_account.token_uri", "must be https://oauth2.googleapis.com/token")
    return secret


def web_push_pair(body: WebPushCredential) -> KeyPair:
    """The key that was brought along, or a new one. Raises InvalidRequest naming the field."""
    if body.private_key is None:
        return KeyPair.generate()
    text = body.private_key.strip()
    try:
        if not text.startswith("-----"):
            return KeyPair.of(base64url.decode(text))
    except ValueError:
        raise InvalidRequest.field(
            "private_key", f"must be a P-256 private key: {PRIVATE_SIZE} bytes in base64url, or PEM"
        ) from None
    key = private_key(text)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidRequest.field("private_key", "must be an elliptic-curve key on P-256")
    return KeyPair.of(key.private_numbers().private_value.to_bytes(PRIVATE_SIZE, "big"))


def shown(secret: bytes) -> Json:
    """What may be seen of an APNs or FCM secret. Raises ValueError for one of another version."""
    opened_secret: AnySecret = opened(secret)
    form = "certificate" if isinstance(opened_secret, ApnsCertificate) else "token"
    return opened_secret.shown() | ({} if isinstance(opened_secret, ServiceAccount) else {"auth": form})


def _refuse(problems: dict[str, str]) -> None:
    if problems:
        errors = [FieldError(field, words) for field, words in problems.items()]
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in errors), errors=errors)
