"""What somebody asked of the agent: which server, for whom, and where it keeps what it must not forget."""

from pathlib import Path

import msgspec

from clarion.errors import ConfigurationError, FieldError

_SCHEMES = ("http://", "https://")
_SOCKETS = ("ws://", "wss://")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`user` is a plain user id, `token` a signed user token; without both the device is anonymous."""

    server: str
    key: str
    user: str | None = None
    token: str | None = None
    push_url: str | None = None
    """The push service, when it is not the one that the server names."""
    state: Path

    @property
    def origin(self) -> str:
        """The server's address without a trailing slash."""
        return self.server.rstrip("/")


def check(options: Options) -> Options:
    """The same, when it makes sense. Raises ConfigurationError, which names each flag that is wrong."""
    found = []
    if not options.server.startswith(_SCHEMES):
        found.append(FieldError("--server", f"takes http://host:port or https://host, not {options.server}"))
    if options.key.startswith("sk_"):
        found.append(FieldError("--key", "this is a server key, a secret that no desktop may hold; give a pk_… one"))
    elif not options.key.startswith("pk_"):
        found.append(FieldError("--key", "takes the project's public key, which begins with pk_"))
    if options.user is not None and options.token is not None:
        found.append(FieldError("--token", "says who the user is, and so does --user; give one of them"))
    if options.user == "":
        found.append(FieldError("--user", "takes a user id; leave it out for an anonymous device"))
    # What a header can carry: the rest would only fail later, and in the words of an HTTP client.
    named = {"--user": options.user, "--token": options.token, "--key": options.key}
    found += [FieldError(flag, "must not contain control characters") for flag, told in named.items() if _odd(told)]
    if options.push_url is not None and not options.push_url.startswith(_SOCKETS):
        found.append(FieldError("--push-url", f"takes ws://host:port/ or wss://host/, not {options.push_url}"))
    if found:
        raise ConfigurationError("; ".join(f"{field}: {message}" for field, message in found), errors=found)
    return options


def _odd(text: str | None) -> bool:
    return text is not None and not text.isprintable()
