"""Resealing: everything that is kept encrypted, sealed anew with the first secret key, so that an old one can go."""

from typing import NamedTuple

import msgspec

from clarion.crypto.sealing import SealBroken, Sealer
from clarion.journey.catalog import credential_context, identity_context
from clarion.model import Project
from clarion.ports import Store

_PEM = b"-----BEGIN"


class Resealed(NamedTuple):
    """How many secrets are under the first key now, and which cannot be opened by any."""

    sealed: int
    lost: list[str]


async def reseal(store: Store, sealer: Sealer) -> Resealed:
    """All credentials and identity secrets of all projects. What somebody replaces meanwhile is theirs."""
    count, lost = 0, []
    for project in await store.projects.all():
        for each in await store.projects.all_credentials(project.key):
            context = credential_context(project.id, each.kind, each.name)
            try:
                sealed = sealer.seal(sealer.open(each.sealed, context), context)
            except SealBroken:
                lost.append(f"{project.id}: {each.kind} {each.name}")
                continue
            changed = msgspec.structs.replace(each, sealed=sealed)
            count += await store.projects.replace_credential(changed, was=each.sealed)
        try:
            count += await _reseal_identity(store, sealer, project)
        except SealBroken:
            lost.append(f"{project.id}: identity secret")
    return Resealed(count, lost)


async def _reseal_identity(store: Store, sealer: Sealer, project: Project) -> bool:
    """A public key is kept as it is, and needs no seal."""
    if project.identity_key is None or project.identity_key.startswith(_PEM):
        return False
    context = identity_context(project.key)
    sealed = sealer.seal(sealer.open(project.identity_key, context), context)
    await store.projects.update(msgspec.structs.replace(project, identity_key=sealed))
    return True
