"""What a project defines by name: categories, templates, automations. Each is listed, made, read, replaced, deleted."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api import messages
from clarion.api.answers.lint import TemplateAnswer
from clarion.api.answers.project import AutomationList, CategoryList, TemplateList
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.problems import not_found
from clarion.api.schemas import AutomationPost, AutomationPut, CategoryPost, CategoryPut, TemplatePost, TemplatePut
from clarion.api.services import Services
from clarion.errors import Conflict, FieldError, InvalidRequest
from clarion.intelligence.honesty import Finding
from clarion.journey import draft, honesty
from clarion.journey.words import project_facts
from clarion.model import Automation, Category, Json, Project, Struct, Template
from clarion.ports import Page

S = TypeVar("S", bound=Struct)

CATEGORIES, TEMPLATES, AUTOMATIONS = "categories", "templates", "automations"


@get("/v1/categories", **server("read"))
async def list_categories(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> CategoryList:
    """Categories by name."""
    page = await _page(services, caller.project, CATEGORIES, cursor, limit)
    return CategoryList(items=msgspec.convert(page.items, list[Category]), next_cursor=page.next_cursor)


@post("/v1/categories", **server("write", creates=True))
async def create_category(services: FromServices, caller: FromCaller, data: JSONBody[CategoryPost]) -> Category:
    """Define a category."""
    category = await _checked_category(services, caller.project, messages.category(data, data.name))
    return await _create(services, caller.project, CATEGORIES, category.name, category)


@get("/v1/categories/{name:str}", **server("read"))
async def get_category(services: FromServices, caller: FromCaller, name: NameInPath) -> Category:
    """Read a category."""
    return msgspec.convert(await _body(services, caller.project, CATEGORIES, name), Category)


@put("/v1/categories/{name:str}", **server("write"))
async def replace_category(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[CategoryPut]
) -> Category:
    """Replace a category as a whole."""
    category = await _checked_category(services, caller.project, messages.category(data, _same(name, data.name)))
    return await _replace(services, caller.project, CATEGORIES, name, category)


@delete("/v1/categories/{name:str}", **server("write"))
async def delete_category(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a category. What people said about it stays in the ledger."""
    await _delete(services, caller.project, CATEGORIES, name)


