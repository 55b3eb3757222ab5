"""What a project defines by name: categories. Each is listed, made, read, replaced, deleted."""

import asyncio
from typing import TypeVar

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody

from clarion.api import messages
from clarion.api.answers.project import CategoryList
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.schemas import CategoryPost, CategoryPut
from clarion.api.server import defined
from clarion.api.services import Services
from clarion.errors import FieldError
from clarion.journey import draft
from clarion.journey.texts import honesty
from clarion.journey.texts.words import project_facts
from clarion.journey.uses import Kind
from clarion.model import Category, Project, Struct

S = TypeVar("S", bound=Struct)

CATEGORIES = "categories"


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
    """Delete a category that nothing needs. What people said about it stays in the ledger."""
    await defined.must_be_free(services, caller.project, Kind.CATEGORY, name)
    await defined.remove(services, caller.project, CATEGORIES, name)


async def _checked_category(services: Services, project: Project, category: Category) -> Category:
    templates, partials = await services.catalog.templates(project.key), await services.catalog.partials(project.key)
    problems = draft.check_category(category, templates, project_facts(project), partials)
    if category.keys is not None:
        category, wrong = draft.with_key_ids(category, await services.store.projects.keys(project.key))
        problems += wrong
    defined.refuse(problems)
    if category.digest is not None:
        looked_at = honesty.of_digest(category.digest, templates, project_facts(project), partials)
        found = await asyncio.to_thread(honesty.refusals, looked_at, project.settings)
        defined.refuse([FieldError(f"digest.{each.field}", each.message) for each in found])
    return category


DEFINITIONS = (
    list_categories,
    create_category,
    get_category,
    replace_category,
    delete_category,
)
