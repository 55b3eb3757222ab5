"""Templates and the partials that they include: made, read, replaced, deleted; older versions, and previews."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Annotated, TypeAlias

import msgspec
from litestar import delete, get, post, put
from litestar.params import JSONBody, QueryParameter

from clarion.api import messages, previewing
from clarion.api.answers.lint import TemplateAnswer
from clarion.api.answers.preview import PreviewAnswer
from clarion.api.answers.project import PartialList, TemplateList
from clarion.api.door import server
from clarion.api.framework import PAGE, Cursor, FromCaller, FromServices, Limit, NameInPath
from clarion.api.problems import not_found
from clarion.api.schemas import PartialPost, PartialPut, PreviewBody, RollbackBody, TemplatePost, TemplatePut
from clarion.api.server import defined
from clarion.api.services import Services
from clarion.errors import Conflict, FieldError
from clarion.intelligence.honesty import Finding
from clarion.journey import draft
from clarion.journey.texts import honesty, versions
from clarion.journey.texts.versions import TEMPLATES
from clarion.journey.texts.words import project_facts
from clarion.journey.uses import Kind
from clarion.model import Partial, Project, Template

PARTIALS = "partials"
Version: TypeAlias = Annotated[int | None, QueryParameter(ge=1, description="An older one, as it was then.")]


@get("/v1/templates", **server("read"))
async def list_templates(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> TemplateList:
    """Templates by name."""
    page = await defined.page(services, caller.project, TEMPLATES, cursor, limit)
    return TemplateList(items=msgspec.convert(page.items, list[Template]), next_cursor=page.next_cursor)


@post("/v1/templates", **server("write", creates=True))
async def create_template(services: FromServices, caller: FromCaller, data: JSONBody[TemplatePost]) -> TemplateAnswer:
    """Define a template. What the rules of title honesty say of it stands in `warnings`."""
    template, project, now = messages.template(data, data.name), caller.project, services.clock.now()
    warnings = await _check_template(services, project, template)
    definitions = services.store.definitions
    if await versions.read(definitions, project.key, template.name) is not None:
        raise Conflict(f"name: there is one called {template.name} already; PUT replaces it")
    template = await versions.keep(definitions, project.key, template, now)
    return TemplateAnswer.of(await defined.create(services, project, TEMPLATES, template.name, template), warnings)


@get("/v1/templates/{name:str}", **server("read"))
async def get_template(
    services: FromServices, caller: FromCaller, name: NameInPath, version: Version = None
) -> TemplateAnswer:
    """Read a template, or one of its versions, with what the rules of title honesty say of it."""
    template = await _template(services, caller.project, name, version)
    return TemplateAnswer.of(template, await _findings(services, caller.project, template))


@put("/v1/templates/{name:str}", **server("write"))
async def replace_template(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[TemplatePut]
) -> TemplateAnswer:
    """Replace a template as a whole by a new version. Notifications that are not composed yet use the new words."""
    template = messages.template(data, defined.same_name(name, data.name))
    await _template(services, caller.project, name)
    return await _put(services, caller.project, template)


@delete("/v1/templates/{name:str}", **server("write"))
async def delete_template(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a template that nothing needs. Its versions stay for notifications that name one."""
    newest = await _template(services, caller.project, name)
    await defined.must_be_free(services, caller.project, Kind.TEMPLATE, name)
    # One from before there were versions is kept as the first of them.
    now = services.clock.now()
    await versions.keep_as_it_is(services.store.definitions, caller.project.key, newest, now)
    await defined.remove(services, caller.project, TEMPLATES, name)


@get("/v1/templates/{name:str}/versions", **server("read"))
async def list_template_versions(
    services: FromServices, caller: FromCaller, name: NameInPath, cursor: Cursor = None, limit: Limit = PAGE
) -> TemplateList:
    """All versions of a template, the oldest first."""
    found = await versions.page(services.store.definitions, caller.project.key, name, cursor, limit)
    if found is None:
        not_found()
    return TemplateList(items=found.items, next_cursor=found.next_cursor)


@post("/v1/templates/{name:str}/rollback", status_code=200, **server("write"))
async def roll_template_back(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[RollbackBody]
) -> TemplateAnswer:
    """Make an older version the newest one, under a new number. It is checked as if it were new."""
    await _template(services, caller.project, name)
    return await _put(services, caller.project, await _template(services, caller.project, name, data.version))


@post("/v1/templates/{name:str}/preview", status_code=200, **server("read"))
async def preview_template(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[PreviewBody]
) -> PreviewAnswer:
    """Render a template for a user and show title and body as screens cut them. Nothing is stored or sent."""
    return await previewing.preview(services.store, services.catalog, caller.project, name, data, services.clock.now())


@get("/v1/partials", **server("read"))
async def list_partials(
    services: FromServices, caller: FromCaller, cursor: Cursor = None, limit: Limit = PAGE
) -> PartialList:
    """Partials by name."""
    page = await defined.page(services, caller.project, PARTIALS, cursor, limit)
    return PartialList(items=msgspec.convert(page.items, list[Partial]), next_cursor=page.next_cursor)


