"""What lets us send through services of others: uploaded once, kept encrypted, never shown again."""

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api.answers.credentials import CredentialAnswer, CredentialList
from clarion.api.credentials import (
    AnyCredential,
    ApnsCredential,
    WebPushCredential,
    apns_secret,
    fcm_secret,
    web_push_pair,
)
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.problems import not_found
from clarion.api.services import Services
from clarion.errors import Conflict, InvalidRequest, Unavailable
from clarion.journey.catalog import credential_context
from clarion.model import Credential, DeviceKind, Project
from clarion.ports import BadCredentials

_AGAIN_S = 5


@get("/v1/credentials", **server("admin"))
async def list_credentials(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> CredentialList:
    """Credentials by name, without their secrets."""
    every = await services.store.projects.all_credentials(caller.project.key)
    rest = [each for each in every if cursor is None or each.name > cursor]
    project = await _project(services, caller.project)
    return CredentialList(
        items=[CredentialAnswer.of(each, project, services.sealer) for each in rest[:limit]],
        next_cursor=rest[limit - 1].name if len(rest) > limit else None,
    )


@post("/v1/credentials", **server("admin", creates=True))
async def create_credential(
    services: FromServices, caller: FromCaller, data: JSONBody[AnyCredential]
) -> CredentialAnswer:
    """Upload a credential. It is checked, stored encrypted, and never shown again. What waits for one is sent."""
    name, secret = _secret(services, data)
    await _asked(services, data, secret)
    made = _sealed(services, caller.project, data, name, secret)
    if not await services.store.projects.add_credential(made):
        raise Conflict.field("name", f"there is a credential called {name} already; PUT replaces it")
    return await _finished(services, caller.project, data, made)


@get("/v1/credentials/{name:str}", **server("admin"))
async def get_credential(services: FromServices, caller: FromCaller, name: NameInPath) -> CredentialAnswer:
    """Read a credential, without its secret."""
    found = await _find(services, caller.project, name)
    return CredentialAnswer.of(found, await _project(services, caller.project), services.sealer)


@put("/v1/credentials/{name:str}", **server("admin"))
async def replace_credential(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[AnyCredential]
) -> CredentialAnswer:
    """Replace a credential's secret and rate; what the old one was refused for is sent with it.

    A Web Push key stays what it is: `current` says whether new subscriptions use it.
    """
    known = await _find(services, caller.project, name)
    if _kind(data) is not known.kind:
        raise InvalidRequest.field("kind", f"must be {known.kind}, as it is; a kind cannot be changed")
    if data.name not in (None, name):
        raise InvalidRequest.field("name", f"must be {name}, as in the path; a name cannot be changed")
    if isinstance(data, WebPushCredential):
        if data.private_key is not None and web_push_pair(data).public_text != name:
            raise InvalidRequest.field("private_key", "must be the key of this name; POST adds another one")
        changed = msgspec.structs.replace(known, rate=data.rate)
        if not await services.store.projects.replace_credential(changed):
            not_found()
        return await _finished(services, caller.project, data, changed)
    _, secret = _secret(services, data, name)
    await _asked(services, data, secret)
    changed = _sealed(services, caller.project, data, name, secret)
    if not await services.store.projects.replace_credential(changed):
        not_found()
    return await _finished(services, caller.project, data, await _find(services, caller.project, name))


@delete("/v1/credentials/{name:str}", **server("admin"))
async def delete_credential(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a credential. What is for devices that only it can reach waits for another one, until it expires."""
    known = await _find(services, caller.project, name)
    if name == (await _project(services, caller.project)).vapid_public_key:
        raise Conflict("new subscriptions are made with this key: make another one current first")
    if not await services.store.projects.delete_credential(caller.project.key, known.kind, name):
        not_found()
    await services.catalog.changed()


# --- what they share -------------------------------------------------------------------------------------------------


def _kind(data: AnyCredential) -> DeviceKind:
    return DeviceKind(str(data.__struct_config__.tag))


def _secret(services: Services, data: AnyCredential, name: str | None = None) -> tuple[str, bytes]:
    """Its name and what is sealed. Raises InvalidRequest naming the fields."""
    now = services.clock.now()
    if isinstance(data, WebPushCredential):
        pair = web_push_pair(data)
        if data.name not in (None, pair.public_text):
            raise InvalidRequest.field("name", "a Web Push key has its public key as its name; leave it out")
        return pair.public_text, pair.private
    name = name or data.name
    if name is None:
        raise InvalidRequest.field("name", "is required")
    if isinstance(data, ApnsCredential):
        return name, apns_secret(data, now).sealed_form()
    return name, fcm_secret(data, now, services.settings.fcm_url).sealed_form()


async def _asked(services: Services, data: AnyCredential, secret: bytes) -> None:
    """What the service says, if the caller wants it asked. Raises InvalidRequest or Unavailable."""
    if not data.check:
        return
    refused = await services.pipeline.check_credential(_kind(data), secret)
    if isinstance(refused, BadCredentials):
        raise InvalidRequest.field("check", f"the service does not take it: {refused.detail}")
    if refused is not None:
        raise Unavailable(f"check: the service cannot be asked now: {refused.detail}", retry_after=_AGAIN_S)


def _sealed(services: Services, project: Project, data: AnyCredential, name: str, secret: bytes) -> Credential:
    kind = _kind(data)
    return Credential(
        project=project.key,
        kind=kind,
        name=name,
        sealed=services.sealer.seal(secret, credential_context(project.id, kind, name)),
        created_at=services.clock.now(),
        rate=data.rate,
    )


async def _finished(
    services: Services, project: Project, data: AnyCredential, credential: Credential
) -> CredentialAnswer:
    if isinstance(data, WebPushCredential) and data.current:
        await services.store.projects.use_web_push_key(project.key, credential.name)
    await services.pipeline.credential_changed(project, credential.kind)
    return CredentialAnswer.of(credential, await _project(services, project), services.sealer)


async def _project(services: Services, project: Project) -> Project:
    """As it is now: which Web Push key is current may have changed a moment ago."""
    return await services.store.projects.get(project.key) or not_found()


async def _find(services: Services, project: Project, name: str) -> Credential:
    every = await services.store.projects.all_credentials(project.key)
    return next((each for each in every if each.name == name), None) or not_found()


CREDENTIALS = (
    list_credentials,
    create_credential,
    get_credential,
    replace_credential,
    delete_credential,
)
"""By their names, which are unique over all kinds."""
