"""Drafts: what is certainly wrong with a message, a template or an automation, said before it is stored."""

from collections.abc import Mapping

from clarion.errors import FieldError
from clarion.journey import payloads, words
from clarion.model import Automation, Category, Json, Message, Template


def check_message(
    message: Message,
    categories: Mapping[str, Category],
    templates: Mapping[str, Template],
    project_facts: Json,
    *,
    with_event: bool = False,
) -> list[FieldError]:
    """Every wrong field: the category, the template, and texts that render for nobody."""
    found = payloads.problems(message)
    if message.category not in categories:
        found.append(FieldError("category", f"there is no category {message.category}"))
    template = templates.get(message.template) if message.template is not None else None
    if message.template is not None and template is None:
        found.append(FieldError("template", f"there is no template {message.template}"))
    if message.template is None and not (message.title or "").strip():
        found.append(FieldError("title", "is needed unless a template is given"))
    context = _trial(message.data, project_facts, with_event=with_event)
    if template is None:
        contents = [("", words.content(message, None, None))]
    else:
        contents = [("", words.content(message, template, locale)) for locale in template.locales]
    return found + words.problems(message, contents, context)


def check_template(template: Template, project_facts: Json) -> list[FieldError]:
    """Texts that are not minijinja or use what does not exist; what data will bring is not known yet."""
    if template.default_locale not in template.locales:
        return [FieldError("default_locale", f"must be one of {', '.join(template.locales) or 'the locales'}")]
    context = {**_trial({}, project_facts, with_event=True), "data": words.ANYTHING}
    contents = [(f"locales.{locale}.", content) for locale, content in template.locales.items()]
    return words.problems(Message(), contents, context)


def check_automation(
    automation: Automation,
    categories: Mapping[str, Category],
    templates: Mapping[str, Template],
    project_facts: Json,
) -> list[FieldError]:
    """The fields of its notification, under their full names."""
    problems = check_message(automation.notification, categories, templates, project_facts, with_event=True)
    return [FieldError(f"notification.{name}", text) for name, text in problems]


def check_category(category: Category, templates: Mapping[str, Template]) -> list[FieldError]:
    """Templates that it lists but that do not exist; a category without a channel."""
    found = [
        FieldError(f"templates[{at}]", f"there is no template {name}")
        for at, name in enumerate(category.templates or ())
        if name not in templates
    ]
    if not category.channels:
        found.append(FieldError("channels", "needs at least one"))
    return found


def _trial(data: Json, project_facts: Json, *, with_event: bool) -> Json:
    context: Json = {"user": words.ANYTHING, "data": data, "project": project_facts, "now": "2026-01-01T00:00:00+00:00"}
    if with_event:
        context["event"] = words.ANYTHING
    return context
