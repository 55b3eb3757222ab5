"""What the calls on all definitions share: one page, read, made, replaced and removed by name."""

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from clarion.api import messages
from clarion.api.problems import not_found
from clarion.api.services import Services
from clarion.errors import Conflict, FieldError, InvalidRequest
from clarion.journey import uses
from clarion.model import Campaign, Json, Project, Struct
from clarion.ports import Page

_A_PAGE = 100
S = TypeVar("S", bound=Struct)


async def page(services: Services, project: Project, kind: str, cursor: str | None, limit: int) -> Page[Json]:
    """By name."""
    return await services.store.definitions.page(project.key, kind, cursor, limit)


async def read(services: Services, project: Project, kind: str, name: str) -> Json:
    """Raises NotFound."""
    return await services.store.definitions.get(project.key, kind, name) or not_found()


async def create(services: Services, project: Project, kind: str, name: str, noun: S) -> S:
    """Raises Conflict when there is one of that name."""
    if not await services.store.definitions.add(project.key, kind, name, messages.stored(noun), services.clock.now()):
        raise Conflict(f"name: there is one called {name} already; PUT replaces it")
    await services.catalog.changed()
    return noun


async def replace(services: Services, project: Project, kind: str, name: str, noun: S) -> S:
    """Raises NotFound."""
    await read(services, project, kind, name)
    await services.store.definitions.put(project.key, kind, name, messages.stored(noun), services.clock.now())
    await services.catalog.changed()
    return noun


async def must_be_free(services: Services, project: Project, kind: uses.Kind, name: str) -> None:
    """Raises Conflict when an automation, a digest, or a campaign that is at work, names it."""
    categories = (await services.catalog.categories(project.key)).values()
    automations = (await services.catalog.automations(project.key)).values()
    campaigns = [one async for one in _campaigns_at_work(services, project)]
    needed = uses.users(uses.Named(kind, name), automations, campaigns, categories)
    if needed:
        raise Conflict(f"{', '.join(needed)} {'need' if needed[1:] else 'needs'} it")


async def _campaigns_at_work(services: Services, project: Project) -> AsyncIterator[Campaign]:
    cursor: str | None = None
    while True:
        page = await services.pipeline.campaigns.page(project.key, cursor, _A_PAGE)
        for record in page.items:
            if record.state in uses.AT_WORK:
                yield record.campaign
        cursor = page.next_cursor
        if cursor is None:
            return


async def remove(services: Services, project: Project, kind: str, name: str) -> None:
    """Raises NotFound."""
    if not await services.store.definitions.delete(project.key, kind, name):
        not_found()
    await services.catalog.changed()


def refuse(problems: Sequence[FieldError]) -> None:
    """Raises InvalidRequest for what is wrong."""
    if problems:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in problems), errors=list(problems))


def same_name(in_path: str, in_body: str | None) -> str:
    """Raises InvalidRequest when the body has another name than the path."""
    if in_body is not None and in_body != in_path:
        raise InvalidRequest.field("name", f"must be {in_path}, as in the path; a name cannot be changed")
    return in_path
