"""Settings and their defaults. Each is also an environment variable `CLARION_<NAME>` and a key of the TOML file."""

import tomllib
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from clarion.errors import ConfigurationError, FieldError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one process runs. Lists are comma-separated in the environment; booleans are on/off, true/false, 1/0."""

    data: Path = Path("clarion-data")
    """Folder of the embedded store, the key file and nothing else."""
    database_url: str | None = None
    """`postgresql://…`; without it SQLite in `data`."""
    nats_url: str | None = None
    """Reserved for the NATS transport; refused until it exists."""
    host: str = "127.0.0.1"
    port: int = 8700
    push_port: int = 8701
    public_url: str | None = None
    """How the world reaches the HTTP port; default `http://host:port`, with TLS `https://…`."""
    public_push_url: str | None = None
    """How devices reach the socket port; default `ws://host:push_port/`, with TLS `wss://…`."""
    public_endpoint_url: str | None = None
    """Where senders reach the push endpoint, when it is not `public_url`; VAPID `aud`."""
    secret_key: list[str] = []
    """The first signs and seals, all verify and open; empty: the key file in `data`."""
    cors_origins: list[str] = []
    """Origins that may call the SDK routes of every project, beside those that the project lists."""
    allow_private_endpoints: bool = False
    """Send to subscription endpoints in private networks and over plain http."""
    allow_plain_users: bool = False
    """Believe a plain user id in `Clarion-User`, in every project. For demos and trials only."""
    vapid_subject: str | None = None
    """Contact that push services see (RFC 8292), `mailto:…` or `https://…`; default: `public_url` if that is https."""
    apns_url: str | None = None
    """Where APNs is instead of Apple's own hosts, both environments: for a simulator or a proxy."""
    fcm_url: str | None = None
    """Where FCM is instead of Google's own host; then access tokens may come from there too."""
    provider_ca: Path | None = None
    """Authorities (PEM) by which services of others are known, instead of the system's."""
    rate_limits: bool = True
    trusted_proxies: list[str] = []
    """Addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    tls_cert: Path | None = None
    """Certificate chain in PEM, for both ports; taken up again when it is renewed."""
    tls_key: Path | None = None
    """Its private key in PEM, not encrypted."""
    push_message_limit: int = 150
    """Stored messages drained to one connection before the device is reset."""
    push_ping_interval: float = 300.0
    """Seconds between WebSocket pings to a silent device."""
    push_ping_timeout: float = 4.0
    """Seconds that a device has for the pong."""
    encryption_processes: int | None = None
    """That encrypt large batches of Web Push; default: one for each processor, at most 4, none if there is only one."""
    gcm: bool = False
    """Also serve unmodified Chromium, by the protocol of Google's push service."""
    gcm_port: int = 8702
    public_gcm_url: str | None = None
    """How Chromium reaches that port; default `https://host:gcm_port`."""
    log_level: str = "info"
    log_format: str = "console"

    @property
    def http_origin(self) -> str:
        """The origin under which links to the HTTP port are made, without a trailing slash."""
        return (self.public_url or f"{self._scheme('http')}://{self._host}:{self.port}").rstrip("/")

    @property
    def endpoint_origin(self) -> str:
        """The origin of push endpoints and the VAPID audience of our push service."""
        return (self.public_endpoint_url or self.http_origin).rstrip("/")

    @property
    def push_subject(self) -> str:
        """The VAPID subject. Apple refuses a subject that names localhost."""
        if self.vapid_subject is not None:
            return self.vapid_subject
        return self.http_origin if self.http_origin.startswith("https://") else "mailto:push@example.com"

    @property
    def push_url(self) -> str:
        """What a browser's `dom.push.serverURL` is set to."""
        return self.public_push_url or f"{self._scheme('ws')}://{self._host}:{self.push_port}/"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def _scheme(self, plain: str) -> str:
        return f"{plain}s" if self.tls_cert else plain

    @property
    def gcm_url(self) -> str:
        """Where Chromium's connection for messages goes."""
        return self.public_gcm_url or f"https://{self._host}:{self.gcm_port}"


NAMES = tuple(field.name for field in msgspec.structs.fields(Settings))
SHORTEST_KEY = 32
_LEVELS = {"debug", "info", "warning", "error"}
_TRUE = {"1", "true", "on", "yes"}
_FALSE = {"0", "false", "off", "no"}


def load(environ: Mapping[str, str], toml: Path | None = None, **flags: Any) -> Settings:
    """Settings from flags, else environment, else the TOML file (`clarion.toml` or `CLARION_CONFIG`), else defaults.

    Raises:
        ConfigurationError: names every setting that is unknown or wrong, and what it takes.
    """
    values: dict[str, Any] = {}
    problems: list[FieldError] = []
    if toml is not None:
        values |= _from_toml(toml, problems)
    for name in NAMES:
        text = environ.get(f"CLARION_{name.upper()}")
        if text is not None and text != "":
            values[name] = text
    values |= {name: value for name, value in flags.items() if value is not None}
    settings = _convert(values, problems)
    if problems or settings is None:
        words = "; ".join(f"{field}: {message}" for field, message in problems)
        raise ConfigurationError(words, errors=problems)
    return settings


def _from_toml(path: Path, problems: list[FieldError]) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(FieldError(str(path), f"cannot be read as TOML: {error}"))
        return {}
    problems += [FieldError(name, f"is not a setting ({path})") for name in values if name not in NAMES]
    return {name: value for name, value in values.items() if name in NAMES}


