"""Whose key it is, and what that key may do."""

from typing import Literal, NamedTuple

from clarion.errors import Forbidden, Unauthenticated
from clarion.journey.catalog import Catalog
from clarion.model import ApiKey, Project

KeyKind = Literal["server", "public"]
KeyScope = Literal["read", "send", "write", "admin"]
SCOPES: dict[KeyScope, str] = {
    "read": "see everything of the project except its keys",
    "send": "events and notifications",
    "write": "people, devices, consents, categories, templates and automations",
    "admin": "the project and its keys",
}
"""What a server key may be allowed; `*` is all of it."""

ALL = "*"
_MISSING = "send the header Authorization: Bearer and a key (sk_… for servers, pk_… for SDKs)"


class Caller(NamedTuple):
    """A project, and the key that speaks for it."""

    project: Project
    key: ApiKey


async def authenticate(catalog: Catalog, authorization: bytes | None) -> Caller:
    """The caller behind an `Authorization` header. A key is looked up by its hash, so that timing tells nothing.

    Raises:
        Unauthenticated: no key, or none that is good.
    """
    if authorization is None:
        raise Unauthenticated(_MISSING)
    scheme, _, text = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        raise Unauthenticated(_MISSING)
    found = await catalog.by_key_text(text.strip().decode("latin-1"))
    if found is None:
        raise Unauthenticated("the key is not known, or it was revoked")
    return Caller(*found)


def allow(caller: Caller, kind: KeyKind, scope: KeyScope | None) -> None:
    """Raises Forbidden when the key is of the other kind or lacks the scope."""
    if caller.key.kind != kind:
        raise Forbidden(
            "this path needs a server key (sk_…); a public key is for SDKs"
            if kind == "server"
            else "this path is for SDKs and needs a public key (pk_…); a server key must never leave the server"
        )
    if scope is not None and not caller.key.may(scope):
        raise Forbidden(f"this key lacks the scope {scope}: {SCOPES[scope]}")
