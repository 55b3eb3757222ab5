"""What a project defines by name: categories and automations. Each is listed, made, read, replaced, deleted."""

import asyncio
from typing import TypeVar

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api import messages
from clarion.api.answers.project import AutomationList, CategoryList
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.schemas import AutomationPost, AutomationPut, CategoryPost, CategoryPut
from clarion.api.server import defined
from clarion.api.services import Services
from clarion.errors import FieldError
from clarion.journey import draft, honesty
from clarion.journey.words import project_facts
from clarion.model import Automation, Category, Project, Struct

S = TypeVar("S", bound=Struct)

CATEGORIES, AUTOMATIONS = "categories", "automations"


@get("/v1/categories", **server("read"))
async def list_categories(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> CategoryList:
    """Categories by name."""
    page = await defined.page(services, caller.project, CATEGORIES, cursor, limit)
    return CategoryList(items=msgspec.convert(page.items, list[Category]), next_cursor=page.next_cursor)


@post("/v1/categories", **server("write", creates=True))
async def create_category(services: FromServices, caller: FromCaller, data: JSONBody[CategoryPost]) -> Category:
    """Define a category."""
    category = await _checked_category(services, caller.project, messages.category(data, data.name))
    return await defined.create(services, caller.project, CATEGORIES, category.name, category)


@get("/v1/categories/{name:str}", **server("read"))
async def get_category(services: FromServices, caller: FromCaller, name: NameInPath) -> Category:
    """Read a category."""
    return msgspec.convert(await defined.read(services, caller.project, CATEGORIES, name), Category)


@put("/v1/categories/{name:str}", **server("write"))
async def replace_category(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[CategoryPut]
) -> Category:
    """Replace a category as a whole."""
    category = await _checked_category(
        services, caller.project, messages.category(data, defined.same_name(name, data.name))
    )
    return await defined.replace(services, caller.project, CATEGORIES, name, category)


@delete("/v1/categories/{name:str}", **server("write"))
async def delete_category(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a category. What people said about it stays in the ledger."""
    await defined.remove(services, caller.project, CATEGORIES, name)


@get("/v1/automations", **server("read"))
async def list_automations(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> AutomationList:
    """Automations by name."""
    page = await defined.page(services, caller.project, AUTOMATIONS, cursor, limit)
    return AutomationList(items=msgspec.convert(page.items, list[Automation]), next_cursor=page.next_cursor)


@post("/v1/automations", **server("write", creates=True))
async def create_automation(services: FromServices, caller: FromCaller, data: JSONBody[AutomationPost]) -> Automation:
    """Define an automation: from now on the event becomes a notification to its user."""
    automation = messages.automation(data, data.name)
    await _check_automation(services, caller.project, automation)
    return await defined.create(services, caller.project, AUTOMATIONS, automation.name, automation)


@get("/v1/automations/{name:str}", **server("read"))
async def get_automation(services: FromServices, caller: FromCaller, name: NameInPath) -> Automation:
    """Read an automation."""
    return msgspec.convert(await defined.read(services, caller.project, AUTOMATIONS, name), Automation)


@put("/v1/automations/{name:str}", **server("write"))
async def replace_automation(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[AutomationPut]
) -> Automation:
    """Replace an automation as a whole."""
    automation = messages.automation(data, defined.same_name(name, data.name))
    await _check_automation(services, caller.project, automation)
    return await defined.replace(services, caller.project, AUTOMATIONS, name, automation)


@delete("/v1/automations/{name:str}", **server("write"))
async def delete_automation(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete an automation."""
    await defined.remove(services, caller.project, AUTOMATIONS, name)


async def _checked_category(services: Services, project: Project, category: Category) -> Category:
    templates, partials = await services.catalog.templates(project.key), await services.catalog.partials(project.key)
    problems = draft.check_category(category, templates, project_facts(project), partials)
    if category.keys is not None:
        category, wrong = draft.with_key_ids(category, await services.store.projects.keys(project.key))
        problems += wrong
    defined.refuse(problems)
    return category


async def _check_automation(services: Services, project: Project, automation: Automation) -> None:
    categories = await services.catalog.categories(project.key)
    templates = await services.catalog.templates_for(project.key, [automation.notification])
    partials, facts = await services.catalog.partials(project.key), project_facts(project)
    defined.refuse(draft.check_automation(automation, categories, templates, facts, partials))
    drafts = honesty.of_wordings(automation.notification, categories, templates, facts, partials=partials)
    refused = await asyncio.to_thread(honesty.all_refusals, automation.notification, drafts, project.settings)
    defined.refuse([FieldError(f"notification.{field}", words) for field, words in refused])


DEFINITIONS = (
    list_categories,
    create_category,
    get_category,
    replace_category,
    delete_category,
    list_automations,
    create_automation,
    get_automation,
    replace_automation,
    delete_automation,
)
