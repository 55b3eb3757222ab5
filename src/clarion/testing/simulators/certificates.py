"""An authority of our own: it makes the server's certificate, and client certificates like those of Apple's senders."""

import datetime as dt
import ipaddress
import os
import ssl
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Environment = Literal["production", "sandbox"]

PUSH_CERTIFICATE: Final[dict[Environment, x509.ObjectIdentifier]] = {
    "sandbox": x509.ObjectIdentifier("1.2.840.113635.100.6.3.1"),
    "production": x509.ObjectIdentifier("1.2.840.113635.100.6.3.2"),
}
"""The extensions by which Apple says what a push certificate is for."""
_NULL: Final = b"\x05\x00"
_SIGNS: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_VALID: Final = dt.timedelta(days=3_650)
_LEEWAY: Final = dt.timedelta(minutes=5)


class Authority:
    """Keeps its key and certificate in a folder, so that a restart changes nothing for those who trust it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        """What a client has to trust."""
        key_file = folder / "ca-key.pem"
        if not self.ca_file.exists() or not key_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("Clarion simulator authority")
            made = _unsigned(name, name, key, _known_by(key), ca=True).add_extension(_SIGNS, critical=True)
            write_secret(key_file, private_pem(key))
            self.ca_file.write_bytes(_pem(made.sign(key, hashes.SHA256())))
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self._key = loaded
        self._certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())

    def server_context(self, host: str) -> ssl.SSLContext:
        """TLS 1.2 or later for `host` and for this machine by its names; client certificates may be shown."""
        names = dict.fromkeys([host, "localhost", "127.0.0.1", "::1"])
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        file = self._folder / "server.pem"
        write_secret(file, self._issue(_name(host), ExtendedKeyUsageOID.SERVER_AUTH, alternatives))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(file)
        context.load_verify_locations(self.ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client_context(self) -> ssl.SSLContext:
        """For clients in Python: trusts this authority only."""
        return ssl.create_default_context(cafile=self.ca_file)

    def push_certificate(self, topic: str | None, *environments: Environment) -> bytes:
        """Certificate and key (PEM) of a sender of this topic. Without a topic it is none that a push service takes."""
        name = _name("Apple Push Services", topic)
        marks = [x509.UnrecognizedExtension(PUSH_CERTIFICATE[where], _NULL) for where in environments]
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, *marks)

    def _issue(self, name: x509.Name, usage: x509.ObjectIdentifier, *extensions: x509.ExtensionType) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(name, self._certificate.subject, key, _known_by(self._key), ca=False)
        for extension in (x509.ExtendedKeyUsage([usage]), *extensions):
            builder = builder.add_extension(extension, critical=False)
        return private_pem(key) + _pem(builder.sign(self._key, hashes.SHA256()))


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8, as the `.p8` files that Apple hands out."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_secret(file: Path, data: bytes) -> None:
    """A file that only its owner reads."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(data)


def _known_by(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: x509.AuthorityKeyIdentifier,
    *,
    ca: bool,
) -> x509.CertificateBuilder:
    """With the key identifiers (RFC 5280 §4.2.1.1) that tell two authorities of the same name apart."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(signer, critical=False)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common: str, user: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if user is not None:
        parts.append(x509.NameAttribute(NameOID.USER_ID, user))
    return x509.Name(parts)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
