"""What is asked of `/v1/lint` and of `clarion lint`: is this message, or this template, honest and fit to be shown?"""

from collections.abc import Mapping

from clarion.api import messages
from clarion.api.answers.lint import LintAnswer
from clarion.api.schemas import LintBody
from clarion.errors import FieldError, InvalidRequest
from clarion.journey import draft
from clarion.journey.texts import honesty
from clarion.journey.texts.partials import NO_PARTIALS
from clarion.model import Category, Json, Partial, ProjectSettings, Template


def lint(
    body: LintBody,
    settings: ProjectSettings,
    categories: Mapping[str, Category],
    templates: Mapping[str, Template],
    project_facts: Json,
    partials: Mapping[str, Partial] = NO_PARTIALS,
) -> LintAnswer:
    """What the rules say of it. Raises InvalidRequest for what could not even be sent, naming the fields."""
    if body.locales is not None:
        return LintAnswer.of(honesty.findings(_template(body, project_facts, partials), settings))
    message = messages.message(body)
    _refuse(draft.check_message(message, categories, templates, project_facts, partials, with_event=True))
    looked_at = honesty.of_wordings(message, categories, templates, project_facts, body.locale, partials)
    return LintAnswer.of(honesty.all_findings(message, looked_at, settings))


def _template(body: LintBody, project_facts: Json, partials: Mapping[str, Partial]) -> honesty.Draft:
    """`data` beside `locales` is an example of what the template will be rendered with."""
    for field in ("template", "title", "body"):
        if getattr(body, field) is not None:
            raise InvalidRequest.field(field, "cannot stand beside locales: give a message, or a template")
    locales = messages.contents(body.locales or {})
    default = body.default_locale or ("en" if "en" in locales else next(iter(locales)))
    template = Template(name=body.name or "template", default_locale=default, locales=locales)
    _refuse(draft.check_template(template, project_facts, partials))
    return honesty.of_template(template, project_facts, body.data, partials)


def _refuse(problems: list[FieldError]) -> None:
    if problems:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in problems), errors=problems)
