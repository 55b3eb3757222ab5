"""What callers say of an automation, as the story's own noun, and what is wrong with it."""

import asyncio
from typing import Any

import msgspec

from clarion.api import messages
from clarion.api.answers.automations import Cancelled
from clarion.api.decoding import wrong
from clarion.api.problems import not_found
from clarion.api.schemas.automations import AutomationPut, CancelRunsBody, SendBody
from clarion.api.server import defined
from clarion.api.services import Services
from clarion.errors import FieldError, InvalidRequest
from clarion.journey import draft
from clarion.journey.automations.flow import sends
from clarion.journey.automations.kept_automations import AUTOMATIONS
from clarion.journey.automations.ready_made import READY_MADE_AUTOMATIONS, made_of
from clarion.journey.texts import honesty
from clarion.journey.texts.words import project_facts
from clarion.model import Automation, Message, Millis, Project
from clarion.model.automations import Send, Step
from clarion.ports import Store

_MADE = ("on", "notification", "steps", "goal", "exit_on", "exit_if", "reentry")


def automation(body: AutomationPut, name: str) -> Automation:
    """The noun. Raises InvalidRequest for parameters that do not fit."""
    if body.ready_made is not None:
        return _ready_made(body, name)
    if body.parameters is not None:
        raise InvalidRequest.field("parameters", "go with ready_made only")
    if body.on is None:
        raise InvalidRequest.field("on", "is required: what starts it")
    fields = (*_MADE, "enabled", "description")
    told: dict[str, Any] = {field: getattr(body, field) for field in fields if getattr(body, field) is not None}
    if body.notification is not None:
        told["notification"] = messages.message(body.notification)
    if body.steps is not None:
        told["steps"] = [_step(step) for step in body.steps]
    return Automation(name=name, **told)


def _step(body: Any) -> Step:
    if isinstance(body, SendBody):
        return Send(id=body.id, next=body.next, notification=messages.message(body.notification))
    step: Step = body
    return step


def _ready_made(body: AutomationPut, name: str) -> Automation:
    kind = READY_MADE_AUTOMATIONS.get(body.ready_made or "")
    if kind is None or body.ready_made is None:
        raise InvalidRequest.field("ready_made", f"must be one of {', '.join(READY_MADE_AUTOMATIONS)}")
    told = {key: value for key, value in (body.parameters or {}).items() if value is not None}
    try:
        template = msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise wrong(error, kind, "parameters") from None
    made = made_of(template, body.ready_made, name)
    own = automation(msgspec.structs.replace(body, ready_made=None, parameters=None), name) if body.on else None
    # Who sends back what was read, sends the steps too.
    for field in _MADE:
        if own is not None and getattr(body, field) is not None and getattr(own, field) != getattr(made, field):
            raise InvalidRequest.field(field, "must be left out: ready_made makes it")
        if own is None and getattr(body, field) is not None:
            raise InvalidRequest.field(field, "must be left out: ready_made makes it")
    more = {name: getattr(body, name) for name in ("enabled", "description") if getattr(body, name) is not None}
    return msgspec.structs.replace(made, **more)


async def cancel(store: Store, project: Project, name: str, wanted: CancelRunsBody, now: Millis) -> Cancelled:
    """End runs that are under way. Raises NotFound, and InvalidRequest when all of them are meant."""
    if await store.definitions.get(project.key, AUTOMATIONS, name) is None:
        not_found(f"automation {name}")
    if wanted.key is None and wanted.user_id is None:
        raise InvalidRequest.field("key", "or user_id is needed")
    user = None
    if wanted.user_id is not None:
        user = (await store.users.resolve(project.key, [wanted.user_id], 0, create=False)).get(wanted.user_id)
        if user is None:
            return Cancelled(cancelled=0)
    return Cancelled(cancelled=await store.runs.cancel(project.key, name, user, wanted.key, now))


async def check(services: Services, project: Project, noun: Automation) -> None:
    """Raises InvalidRequest with every place where it cannot work."""
    catalog = services.catalog
    said = [("notification", noun.notification)] if noun.notification is not None else []
    said += [(place, step.notification) for place, step in sends(noun)]
    around = draft.Beside(
        categories=await catalog.categories(project.key),
        templates=await catalog.templates_for(project.key, [message for _, message in said]),
        partials=await catalog.partials(project.key),
        segments=await catalog.segments(project.key),
        topics=await catalog.topics(project.key),
        project_facts=project_facts(project),
    )
    defined.refuse(draft.check_automation(noun, around))
    for place, message in said:
        refused = await asyncio.to_thread(_dishonest, message, around, project)
        defined.refuse([FieldError(f"{place}.{field}", words) for field, words in refused])


def _dishonest(message: Message, around: draft.Beside, project: Project) -> list[FieldError]:
    drafts = honesty.of_wordings(
        message, around.categories, around.templates, around.project_facts, partials=around.partials
    )
    return honesty.all_refusals(message, drafts, project.settings)
