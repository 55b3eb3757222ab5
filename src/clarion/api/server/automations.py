"""Automations: listed, made, read, replaced, deleted; their runs begun, shown, counted and cancelled."""

from typing import Annotated

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody, QueryParameter

from clarion.api import automations
from clarion.api.answers.automations import Begun, Cancelled, CountsAnswer, RunAnswer, RunList, SecretAnswer
from clarion.api.answers.project import AutomationList
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.http import MIB
from clarion.api.problems import not_found
from clarion.api.schemas.automations import AutomationPost, AutomationPut, CancelRunsBody, RunBody, RunsBody
from clarion.api.server import defined
from clarion.api.services import Services
from clarion.errors import Conflict
from clarion.journey.automations import kept_automations
from clarion.journey.automations.flow import Flow
from clarion.journey.automations.kept_automations import AUTOMATIONS
from clarion.model import Automation, Project
from clarion.ports import Begin

_LIMIT = 4 * MIB
OfUser = Annotated[str | None, QueryParameter(min_length=1, max_length=255, description="Of this user only.")]
OfKey = Annotated[str | None, QueryParameter(max_length=255, description="Under this key only.")]


@get("/v1/automations", **server("read"))
async def list_automations(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> AutomationList:
    """Automations by name."""
    page = await defined.page(services, caller.project, AUTOMATIONS, cursor, limit)
    return AutomationList(items=msgspec.convert(page.items, list[Automation]), next_cursor=page.next_cursor)


@post("/v1/automations", **server("write", creates=True))
async def create_automation(services: FromServices, caller: FromCaller, data: JSONBody[AutomationPost]) -> Automation:
    """Define an automation: from now on its event becomes a notification, or its starts become runs."""
    project, noun = caller.project, automations.automation(data, data.name)
    await automations.check(services, project, noun)
    if await services.store.definitions.get(project.key, AUTOMATIONS, noun.name) is not None:
        raise Conflict(f"name: there is one called {noun.name} already; PUT replaces it")
    kept = await _kept(services, project, noun, None)
    made = await defined.create(services, project, AUTOMATIONS, kept.name, kept)
    await services.pipeline.automation_changed(project, made)
    return made


@get("/v1/automations/{name:str}", **server("read"))
async def get_automation(services: FromServices, caller: FromCaller, name: NameInPath) -> Automation:
    """Read an automation."""
    return await _found(services, caller.project, name)


@put("/v1/automations/{name:str}", **server("write"))
async def replace_automation(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[AutomationPut]
) -> Automation:
    """Replace an automation as a whole. Runs that are under way finish on the version that they began with."""
    project, noun = caller.project, automations.automation(data, defined.same_name(name, data.name))
    before = await _found(services, project, name)
    await automations.check(services, project, noun)
    kept = await _kept(services, project, noun, before)
    made = await defined.replace(services, project, AUTOMATIONS, name, kept)
    if kept.version != before.version:
        await services.pipeline.automation_changed(project, made)
    return made


@delete("/v1/automations/{name:str}", **server("write"))
async def delete_automation(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete an automation. Its runs end."""
    await defined.remove(services, caller.project, AUTOMATIONS, name)
    await services.store.runs.cancel(caller.project.key, name, None, None, services.clock.now())


@get("/v1/automations/{name:str}/runs", **server("read"))
async def list_runs(
    services: FromServices,
    caller: FromCaller,
    name: NameInPath,
    user_id: OfUser = None,
    key: OfKey = None,
    cursor: Cursor = None,
    limit: Limit = PAGE,
) -> RunList:
    """Its runs, those that ended too, oldest first; of a user, or under a key."""
    project = caller.project
    await _found(services, project, name)
    user = None
    if user_id is not None:
        user = (await services.store.users.resolve(project.key, [user_id], 0, create=False)).get(user_id)
        if user is None:
            return RunList(items=[], next_cursor=None)
    page = await services.store.runs.page(project.key, name, user, key, cursor, limit)
    items = [RunAnswer.of(one, await services.catalog.flow(project.key, name, one.run.version)) for one in page.items]
    return RunList(items=items, next_cursor=page.next_cursor)


@post("/v1/automations/{name:str}/runs", status_code=202, **server("send", creates=True, bounded=True, limit=_LIMIT))
async def begin_runs(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[RunBody | RunsBody]
) -> Begun:
    """Begin runs of an automation whose start is a call. Who has one under the same key under way keeps that."""
    project = caller.project
    noun = await _found(services, project, name)
    if not noun.on.api:
        raise Conflict("its runs are not begun by a call: on.api is not true")
    if not noun.enabled:
        raise Conflict("it is not enabled")
    asked = data.runs if isinstance(data, RunsBody) else [data]
    named = [one.user_id for one in asked]
    users = await services.store.users.resolve(project.key, named, services.clock.now(), create=True)
    begins = [Begin(users[one.user_id], one.key or "", one.data or {}) for one in asked]
    await services.pipeline.begin(project, name, begins)
    return Begun(accepted=len(begins))


@post("/v1/automations/{name:str}/cancel", status_code=200, **server("send"))
async def cancel_runs(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[CancelRunsBody]
) -> Cancelled:
    """End runs that are under way: those under a key, those of a person, or the one of both."""
    return await automations.cancel(services.store, caller.project, name, data, services.clock.now())


@get("/v1/automations/{name:str}/counts", **server("read"))
async def count_runs(services: FromServices, caller: FromCaller, name: NameInPath) -> CountsAnswer:
    """How many runs of the newest version are at each step, how many are under way, and how the others ended."""
    noun = await _found(services, caller.project, name)
    counts = await services.store.runs.counts(caller.project.key, name)
    return CountsAnswer.of(Flow(noun), counts)


@get("/v1/webhook_secret", **server("write"))
async def get_webhook_secret(services: FromServices, caller: FromCaller) -> SecretAnswer:
    """With what the webhooks of this project are signed (Standard Webhooks)."""
    return SecretAnswer(secret=services.pipeline.webhook_secret(caller.project))


async def _found(services: Services, project: Project, name: str) -> Automation:
    body = await services.store.definitions.get(project.key, AUTOMATIONS, name)
    return msgspec.convert(body or not_found(f"automation {name}"), Automation)


async def _kept(services: Services, project: Project, noun: Automation, before: Automation | None) -> Automation:
    definitions, now = services.store.definitions, services.clock.now()
    return await kept_automations.keep(definitions, project.key, noun, before, now)


AUTOMATION_ROUTES = (
    list_automations,
    create_automation,
    get_automation,
    replace_automation,
    delete_automation,
    list_runs,
    begin_runs,
    cancel_runs,
    count_runs,
    get_webhook_secret,
)