@post("/v1/partials", **server("write", creates=True))
async def create_partial(services: FromServices, caller: FromCaller, data: JSONBody[PartialPost]) -> Partial:
    """Define a piece of text that others include: `{% include "NAME" %}`."""
    partial = messages.partial(data, data.name)
    await _check_partial(services, caller.project, partial)
    return await defined.create(services, caller.project, PARTIALS, partial.name, partial)


@get("/v1/partials/{name:str}", **server("read"))
async def get_partial(services: FromServices, caller: FromCaller, name: NameInPath) -> Partial:
    """Read a partial."""
    return msgspec.convert(await defined.read(services, caller.project, PARTIALS, name), Partial)


@put("/v1/partials/{name:str}", **server("write"))
async def replace_partial(
    services: FromServices, caller: FromCaller, name: NameInPath, data: JSONBody[PartialPut]
) -> Partial:
    """Replace a partial as a whole. What includes it, and is not composed yet, uses the new words."""
    partial = messages.partial(data, defined.same_name(name, data.name))
    await _check_partial(services, caller.project, partial)
    return await defined.replace(services, caller.project, PARTIALS, name, partial)


@delete("/v1/partials/{name:str}", **server("write"))
async def delete_partial(services: FromServices, caller: FromCaller, name: NameInPath) -> None:
    """Delete a partial. Refused while a template or another partial includes it."""
    left = dict(await services.catalog.partials(caller.project.key))
    left.pop(name, None)
    if (users := await _broken(services, caller.project, left)) != []:
        raise Conflict(f"{name} is included by {', '.join(users)}")
    await defined.remove(services, caller.project, PARTIALS, name)


async def _template(services: Services, project: Project, name: str, version: int | None = None) -> Template:
    return await versions.read(services.store.definitions, project.key, name, version) or not_found(
        f"template {name}" if version is None else f"version {version} of the template {name}"
    )


async def _put(services: Services, project: Project, template: Template) -> TemplateAnswer:
    warnings = await _check_template(services, project, template)
    kept = await versions.keep(services.store.definitions, project.key, template, services.clock.now())
    return TemplateAnswer.of(await defined.replace(services, project, TEMPLATES, kept.name, kept), warnings)


async def _check_template(services: Services, project: Project, template: Template) -> list[Finding]:
    """What is worth a warning. Raises InvalidRequest for what is wrong, or blocked by the project's rules."""
    partials = await services.catalog.partials(project.key)
    # In a thread, as below: a template may have two hundred languages.
    defined.refuse(await asyncio.to_thread(draft.check_template, template, project_facts(project), partials))
    found = await _findings(services, project, template)
    defined.refuse(honesty.blocked(found))
    return found


async def _findings(services: Services, project: Project, template: Template) -> list[Finding]:
    partials = await services.catalog.partials(project.key)
    looked_at = honesty.of_template(template, project_facts(project), partials=partials)
    return await asyncio.to_thread(honesty.findings, looked_at, project.settings)


async def _check_partial(services: Services, project: Project, partial: Partial) -> None:
    """By itself, and in what includes it."""
    partials = await services.catalog.partials(project.key)
    defined.refuse(await asyncio.to_thread(draft.check_partial, partial, partials, project_facts(project)))
    if partial.name in partials:
        users = await _broken(services, project, {**partials, partial.name: partial})
        defined.refuse([FieldError("locales", f"{user} would not work with it") for user in users])


async def _broken(services: Services, project: Project, partials: Mapping[str, Partial]) -> list[str]:
    """What works, and would not with these partials: names of partials, templates, automations and categories."""
    catalog, facts = services.catalog, project_facts(project)
    categories, templates = await catalog.categories(project.key), await catalog.templates(project.key)
    automations, before = await catalog.automations(project.key), await catalog.partials(project.key)
    segments, topics = await catalog.segments(project.key), await catalog.topics(project.key)

    def wrong(with_: Mapping[str, Partial]) -> Iterator[str]:
        yield from (name for name, one in with_.items() if draft.check_partial(one, with_, facts))
        yield from (name for name, one in templates.items() if draft.check_template(one, facts, with_))
        for name, automation in automations.items():
            beside = draft.Beside(categories, templates, with_, segments, topics, facts)
            if draft.check_automation(automation, beside):
                yield name
        yield from (name for name, one in categories.items() if draft.check_category(one, templates, facts, with_))

    def look() -> list[str]:
        known = set(wrong(before))
        return [name for name in wrong(partials) if name not in known]

    return await asyncio.to_thread(look)


TEMPLATING = (
    list_templates,
    create_template,
    get_template,
    replace_template,
    delete_template,
    list_template_versions,
    roll_template_back,
    preview_template,
    list_partials,
    create_partial,
    get_partial,
    replace_partial,
    delete_partial,
)