def _convert(values: dict[str, Any], problems: list[FieldError]) -> Settings | None:
    converted: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        if field.name not in values:
            continue
        try:
            converted[field.name] = _one(values[field.name], field.type)
        except (msgspec.ValidationError, ValueError) as error:
            problems.append(FieldError(f"CLARION_{field.name.upper()}", str(error)))
    if problems:
        return None
    settings = Settings(**converted)
    problems += _contradictions(settings)
    return settings


def _one(value: Any, type_: Any) -> Any:
    if isinstance(value, str):
        if type_ == list[str]:
            return [item.strip() for item in value.split(",") if item.strip()]
        if type_ is bool:
            return _boolean(value)
        if type_ in (int, int | None) and not (value.isascii() and value.strip().isdecimal()):
            raise ValueError("takes a whole number")
        if type_ is float:
            return _number(value)
    if isinstance(value, Path):
        return value
    return msgspec.convert(value, type_, strict=False, dec_hook=lambda kind, raw: kind(raw))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("takes a number") from None


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError("takes on or off")


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _url_of(*schemes: str) -> Callable[[Any], bool]:
    """Whether a URL has one of the schemes and a host, and a port that can be if it has one."""

    def good(url: str) -> bool:
        try:
            parts = urlsplit(url)
            valid_port = parts.port != 0
        except ValueError:
            return False
        return parts.scheme in schemes and bool(parts.hostname) and valid_port and "@" not in parts.netloc

    return good


def _origin_of(*schemes: str) -> Callable[[Any], bool]:
    """The same, with nothing after them but a slash."""

    def good(url: str) -> bool:
        if not _url_of(*schemes)(url):
            return False
        parts = urlsplit(url)
        return not (parts.path.strip("/") + parts.query + parts.fragment)

    return good


def _cors_origin(origin: str) -> bool:
    # As browsers send it, or it never matches.
    return origin == "*" or (_origin_of("http", "https")(origin) and not origin.endswith("/") and origin.islower())


_HTTP_ORIGIN = "takes http:// or https://, a host, a port if any, and nothing after"
DAY_S = 86_400
_SECONDS = f"takes seconds, more than 0 and at most {DAY_S}"
_PORTS = range(1, 65_536)
_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "port": (_PORTS.__contains__, "takes a number from 1 to 65535"),
    "push_port": (_PORTS.__contains__, "takes a number from 1 to 65535"),
    "public_url": (_origin_of("http", "https"), _HTTP_ORIGIN),
    "public_endpoint_url": (_origin_of("http", "https"), _HTTP_ORIGIN),
    "gcm_port": (_PORTS.__contains__, "takes a number from 1 to 65535"),
    "public_gcm_url": (_origin_of("https"), "takes https://, a host, a port if any, and nothing after"),
    "public_push_url": (_url_of("ws", "wss"), "takes ws:// or wss://, a host, a port if any"),
    "cors_origins": (lambda origins: all(map(_cors_origin, origins)), f"{_HTTP_ORIGIN}; or *"),
    "apns_url": (_origin_of("https"), "takes https://, a host, a port if any, and nothing after"),
    "fcm_url": (_origin_of("https"), "takes https://, a host, a port if any, and nothing after"),
    "provider_ca": (Path.is_file, "takes a file"),
    "tls_cert": (Path.is_file, "takes a file"),
    "tls_key": (Path.is_file, "takes a file"),
    "push_message_limit": (lambda limit: limit > 0, "takes 1 or more"),
    "push_ping_interval": (lambda seconds: 0 < seconds <= DAY_S, _SECONDS),
    "push_ping_timeout": (lambda seconds: 0 < seconds <= DAY_S, _SECONDS),
    "database_url": (
        lambda url: url.startswith(("postgresql://", "postgres://")),
        "takes postgresql://user@host/database",
    ),
    "nats_url": (lambda _: False, "this version has no NATS transport; PostgreSQL alone joins processes"),
    "vapid_subject": (lambda subject: subject.startswith(("mailto:", "https://")), "takes mailto:… or https://…"),
    "encryption_processes": (range(65).__contains__, "takes a number from 0, for none, to 64"),
    "log_format": ({"console", "json"}.__contains__, "takes console or json"),
    "log_level": (lambda level: level.lower() in _LEVELS, "takes debug, info, warning or error"),
    "secret_key": (lambda keys: all(len(key) >= SHORTEST_KEY for key in keys), "each key needs at least 32 characters"),
}
"""What a value looks like when it is given, and the words for one that does not."""


def _contradictions(settings: Settings) -> list[FieldError]:
    found = [
        FieldError(f"CLARION_{name.upper()}", words)
        for name, (good, words) in _FORMS.items()
        if (value := getattr(settings, name)) is not None and not good(value)
    ]
    if bool(settings.tls_cert) != bool(settings.tls_key):
        found.append(FieldError("CLARION_TLS_KEY", "certificate and key go together"))
    if settings.port == settings.push_port:
        found.append(FieldError("CLARION_PUSH_PORT", "takes another port than CLARION_PORT"))
    if settings.gcm and settings.gcm_port in {settings.port, settings.push_port}:
        found.append(FieldError("CLARION_GCM_PORT", "takes another port than CLARION_PORT and CLARION_PUSH_PORT"))
    found += [
        FieldError("CLARION_TRUSTED_PROXIES", f"{proxy} is neither an address nor a network such as 10.0.0.0/8")
        for proxy in settings.trusted_proxies
        if not _is_network(proxy)
    ]
    return found