@get("/v1/templates", **server("read"))
async def list_templates(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> TemplateList:
    """Templates by name."""
    page = await _page(services, caller.project, TEMPLATES, cursor, limit)
    return TemplateList(items=msgspec.convert(page.items, list[Template]), next_cursor=page.next_cursor)


@post("/v1/templates", **server("write", creates=True))
async def create_template(services: FromServices, caller: FromCaller, data: JSONBody[TemplatePost]) -> TemplateAnswer:
    """Define a template. What the rules of title honesty say of it stands in `warnings`."""
    template = messages.template(data, data.name)
    warnings = await _check_template(caller.project, template)
    return TemplateAnswer.of(await _create(services, caller.project, TEMPLATES, template.name, template), warnings)


@get("/v1/templates/{name:str}", **server("read"))
async def get_template(services: FromServices, caller: FromCaller, name: NameInPath) -> TemplateAnswer:
    """Read a template, with what the rules of title honesty say of it."""
    template = msgspec.convert(await _body(services, caller.project, TEMPLATES, name), Template)
    return TemplateAnswer.of(template, await _findings(caller.project, template))


@put("/v1/templates/{name:str}", **server("write"))
async def replace_template(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[TemplatePut]
) -> TemplateAnswer:
    """Replace a template as a whole. Notifications that are not composed yet use the new words."""
    template = messages.template(data, _same(name, data.name))
    warnings = await _check_template(caller.project, template)
    return TemplateAnswer.of(await _replace(services, caller.project, TEMPLATES, name, template), warnings)


@delete("/v1/templates/{name:str}", **server("write"))
async def delete_template(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a template."""
    await _delete(services, caller.project, TEMPLATES, name)


@get("/v1/automations", **server("read"))
async def list_automations(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> AutomationList:
    """Automations by name."""
    page = await _page(services, caller.project, AUTOMATIONS, cursor, limit)
    return AutomationList(items=msgspec.convert(page.items, list[Automation]), next_cursor=page.next_cursor)


@post("/v1/automations", **server("write", creates=True))
async def create_automation(services: FromServices, caller: FromCaller, data: JSONBody[AutomationPost]) -> Automation:
    """Define an automation: from now on the event becomes a notification to its user."""
    automation = messages.automation(data, data.name)
    await _check_automation(services, caller.project, automation)
    return await _create(services, caller.project, AUTOMATIONS, automation.name, automation)


@get("/v1/automations/{name:str}", **server("read"))
async def get_automation(services: FromServices, caller: FromCaller, name: NameInPath) -> Automation:
    """Read an automation."""
    return msgspec.convert(await _body(services, caller.project, AUTOMATIONS, name), Automation)


@put("/v1/automations/{name:str}", **server("write"))
async def replace_automation(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[AutomationPut]
) -> Automation:
    """Replace an automation as a whole."""
    automation = messages.automation(data, _same(name, data.name))
    await _check_automation(services, caller.project, automation)
    return await _replace(services, caller.project, AUTOMATIONS, name, automation)


@delete("/v1/automations/{name:str}", **server("write"))
async def delete_automation(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete an automation."""
    await _delete(services, caller.project, AUTOMATIONS, name)


# --- what they share -------------------------------------------------------------------------------------------------


async def _page(services: Services, project: Project, kind: str, cursor: str | None, limit: int) -> Page[Json]:
    return await services.store.definitions.page(project.key, kind, cursor, limit)


async def _body(services: Services, project: Project, kind: str, name: str) -> Json:
    return await services.store.definitions.get(project.key, kind, name) or not_found()


async def _create(services: Services, project: Project, kind: str, name: str, noun: S) -> S:
    if not await services.store.definitions.add(project.key, kind, name, messages.stored(noun), services.clock.now()):
        raise Conflict(f"name: there is one called {name} already; PUT replaces it")
    await services.catalog.changed()
    return noun


async def _replace(services: Services, project: Project, kind: str, name: str, noun: S) -> S:
    await _body(services, project, kind, name)
    await services.store.definitions.put(project.key, kind, name, messages.stored(noun), services.clock.now())
    await services.catalog.changed()
    return noun


async def _delete(services: Services, project: Project, kind: str, name: str) -> None:
    if not await services.store.definitions.delete(project.key, kind, name):
        not_found()
    await services.catalog.changed()


async def _checked_category(services: Services, project: Project, category: Category) -> Category:
    problems = draft.check_category(category, await services.catalog.templates(project.key), project_facts(project))
    if category.keys is not None:
        category, wrong = draft.with_key_ids(category, await services.store.projects.keys(project.key))
        problems += wrong
    _refuse(problems)
    return category


async def _check_template(project: Project, template: Template) -> list[Finding]:
    """What is worth a warning. Raises InvalidRequest for what is wrong, or blocked by the project's rules."""
    _refuse(draft.check_template(template, project_facts(project)))
    found = await _findings(project, template)
    _refuse(honesty.blocked(found))
    return found


async def _findings(project: Project, template: Template) -> list[Finding]:
    """What the rules say, in a thread: a template may have two hundred languages."""
    looked_at = honesty.of_template(template, project_facts(project))
    return await asyncio.to_thread(honesty.findings, looked_at, project.settings)


async def _check_automation(services: Services, project: Project, automation: Automation) -> None:
    categories = await services.catalog.categories(project.key)
    templates = await services.catalog.templates(project.key)
    facts = project_facts(project)
    _refuse(draft.check_automation(automation, categories, templates, facts))
    notification = honesty.of_message(automation.notification, categories, templates, facts)
    refused = await asyncio.to_thread(honesty.refusals, notification, project.settings)
    _refuse([FieldError(f"notification.{field}", words) for field, words in refused])


def _refuse(problems: Sequence[FieldError]) -> None:
    if problems:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in problems), errors=list(problems))


def _same(in_path: str, in_body: str | None) -> str:
    if in_body is not None and in_body != in_path:
        raise InvalidRequest.field("name", f"must be {in_path}, as in the path; a name cannot be changed")
    return in_path


DEFINITIONS = (
    list_categories,
    create_category,
    get_category,
    replace_category,
    delete_category,
    list_templates,
    create_template,
    get_template,
    replace_template,
    delete_template,
    list_automations,
    create_automation,
    get_automation,
    replace_automation,
    delete_automation,
)
