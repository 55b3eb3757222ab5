"""A throw-away certificate authority, as files, for servers that tests start."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)


class Pair(NamedTuple):
    """Where a certificate and its key are written."""

    cert: Path
    key: Path

    def settings(self) -> dict[str, str]:
        """`CLARION_…` names without the prefix."""
        return {"TLS_CERT": str(self.cert), "TLS_KEY": str(self.key)}


class Authority:
    """Signs certificates for this machine; only who asks for `trust` believes them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "authority.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Clarion's tests")
        certificate = (
            _unsigned(self._name, self._name, self._key, datetime.now(UTC) - DAY, datetime.now(UTC) + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path.write_bytes(certificate.public_bytes(Encoding.PEM))

    def trust(self) -> ssl.SSLContext:
        """What a client needs to believe us."""
        return ssl.create_default_context(cafile=self.path)

    def issue(
        self,
        pair: Pair,
        *,
        rsa_key: bool = False,
        password: bytes | None = None,
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> int:
        """Write a new certificate for localhost and 127.0.0.1, and its key; the serial number. Valid for a day."""
        key: PrivateKey = rsa.generate_private_key(65537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            _unsigned(_name("localhost"), self._name, key, begins or now - DAY, ends or now + DAY)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        sealed = BestAvailableEncryption(password) if password else NoEncryption()
        pair.cert.write_bytes(certificate.public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
        return certificate.serial_number


async def shown_at(port: int, trust: ssl.SSLContext) -> int:
    """The serial number of the certificate that a new connection to this machine sees."""
    _, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    try:
        return serial_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    finally:
        writer.close()


def serial_of(der: bytes | None) -> int:
    """Of the certificate that a peer showed."""
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
