"""The certificate that `--gcm` makes for itself: an authority that browsers trust once, and what it signs.

The authority may speak for the names of this server alone (RFC 5280 section 4.2.1.10), so that whoever stole its key
could pose as nobody else. What it signs is made anew before it expires or when the names change.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clarion.errors import ConfigurationError
from clarion.model import Millis
from clarion.ports import Clock
from clarion.transport.tls import Certificate

log = structlog.get_logger(__name__)

AUTHORITY = "gcm-ca.pem"
"""What browsers are to trust."""
AUTHORITY_KEY = "gcm-ca.key"
CERTIFICATE = "gcm.pem"
KEY = "gcm.key"
_AUTHORITY_LIFE = timedelta(days=3650)
_LIFE = timedelta(days=397)
_RENEW = timedelta(days=30)
_EVERY_ADDRESS = [x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0"))]


class _Pair:
    """A certificate and its key, in two files."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self.key = key

    def lasts(self, now: datetime) -> bool:
        """Whether it need not be renewed yet."""
        return self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc - _RENEW


class OwnCertificate(Certificate):
    """A certificate that we make ourselves, and make anew in time."""

    def __init__(self, folder: Path, names: Sequence[str], clock: Clock) -> None:
        """For these host names and addresses. Raises ConfigurationError: it cannot be kept in the folder."""
        self._ensure = partial(ensure_certificate, folder, names)
        try:
            super().__init__(*self._ensure(clock.now()), clock)
        except OSError as error:
            words = f"the certificate for --gcm cannot be kept there ({error}); CLARION_TLS_CERT takes one"
            raise ConfigurationError(f"CLARION_DATA: {words}") from error

    async def renew(self) -> None:
        """Make it anew if it is time to. Who connects from now on gets the new one."""
        self._ensure(self._clock.now())
        await super().renew()


def ensure_certificate(folder: Path, names: Sequence[str], now: Millis) -> tuple[Path, Path]:
    """The files of a certificate for these host names and addresses, and of its key; made or renewed if need be."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(folder):
        _ensure(folder, list(dict.fromkeys(names)), now)
    return folder / CERTIFICATE, folder / KEY


def _ensure(folder: Path, names: Sequence[str], now: Millis) -> None:
    at = datetime.fromtimestamp(now / 1000, UTC)
    wanted = [_general_name(name) for name in names]
    authority = _load(folder / AUTHORITY, folder / AUTHORITY_KEY)
    if authority is None or not authority.lasts(at) or _permitted(authority.certificate) != set(wanted):
        authority = _make_authority(wanted, at)
        _save(authority, folder / AUTHORITY, folder / AUTHORITY_KEY)
        log.warning("gcm_authority_made", trust=str(folder / AUTHORITY), names=names)
    served = _load(folder / CERTIFICATE, folder / KEY)
    if served is None or not served.lasts(at) or not _signed_by(served.certificate, authority.certificate):
        served = _make_served(wanted, at, authority)
        _save(served, folder / CERTIFICATE, folder / KEY)
        log.info("gcm_certificate_made", until=served.certificate.not_valid_after_utc.isoformat())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Processes that share the folder do it one after the other, so that all serve what one authority signed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_authority(names: Sequence[x509.GeneralName], at: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Clarion push service of {names[0].value}")])
    has_address = any(isinstance(name, x509.IPAddress) for name in names)
    constraints = x509.NameConstraints(
        [_subtree(name) for name in names], None if has_address else list(_EVERY_ADDRESS)
    )
    signs = x509.KeyUsage(
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
    certificate = (
        _builder(called, called, key, at, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .add_extension(constraints, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _make_served(names: Sequence[x509.GeneralName], at: datetime, authority: _Pair) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64])])
    certificate = (
        _builder(called, authority.certificate.subject, key, at, _LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, at: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))  # clocks of browsers differ
        .not_valid_after(at + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - ValueError, TypeError or InvalidSignature: in every case it is not
        return False
    return True


def _permitted(authority: x509.Certificate) -> set[x509.GeneralName]:
    """The names that an authority of ours may speak for."""
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    return {_without_mask(name) for name in constraints.permitted_subtrees or ()}


def _general_name(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.IPAddress(address) if address else x509.DNSName(name)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    with contextlib.suppress(ValueError):
        return ip_address(name)
    return None


def _subtree(name: x509.GeneralName) -> x509.GeneralName:
    return x509.IPAddress(ip_network(name.value)) if isinstance(name, x509.IPAddress) else name


def _without_mask(name: x509.GeneralName) -> x509.GeneralName:
    return _general_name(str(name.value).partition("/")[0])


def _load(certificate: Path, key: Path) -> _Pair | None:
    """What is there; None when one is missing or cannot be read."""
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or found.public_key() != loaded.public_key():
        return None
    return _Pair(found, loaded)


def _save(pair: _Pair, certificate: Path, key: Path) -> None:
    """The key first: a certificate without its key is made anew, with every browser's trust gone."""
    plain = serialization.NoEncryption()
    _write(key, pair.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    _write(certificate, pair.certificate.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, for nobody else to read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(data)
    draft.replace(path)
