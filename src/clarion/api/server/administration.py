"""The project itself and its keys."""

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api.answers.project import KeyAnswer, KeyList, NewKeyAnswer, ProjectAnswer
from clarion.api.auth import ALL, may
from clarion.api.door import server
from clarion.api.fields import check_zone
from clarion.api.framework import FromCaller, FromServices, IdInPath
from clarion.api.identity import SIGNED, identity_key
from clarion.api.problems import not_found
from clarion.api.schemas import KeyPost, ProjectPut
from clarion.errors import Forbidden, InvalidRequest
from clarion.journey.founding import add_key
from clarion.model import ApiKey, Project, ProjectSettings


@get("/v1/project", **server("read"))
async def get_project(caller: FromCaller) -> ProjectAnswer:
    """Read the project."""
    return ProjectAnswer.of(caller.project)


@put("/v1/project", **server("admin"))
async def put_project(services: FromServices, caller: FromCaller, data: JSONBody[ProjectPut]) -> ProjectAnswer:
    """Replace what is given."""
    check_zone(data.default_timezone, "default_timezone")
    project = await services.store.projects.get(caller.project.key) or not_found()
    told = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not None}
    settings = {name: value for name, value in told.items() if name in ProjectSettings.__struct_fields__}
    project = msgspec.structs.replace(
        project,
        name=told.get("name", project.name),
        settings=msgspec.structs.replace(project.settings, **settings),
        identity_key=(
            project.identity_key
            if data.identity_secret is None
            else identity_key(project.key, data.identity_secret, services.sealer)
        ),
    )
    _check(project)
    await services.store.projects.update(project)
    await services.catalog.changed()
    return ProjectAnswer.of(project)


@get("/v1/keys", **server("admin"))
async def list_keys(services: FromServices, caller: FromCaller) -> KeyList:
    """All keys, revoked ones too."""
    keys = await services.store.projects.keys(caller.project.key)
    return KeyList(items=[KeyAnswer.of(key) for key in keys])


@post("/v1/keys", **server("admin", creates=True))
async def create_key(services: FromServices, caller: FromCaller, data: JSONBody[KeyPost]) -> NewKeyAnswer:
    """Make a key. Its text is in this answer and never shown again; no key gives what it does not have."""
    key, text = await add_key(
        services.store,
        services.chance,
        caller.project,
        services.clock.now(),
        kind=data.kind,
        name=data.name or data.kind,
        scopes=_scopes(caller.key, data),
    )
    return NewKeyAnswer(**msgspec.structs.asdict(KeyAnswer.of(key)), key=text)


@delete("/v1/keys/{key_id:str}", **server("admin"))
async def revoke_key(services: FromServices, caller: FromCaller, key_id: IdInPath) -> None:
    """Revoke a key at once, and for good."""
    if not await services.store.projects.revoke_key(caller.project.key, key_id, services.clock.now()):
        not_found()
    await services.catalog.changed()


def _scopes(giver: ApiKey, data: KeyPost) -> list[str]:
    if data.kind == "public":
        if data.scopes is not None:
            raise InvalidRequest.field("scopes", "are for server keys; leave them out")
        return [ALL]
    wanted: list[str] = list(dict.fromkeys(giver.scopes if data.scopes is None else data.scopes))
    beyond = [scope for scope in wanted if not may(giver, scope)]
    if beyond:
        raise Forbidden(f"this key cannot give {', '.join(beyond)}, which it does not have itself")
    return wanted


def _check(project: Project) -> None:
    if project.settings.identity == SIGNED and project.identity_key is None:
        raise InvalidRequest.field("identity_secret", "is required while identity is token")


ADMINISTRATION = (
    get_project,
    put_project,
    list_keys,
    create_key,
    revoke_key,
)
