"""Digests at the door: what is certainly wrong with one, said before its category is stored."""

from collections.abc import Mapping
from typing import TypeAlias

from clarion.errors import FieldError
from clarion.journey.texts import words
from clarion.model import Category, CategoryClass, Digest, Json, Message, Partial, SlidingWindow, Template

Partials: TypeAlias = Mapping[str, Partial]
_NOW = "2026-01-01T00:00:00+00:00"
_WHY = {
    CategoryClass.MANDATORY: "must be left out: mandatory messages are never held back",
    CategoryClass.MARKETING: "must be left out: only informational messages are collected",
}


def check(
    category: Category,
    digest: Digest,
    templates: Mapping[str, Template],
    project_facts: Json,
    partials: Mapping[str, Partial],
) -> list[FieldError]:
    """Every wrong field, without the `digest.` before it; an empty name is all of it."""
    if category.class_ is not CategoryClass.INFORMATIONAL:
        return [FieldError("", _WHY[category.class_])]
    return [
        *_contradictions(digest),
        *_words(category, digest, templates, project_facts, partials),
        *_key(digest, project_facts),
    ]


def _contradictions(digest: Digest) -> list[FieldError]:
    window, found = digest.window, []
    if isinstance(window, SlidingWindow) and window.max_seconds < window.seconds:
        found.append(FieldError("window.max_seconds", f"must be at least seconds, {window.seconds}"))
    if digest.max_items < digest.min_items:
        found.append(FieldError("max_items", f"must be at least min_items, {digest.min_items}"))
    return found


def _words(
    category: Category,
    digest: Digest,
    templates: Mapping[str, Template],
    project_facts: Json,
    partials: Mapping[str, Partial],
) -> list[FieldError]:
    """A template that is not there, or that the category does not take; texts that render for nobody."""
    template = templates.get(digest.template) if digest.template is not None else None
    if digest.template is not None and template is None:
        return [FieldError("template", f"there is no template {digest.template}")]
    if template is not None and category.templates is not None and template.name not in category.templates:
        return [FieldError("template", f"must be one of {', '.join(category.templates)}, which the category lists")]
    if template is None and category.templates is not None:
        return [FieldError("template", "is needed: the category only takes the templates that it lists")]
    if template is None and not (digest.title or "").strip():
        return [FieldError("title", "is needed unless a template is given")]
    message = Message(title=digest.title, body=digest.body, url=digest.url)
    locales = [None] if template is None else list(template.locales)
    contents = [("", words.chosen(message, template, locale)) for locale in locales]
    untitled = [FieldError(words.TITLE, wrong) for _, one in contents if (wrong := words.untitled(one)) is not None]
    return untitled + words.problems(contents, _trial(project_facts), partials)


def _key(digest: Digest, project_facts: Json) -> list[FieldError]:
    if digest.key is None:
        return []
    context = {"data": words.ANYTHING, "event": words.ANYTHING, "project": project_facts}
    wrong = words.problem("key", digest.key, context, {"data", "event"})
    return [FieldError("key", wrong)] if wrong else []


def _trial(project_facts: Json) -> Json:
    known = {"user": words.ANYTHING, "data": {"count": 2}, "project": project_facts, "now": _NOW, "count": 2}
    return known | dict.fromkeys(("items", "first", "last"), words.ANYTHING)
