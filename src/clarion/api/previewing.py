"""What is asked of `POST /v1/preview`, of `POST /v1/templates/{name}/preview` and of `clarion template preview`."""

import asyncio
from typing import Any

from clarion.api import messages
from clarion.api.answers.preview import PreviewAnswer, WordingsAnswer
from clarion.api.fields import check_zone
from clarion.api.schemas import MessagePreviewBody, PreviewBody
from clarion.errors import InvalidRequest, NotFound
from clarion.intelligence.screens import PLATFORMS
from clarion.journey import draft
from clarion.journey.catalog import Catalog
from clarion.journey.texts import preview as previews
from clarion.journey.texts import versions
from clarion.journey.texts.words import project_facts, time_told
from clarion.model import Json, Millis, Project
from clarion.ports import Store


async def preview(
    store: Store, catalog: Catalog, project: Project, name: str, body: PreviewBody, now: Millis
) -> PreviewAnswer:
    """Rendered and cut.

    Raises:
        NotFound: there is no such template, or no such version of it.
        InvalidRequest: an unknown user, zone or platform; a text that does not render, with its place.
    """
    template = await versions.read(store.definitions, project.key, name, body.version)
    if template is None:
        raise NotFound(f"there is no template {name}{f' in version {body.version}' if body.version else ''}")
    sight = await _sight(store, catalog, project, body, now)
    return PreviewAnswer.of(await asyncio.to_thread(previews.preview, template, sight))


async def preview_message(
    store: Store, catalog: Catalog, project: Project, body: MessagePreviewBody, now: Millis
) -> WordingsAnswer:
    """The same of a message, in each of its variants. Raises InvalidRequest, also for what could not be sent."""
    message = messages.message(body)
    templates = await catalog.templates_for(project.key, [message])
    categories, partials = await catalog.categories(project.key), await catalog.partials(project.key)
    wrong = draft.check_message(message, categories, templates, project_facts(project), partials, with_event=True)
    if wrong:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in wrong), errors=wrong)
    sight = await _sight(store, catalog, project, body, now)
    return WordingsAnswer.of(await asyncio.to_thread(previews.preview_message, message, templates, sight))


async def _sight(
    store: Store, catalog: Catalog, project: Project, body: PreviewBody | MessagePreviewBody, now: Millis
) -> previews.Sight:
    check_zone(body.timezone)
    wanted = [_platform(each, at) for at, each in enumerate(body.platforms or PLATFORMS)]
    user = await _user(store, project, body)
    context: dict[str, Any] = {
        "user": user,
        "data": body.data or {},
        "project": project_facts(project),
        "now": time_told(now),
    }
    if body.event is not None:
        context["event"] = {**body.event, "properties": body.event}
    partials, zone = await catalog.partials(project.key), project.settings.default_timezone
    return previews.Sight(context, partials, user["locale"], zone, list(dict.fromkeys(wanted)))


def _platform(name: str, at: int) -> str:
    if name not in PLATFORMS:
        raise InvalidRequest.field(f"platforms[{at}]", f"must be one of {', '.join(PLATFORMS)}")
    return name


async def _user(store: Store, project: Project, body: PreviewBody | MessagePreviewBody) -> Json:
    if body.user_id is None:
        return previews.facts_of_nobody(body.locale, body.timezone)
    user = await store.users.get(project.key, body.user_id)
    if user is None:
        raise InvalidRequest.field("user_id", f"there is no user {body.user_id}")
    own = {
        "user_id": user.user_id,
        "locale": body.locale or user.locale,
        "timezone": body.timezone or user.timezone,
    }
    return {**user.attributes, **own}
