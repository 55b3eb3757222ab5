"""The project itself and its keys."""

from collections.abc import Iterable, Sequence

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api import messages
from clarion.api.answers.project import KeyAnswer, KeyList, NewKeyAnswer, ProjectAnswer
from clarion.api.auth import ALL
from clarion.api.door import server
from clarion.api.fields import check_zone
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, IdInPath, Limit
from clarion.api.identity import SIGNED, identity_key
from clarion.api.problems import not_found
from clarion.api.quiet import quiet_hours
from clarion.api.schemas import KeyPost, KeyPut, ProjectPut
from clarion.api.services import Services
from clarion.errors import Conflict, FieldError, Forbidden, InvalidRequest
from clarion.journey.founding import add_key
from clarion.journey.rules import check_caps
from clarion.journey.texts import honesty
from clarion.model import ApiKey, Cap, Project, ProjectSettings, QuietHours
from clarion.ports import Page


@get("/v1/project", **server("read"))
async def get_project(caller: FromCaller) -> ProjectAnswer:
    """Read the project."""
    return ProjectAnswer.of(caller.project)


@put("/v1/project", **server("admin"))
async def put_project(services: FromServices, caller: FromCaller, data: JSONBody[ProjectPut]) -> ProjectAnswer:
    """Replace what is given."""
    check_zone(data.default_timezone, "default_timezone")
    _check_rules(data.lint or {})
    project = await services.store.projects.get(caller.project.key) or not_found()
    told = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not None}
    if data.caps is not None:
        told["caps"] = messages.caps(data.caps)
        await _check_caps(services, caller.project, told["caps"])
    settings = {name: value for name, value in told.items() if name in ProjectSettings.__struct_fields__}
    settings["quiet_hours"] = _quiet_hours(data, project.settings)
    settings["event_days"] = project.settings.event_days if data.event_days is msgspec.UNSET else data.event_days
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
async def list_keys(services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE) -> KeyList:
    """All keys, oldest first, revoked ones too."""
    page = _page(await services.store.projects.keys(caller.project.key), cursor, limit)
    return KeyList(items=[KeyAnswer.of(key) for key in page.items], next_cursor=page.next_cursor)


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
        scopes=_scopes(caller.key, data.kind, data.scopes),
    )
    return NewKeyAnswer(**msgspec.structs.asdict(KeyAnswer.of(key)), key=text)


@get("/v1/keys/{key_id:str}", **server("admin"))
async def get_key(services: FromServices, caller: FromCaller, key_id: IdInPath) -> KeyAnswer:
    """Read a key; its text is never shown again."""
    return KeyAnswer.of(await _key(services, caller.project, key_id))


@put("/v1/keys/{key_id:str}", **server("admin"))
async def replace_key(
    services: FromServices, caller: FromCaller, key_id: IdInPath, data: JSONBody[KeyPut]
) -> KeyAnswer:
    """Replace what is given; the key's text stays. No key gives what it does not have."""
    key = await _key(services, caller.project, key_id)
    scopes = key.scopes if data.scopes is None else _scopes(caller.key, key.kind, data.scopes)
    changed = await services.store.projects.change_key(caller.project.key, key_id, data.name or key.name, scopes)
    if changed is None:
        raise Conflict("this key was revoked, for good")
    await services.catalog.changed()
    return KeyAnswer.of(changed)


@delete("/v1/keys/{key_id:str}", **server("admin"))
async def revoke_key(services: FromServices, caller: FromCaller, key_id: IdInPath) -> None:
    """Revoke a key at once, and for good."""
    if not await services.store.projects.revoke_key(caller.project.key, key_id, services.clock.now()):
        not_found()
    await services.catalog.changed()


def _page(keys: Sequence[ApiKey], cursor: str | None, limit: int) -> Page[ApiKey]:
    """The keys after that one whose id is the cursor; they are few and never go away."""
    ids = [key.id for key in keys]
    if cursor is not None and cursor not in ids:
        raise InvalidRequest.field("cursor", "takes the next_cursor of the page before")
    start = 0 if cursor is None else ids.index(cursor) + 1
    shown = list(keys[start : start + limit])
    return Page(items=shown, next_cursor=shown[-1].id if start + limit < len(keys) else None)


async def _key(services: Services, project: Project, id: str) -> ApiKey:
    keys = await services.store.projects.keys(project.key)
    return next((key for key in keys if key.id == id), None) or not_found()


def _scopes(giver: ApiKey, kind: str, asked: Sequence[str] | None) -> list[str]:
    """What a key of this kind is allowed. Raises Forbidden for more than the giver has."""
    if kind == "public":
        if asked is not None:
            raise InvalidRequest.field("scopes", "are for server keys; leave them out")
        return [ALL]
    wanted = list(dict.fromkeys(giver.scopes if asked is None else asked))
    beyond = [scope for scope in wanted if not giver.may(scope)]
    if beyond:
        raise Forbidden(f"this key cannot give {', '.join(beyond)}, which it does not have itself")
    return wanted


async def _check_caps(services: Services, project: Project, caps: Sequence[Cap]) -> None:
    problems = check_caps(caps, await services.catalog.categories(project.key))
    if problems:
        raise InvalidRequest("; ".join(f"{name}: {words}" for name, words in problems), errors=problems)


def _check_rules(told: Iterable[str]) -> None:
    wrong = [FieldError(f"lint.{name}", words) for name in told if (words := honesty.unknown(name)) is not None]
    if wrong:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in wrong), errors=wrong)


def _quiet_hours(data: ProjectPut, settings: ProjectSettings) -> QuietHours | None:
    """Left out they stay, null ends them."""
    if data.quiet_hours is msgspec.UNSET:
        return settings.quiet_hours
    return None if data.quiet_hours is None else quiet_hours(data.quiet_hours)


def _check(project: Project) -> None:
    if project.settings.identity == SIGNED and project.identity_key is None:
        raise InvalidRequest.field("identity_secret", "is required while identity is token")


ADMINISTRATION = (
    get_project,
    put_project,
    list_keys,
    create_key,
    get_key,
    replace_key,
    revoke_key,
)
