"""Founding: a project begins, with a Web Push key pair of its own, a category, and the two keys that callers use."""

import re
from typing import NamedTuple

from clarion.crypto.keys import key_hash, new_key
from clarion.crypto.p256 import KeyPair
from clarion.crypto.sealing import Sealer
from clarion.errors import InvalidRequest
from clarion.journey.catalog import credential_context
from clarion.model import ApiKey, Credential, DeviceKind, Millis, Project, ProjectSettings
from clarion.ports import Chance, Store

ALL_SCOPES = ["*"]


class Founded(NamedTuple):
    """A new project and its keys in full, which are never shown again."""

    project: Project
    server_key: str
    public_key: str


async def found(
    store: Store,
    sealer: Sealer,
    chance: Chance,
    now: Millis,
    name: str,
    *,
    id: str | None = None,
    settings: ProjectSettings | None = None,
) -> Founded:
    """A new project; its id is made from its name unless given. Raises InvalidRequest for a name without words."""
    if not name.strip():
        raise InvalidRequest.field("name", "needs at least one character")
    id = id or f"{_slug(name)}-{chance.token(4).hex()}"
    pair = KeyPair.generate()
    vapid = Credential(
        project=0,
        kind=DeviceKind.WEBPUSH,
        name=pair.public_text,
        sealed=sealer.seal(pair.private, credential_context(id, DeviceKind.WEBPUSH, pair.public_text)),
        created_at=now,
    )
    project = await store.projects.create(id, name.strip(), settings or ProjectSettings(), vapid, now)
    server_key = await add_key(store, chance, project, now, kind="server", name="first server key")
    public_key = await add_key(store, chance, project, now, kind="public", name="first public key")
    return Founded(project, server_key[1], public_key[1])


async def add_key(
    store: Store,
    chance: Chance,
    project: Project,
    now: Millis,
    *,
    kind: str,
    name: str,
    scopes: list[str] | None = None,
) -> tuple[ApiKey, str]:
    """A new key as stored, and its text, which is never shown again. `kind`: server or public."""
    text = new_key("pk" if kind == "public" else "sk")
    key = ApiKey(
        key=0,
        id=chance.token(8).hex(),
        project=project.key,
        kind=kind,
        name=name,
        scopes=ALL_SCOPES if scopes is None else scopes,
        hint=text[-4:],
        created_at=now,
    )
    return await store.projects.add_key(key, key_hash(text)), text


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "project"
