"""The certificate of both ports: checked at start, and taken up again when its files are renewed."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog
from cryptography import x509
from prometheus_client import Gauge

from clarion.errors import ConfigurationError, FieldError
from clarion.ports import Clock

log = structlog.get_logger(__name__)

EXPIRES: Final = Gauge(
    "clarion_tls_certificate_expires_seconds", "When the certificate of both ports expires, as Unix time", ["file"]
)
HANDSHAKE_S = 10.0
"""How long a peer may take for its part of the handshake."""
_GOODBYE_S = 2.0  # for the peer's half of the closing; uvloop would give it thirty seconds
# Of TLS 1.2, those with forward secrecy and authenticated encryption; all of TLS 1.3 are like that.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
# What OpenSSL calls a key that belongs to another certificate: of the same kind, or of another.
_FOREIGN_KEY = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
_CERT, _KEY = "CLARION_TLS_CERT", "CLARION_TLS_KEY"

_Looks = tuple[tuple[int, int, int] | None, ...]


class Certificate:
    """A certificate chain and its key, in PEM, and how to listen with them.

    A handshake that begins after a renewal gets the new certificate; connections that are open do not notice. Each pair
    is loaded into a context of its own, which a handshake is moved to as soon as the peer has said hello: a context
    that holds a key of one kind keeps it beside one of another kind, and one that was given half a pair holds nothing.
    """

    def __init__(self, cert: Path, key: Path, clock: Clock, *, handshake_s: float = HANDSHAKE_S) -> None:
        """Raises ConfigurationError: a file cannot be read, is no PEM, is encrypted, or they are no pair."""
        self._cert, self._key = cert, key
        self._clock = clock
        self._seen = self._look()
        self._current = self._load()
        self._listening = _context()
        self._listening.sni_callback = self._choose
        self._handshake_s = handshake_s

    def listening(self) -> dict[str, Any]:
        """What `loop.create_server` takes to listen with this certificate."""
        return {
            "ssl": self._listening,
            "ssl_handshake_timeout": self._handshake_s,
            "ssl_shutdown_timeout": _GOODBYE_S,
        }

    async def renew(self) -> None:
        """Take up files that changed since they were last looked at. What is no pair is told once, and not served."""
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._current = self._load()
        except ConfigurationError as error:
            log.warning("certificate_refused", reason=error.detail, served="the one before")
        else:
            log.info("certificate_renewed", file=str(self._cert))

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _listening: ssl.SSLContext) -> None:
        # OpenSSL asks for every handshake, whether the peer named a server or not.
        handshake.context = self._current

    def _look(self) -> _Looks:
        """What changes when a file does; links are followed."""
        return tuple(_look(path) for path in (self._cert, self._key))

    def _load(self) -> ssl.SSLContext:
        leaf = _leaf(self._cert)
        context = _context()
        try:
            context.load_cert_chain(self._cert, self._key, password=_refuse_encrypted(self._key))
        except ssl.SSLError as error:
            raise _wrong(_KEY, self._why(error)) from None
        except OSError as error:
            raise _wrong(_KEY, f"{self._key} cannot be read: {error.strerror}") from None
        EXPIRES.labels(str(self._cert)).set(leaf.not_valid_after_utc.timestamp())
        self._warn(leaf)
        return context

    def _why(self, error: ssl.SSLError) -> str:
        if error.reason in _FOREIGN_KEY:
            return f"{self._key} is the key of another certificate than the first in {self._cert}"
        if error.reason:
            return f"OpenSSL refuses {self._cert} with {self._key}: {error.reason.lower().replace('_', ' ')}"
        return f"{self._key} is not a private key in PEM"

    def _warn(self, leaf: x509.Certificate) -> None:
        now = datetime.fromtimestamp(self._clock.now() / 1000, UTC)
        if leaf.not_valid_after_utc <= now:
            log.warning("certificate_expired", file=str(self._cert), at=leaf.not_valid_after_utc.isoformat())
        elif leaf.not_valid_before_utc > now:
            log.warning("certificate_not_yet_valid", file=str(self._cert), at=leaf.not_valid_before_utc.isoformat())


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


def _leaf(path: Path) -> x509.Certificate:
    """The server's own certificate, which is the first of the chain."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise _wrong(_CERT, f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise _wrong(_CERT, f"{path} is not a certificate chain in PEM") from None


def _refuse_encrypted(path: Path) -> Callable[[], str]:
    """Called by OpenSSL for the password; without this it would ask at the terminal."""

    def refuse() -> NoReturn:
        raise _wrong(_KEY, f"{path} is encrypted; it must be a key without a password, readable by this user alone")

    return refuse


def _wrong(setting: str, message: str) -> ConfigurationError:
    return ConfigurationError(f"{setting}: {message}", errors=[FieldError(setting, message)])
