"""Credentials as teams have them: those of the simulators, and fresh ones of our own."""

import json
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clarion.crypto.credentials import ApnsCertificate, ApnsToken, ServiceAccount
from clarion.testing.simulators import ApnsSimulator, FcmSimulator
from clarion.testing.simulators.apns import TOPIC
from clarion.testing.simulators.certificates import Environment


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """As Apple and Google give it out: PKCS #8 without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@lru_cache
def ec_pem() -> str:
    return pem(ec.generate_private_key(ec.SECP256R1()))


@lru_cache
def rsa_pem() -> str:
    return pem(rsa.generate_private_key(65_537, 2_048))


def apns_token(apns: ApnsSimulator | None = None, bundle_id: str = TOPIC) -> ApnsToken:
    """The simulator's own signing key, or one of ours that nobody knows."""
    if apns is None:
        return ApnsToken(key_id="KEY1234567", team_id="TEAM123456", private_key=ec_pem(), bundle_id=bundle_id)
    own = apns.credential
    return ApnsToken(key_id=own.key_id, team_id=own.team_id, private_key=own.key, bundle_id=bundle_id)


def apns_certificate(
    apns: ApnsSimulator, topic: str | None = TOPIC, *environments: Environment, bundle_id: str = TOPIC
) -> ApnsCertificate:
    """A push certificate that the simulator's authority made."""
    both = apns.authority.push_certificate(topic, *(environments or ("production",))).decode()
    at = both.index("-----BEGIN CERTIFICATE")
    end = both.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")
    return ApnsCertificate(certificate=both[at:end], private_key=both[:at] + both[end:], bundle_id=bundle_id)


def service_account(fcm: FcmSimulator | None = None) -> ServiceAccount:
    """The simulator's own service account, or one of ours that nobody knows."""
    if fcm is not None:
        return ServiceAccount.of(json.loads(fcm.account.file.read_bytes()))
    return ServiceAccount(
        project_id="shop",
        client_email="sender@shop.iam.gserviceaccount.com",
        private_key_id="k1",
        private_key=rsa_pem(),
        token_uri="https://oauth2.googleapis.com/token",
    )
