"""Drafts: what is certainly wrong with a message, a template or an automation, said before it is stored."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.errors import FieldError
from clarion.journey import conditions, payloads, segments
from clarion.journey.automations import flow
from clarion.journey.digests import digest_draft
from clarion.journey.experiments import variants
from clarion.journey.rules import misfit
from clarion.journey.texts import words
from clarion.journey.texts.partials import NO_PARTIALS
from clarion.journey.texts.wordings import every, placed
from clarion.model import (
    AUTOMATION_SENDER,
    ApiKey,
    Automation,
    Category,
    CategoryClass,
    Content,
    DeviceKind,
    Json,
    Message,
    Partial,
    Segment,
    Template,
)


def check_message(
    message: Message,
    categories: Mapping[str, Category],
    templates: Mapping[str, Template],
    project_facts: Json,
    partials: Mapping[str, Partial] = NO_PARTIALS,
    *,
    with_event: bool = False,
    armed: bool = False,
    open_data: bool = False,
) -> list[FieldError]:
    """Every wrong field: the category, the template, the variants, and texts that render for nobody."""
    found = payloads.problems(message)
    if message.category not in categories:
        found.append(FieldError("category", f"there is no category {message.category}"))
    context = _trial(message.data, project_facts, with_event=with_event)
    if open_data:  # a call brings what is not there yet
        context["data"] = words.ANYTHING
    for at, said in enumerate(every(message)):
        wrong = _said(said, templates, context, partials)
        found += [FieldError(placed(message, at, each.field), each.message) for each in wrong]
    if armed and conditions.is_conditional(message):
        name = "condition" if message.condition is not None else "unless_event"
        found.append(FieldError("arm", f"cannot be true beside {name}: what is armed is decided before it is fired"))
    found += variants.problems(message, armed=armed)
    return list(dict.fromkeys(found + conditions.check(message, context)))


def _said(
    message: Message, templates: Mapping[str, Template], context: Json, partials: Mapping[str, Partial]
) -> list[FieldError]:
    """What is wrong with one wording."""
    template = words.template_of(message, templates)
    found = _no_template(message, template, templates)
    if message.template is None and not (message.title or "").strip():
        found.append(FieldError("title", "is needed unless a template is given"))
    if template is None:
        contents = [("", words.chosen(message, None, None))]
    else:
        contents = [("", one) for _, one in _every(message, template)]
        found += [FieldError(words.TITLE, wrong) for _, one in contents if (wrong := words.untitled(one)) is not None]
    return found + words.problems(contents, context, partials)


def _no_template(message: Message, template: Template | None, templates: Mapping[str, Template]) -> list[FieldError]:
    if message.template is None:
        return [FieldError("template_version", "needs a template")] if message.template_version is not None else []
    if template is not None:
        return []
    if message.template in templates:
        known = templates[message.template].version
        return [
            FieldError(
                "template_version",
                f"{message.template} has no version {message.template_version}: {known} is the newest",
            )
        ]
    return [FieldError("template", f"there is no template {message.template}")]


def _every(message: Message, template: Template) -> Iterator[tuple[str, words.Chosen]]:
    """Every way that it may be said, with the field of a template where it stands."""
    for locale, content in template.locales.items():
        yield f"locales.{locale}.", words.chosen(message, template, locale)
        for kind in content.platforms:
            yield f"locales.{locale}.platforms.{kind}.", words.chosen(message, template, locale, kind)


def check_partial(partial: Partial, partials: Mapping[str, Partial], project_facts: Json) -> list[FieldError]:
    """Texts that are not minijinja, include what does not exist, or include themselves; and who would by this one."""
    if partial.default_locale not in partial.locales:
        return [FieldError("default_locale", f"must be one of {', '.join(partial.locales) or 'the locales'}")]
    together = {**partials, partial.name: partial}
    texts = {
        f"locales.{locale}": words.Chosen(
            Message(), Content(title="", body=f'{{% include "{partial.name}" %}}'), locale
        )
        for locale in partial.locales
    }
    found = words.problems(texts.items(), _anywhere(project_facts), together)
    return [FieldError(each.field.removesuffix("body"), each.message) for each in found]


def check_template(
    template: Template, project_facts: Json, partials: Mapping[str, Partial] = NO_PARTIALS
) -> list[FieldError]:
    """Texts that are not minijinja or use what does not exist; what data will bring is not known yet."""
    if template.default_locale not in template.locales:
        return [FieldError("default_locale", f"must be one of {', '.join(template.locales) or 'the locales'}")]
    found = words.problems(_every(Message(), template), _anywhere(project_facts), partials)
    return [each for each in found if _is_said(each.field, template)]


def _is_said(field: str, template: Template) -> bool:
    """Whether the text stands there; on one kind of device, what it does not say itself is wrong elsewhere already."""
    _, locale, *place = field.split(".")
    if place[0] != "platforms":
        return True
    return getattr(template.locales[locale].platforms[DeviceKind(place[1])], place[2]) is not None


class Beside(NamedTuple):
    """What a project has defined beside an automation."""

    categories: Mapping[str, Category]
    templates: Mapping[str, Template]
    partials: Mapping[str, Partial]
    segments: Mapping[str, Segment]
    topics: Collection[str]
    project_facts: Json


def check_automation(automation: Automation, beside: Beside) -> list[FieldError]:
    """What cannot work in its steps, its rules and what it says, under the full names of the fields."""
    found = flow.check(automation)
    on = automation.on
    if on.segment is not None and on.segment not in beside.segments:
        found.append(FieldError("on.segment", f"there is no segment {on.segment}"))
    for place, rule in flow.rules(automation):
        noun = Segment(name=_NO_NAME, rule=rule)
        wrong = segments.check(noun, beside.segments, beside.categories, beside.topics)
        found += [FieldError(place + each.field.removeprefix("rule"), each.message) for each in wrong]
    if automation.notification is not None:
        found += _told(automation, automation.notification, "notification", beside)
    for place, step in flow.sends(automation):
        found += _told(automation, step.notification, place, beside)
    return found + list(flow.misdirected(automation))


_NO_NAME = "\0"  # none that a segment can have


def _told(automation: Automation, message: Message, place: str, beside: Beside) -> list[FieldError]:
    with_event = automation.on.event is not None
    problems = check_message(
        message,
        beside.categories,
        beside.templates,
        beside.project_facts,
        beside.partials,
        with_event=with_event,
        open_data=automation.on.api,
    )
    problems += variants.no_winner(message)
    worn = beside.categories.get(message.category)
    for at, said in enumerate(every(message) if worn is not None else ()):
        if worn is not None and (wrong := misfit(said, worn, AUTOMATION_SENDER + automation.name)) is not None:
            problems.append(FieldError(placed(message, at, wrong.field), wrong.because))
    return [FieldError(f"{place}.{name}", text) for name, text in problems]


def check_category(
    category: Category,
    templates: Mapping[str, Template],
    project_facts: Json,
    partials: Mapping[str, Partial] = NO_PARTIALS,
) -> list[FieldError]:
    """Templates that do not exist; a category without a channel; mandatory, and off by default; a wrong digest."""
    found = [
        FieldError(f"templates[{at}]", f"there is no template {name}")
        for at, name in enumerate(category.templates or ())
        if name not in templates
    ]
    if not category.channels:
        found.append(FieldError("channels", "needs at least one"))
    if category.class_ is CategoryClass.MANDATORY and category.default is False:
        found.append(FieldError("default", "cannot be false: what is mandatory is on"))
    if category.digest is not None:
        problems = digest_draft.check(category, category.digest, templates, project_facts, partials)
        found += [FieldError(f"digest.{name}" if name else "digest", text) for name, text in problems]
    return found


def with_key_ids(category: Category, keys: Sequence[ApiKey]) -> tuple[Category, list[FieldError]]:
    """The category with ids in place of names of keys, and the keys that it cannot list.

    An id stays what it is when a key is renamed, and no key that is made later gets in by its name.
    """
    ids: list[str] = []
    found: list[FieldError] = []
    for at, named in enumerate(category.keys or ()):
        if named.startswith(AUTOMATION_SENDER):
            ids.append(named)
            continue
        meant = [key for key in keys if named in (key.id, key.name)]
        good = [key for key in meant if key.kind == "server" and key.revoked_at is None]
        if len(good) == 1:
            ids.append(good[0].id)
        else:
            found.append(FieldError(f"keys[{at}]", _no_key(named, meant, good)))
    return msgspec.structs.replace(category, keys=list(dict.fromkeys(ids)) or category.keys), found


def _no_key(named: str, meant: Sequence[ApiKey], good: Sequence[ApiKey]) -> str:
    if good:
        return f"{len(good)} keys are called {named}: give the id"
    if not meant:
        return f"there is no key {named}"
    return "must be a server key" if meant[0].kind != "server" else f"the key {named} was revoked"


def _anywhere(project_facts: Json) -> Json:
    """For texts of which it is not known yet what will use them: a message that is no digest is refused if it does."""
    of_digests = dict.fromkeys(words.OF_DIGESTS, words.ANYTHING)
    return {**of_digests, **_trial({}, project_facts, with_event=True), "data": words.ANYTHING}


def _trial(data: Json, project_facts: Json, *, with_event: bool) -> Json:
    context: Json = {"user": words.ANYTHING, "data": data, "project": project_facts, "now": "2026-01-01T00:00:00+00:00"}
    if with_event:
        context["event"] = words.ANYTHING
    return context
