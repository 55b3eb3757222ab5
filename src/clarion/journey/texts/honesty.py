"""Honesty: a message or a template as the rules of `intelligence.honesty` look at it, and what they say of it.

Nothing is guessed from the text where it can be tried: who gets no message for want of a name is found by rendering it
for somebody without one.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from minijinja import TemplateError

from clarion.errors import FieldError
from clarion.intelligence.honesty import BLANK, RULES, Facts, Finding, Said, Subject, lint, without_tags
from clarion.journey.texts import words
from clarion.journey.texts.filters import Anything, Filters
from clarion.journey.texts.partials import NO_PARTIALS, expanded
from clarion.journey.texts.taming import Refused, tamed
from clarion.journey.texts.wordings import every, placed
from clarion.model import Category, CategoryClass, Content, Digest, Json, Message, Partial, ProjectSettings, Template

OFF, WARN, BLOCK = "off", "warn", "block"
LEVELS = (OFF, WARN, BLOCK)

_NOBODY = {"user_id": "1", "locale": None, "timezone": None}
_ALWAYS_THERE = frozenset({"user_id", "locale", "timezone"})
_MAY_BE_NONE = ("locale", "timezone")
_BOTH = ("title", "body")
_MOST_NAMES = 20
_LONGEST = 2_000
"""Characters of a text that are looked at; no screen shows more."""
_Render: TypeAlias = Callable[[str, Json, Any], str]
"""A text, what it sees, and the person."""
_NONE = re.compile(r"\bnone\b", re.IGNORECASE)


def levels(settings: ProjectSettings) -> dict[str, str]:
    """What each rule does in a project: `off`, `warn` or `block`."""
    return {name: settings.lint.get(name, WARN) for name in RULES}


def blocking(settings: ProjectSettings) -> frozenset[str]:
    """The rules that let nothing through; mostly none."""
    if not settings.lint:
        return frozenset()
    return frozenset(name for name, level in settings.lint.items() if level == BLOCK and name in RULES)


def unknown(rule: str) -> str | None:
    """What to say of a name that is no rule; None if it is one."""
    if rule in RULES:
        return None
    close = difflib.get_close_matches(rule, RULES, n=1)
    return f"is no rule; did you mean {close[0]}?" if close else f"is no rule; there are {', '.join(RULES)}"


class Draft(NamedTuple):
    """What is looked at: a message, or a template on its own. `locale`: of what the message says itself.

    `data` None: it will come later, and may hold anything. `may_hurry`: its category is mandatory.
    """

    message: Message
    template: Template | None
    project_facts: Json
    data: Json | None
    locale: str | None = None
    may_hurry: bool = False
    is_message: bool = True
    partials: Mapping[str, Partial] = NO_PARTIALS


def of_message(
    message: Message,
    categories: Mapping[str, Category],
    templates: Mapping[str, Template],
    project_facts: Json,
    locale: str | None = None,
    partials: Mapping[str, Partial] = NO_PARTIALS,
) -> Draft:
    """A message that was checked, in one wording: its category and its template exist."""
    category = categories.get(message.category)
    may_hurry = category is not None and category.class_ is CategoryClass.MANDATORY
    template = words.template_of(message, templates)
    return Draft(message, template, project_facts, message.data, locale, may_hurry, partials=partials)


def of_template(
    template: Template,
    project_facts: Json,
    data: Json | None = None,
    partials: Mapping[str, Partial] = NO_PARTIALS,
) -> Draft:
    """A template on its own. `data`: an example of what it will be rendered with."""
    return Draft(Message(), template, project_facts, data, is_message=False, partials=partials)


def of_digest(
    digest: Digest,
    templates: Mapping[str, Template],
    project_facts: Json,
    partials: Mapping[str, Partial] = NO_PARTIALS,
) -> Draft:
    """What a digest says, which was checked: its template exists. What it stands for comes later."""
    message = Message(title=digest.title, body=digest.body, template=digest.template)
    return Draft(message, words.template_of(message, templates), project_facts, None, partials=partials)


def findings(draft: Draft, settings: ProjectSettings) -> list[Finding]:
    """What the project's rules say, in every language that the draft has."""
    told = levels(settings)
    return list(_findings(draft, [name for name in RULES if told[name] != OFF], blocking(settings)))


def refusals(draft: Draft, settings: ProjectSettings) -> list[FieldError]:
    """What the rules that the project lets block find. If none does, nothing is looked at."""
    rules = blocking(settings)
    return blocked(_findings(draft, rules, rules)) if rules else []


def of_wordings(
    message: Message,
    categories: Mapping[str, Category],
    templates: Mapping[str, Template],
    project_facts: Json,
    locale: str | None = None,
    partials: Mapping[str, Partial] = NO_PARTIALS,
) -> list[Draft]:
    """A message that was checked, in each of its wordings."""
    said = every(message)
    return [of_message(one, categories, templates, project_facts, locale, partials) for one in said]


def all_findings(message: Message, wordings: Sequence[Draft], settings: ProjectSettings) -> list[Finding]:
    """What the project's rules say of each wording, at its place in the message."""
    return _all_placed(message, (findings(one, settings) for one in wordings))


def all_refusals(message: Message, wordings: Sequence[Draft], settings: ProjectSettings) -> list[FieldError]:
    """The same of `refusals`."""
    rules = blocking(settings)
    if not rules:
        return []
    return blocked(_all_placed(message, (_findings(one, rules, rules) for one in wordings)))


def _all_placed(message: Message, found: Iterable[Iterable[Finding]]) -> list[Finding]:
    each = (one._replace(field=placed(message, at, one.field)) for at, some in enumerate(found) for one in some)
    return list(dict.fromkeys(each))


def blocked(found: Iterable[Finding]) -> list[FieldError]:
    """Those of the findings that block, as errors."""
    return [FieldError(each.field, _sentence(each)) for each in found if each.blocks]


def _sentence(finding: Finding) -> str:
    where = f" ({finding.locale})" if finding.locale else ""
    return f"{finding.message}{where}; {finding.instead} (the rule {finding.rule} blocks in this project)"


def _findings(draft: Draft, rules: Collection[str], blocking: Collection[str]) -> Iterator[Finding]:
    trial = _Trial(draft, rules)
    for place, locale, content, fields in _contents(draft):
        for found in lint(trial.subject(locale, content), rules, blocking):
            if found.field not in fields:
                continue
            yield found if draft.is_message else found._replace(field=f"{place}{found.field}")


def _contents(draft: Draft) -> Iterable[tuple[str, str | None, Content, Collection[str]]]:
    """The place of each in a template, its language, what it says, and which of its fields are said there first."""
    if draft.template is None:
        return [("", draft.locale, words.chosen(draft.message, None, None).content, _BOTH)]
    said = draft.message
    if said.title is not None and said.body is not None:  # the same words in every language
        return [("", draft.locale, words.chosen(said, draft.template, None).content, _BOTH)]
    every: list[tuple[str, str | None, Content, Collection[str]]] = []
    for locale, text in draft.template.locales.items():
        usual = words.chosen(said, draft.template, locale).content
        every.append((f"locales.{locale}.", locale, usual, _BOTH))
        for kind in text.platforms:
            there = words.chosen(said, draft.template, locale, kind).content
            fields = [field for field in _BOTH if getattr(there, field) != getattr(usual, field)]
            every.append((f"locales.{locale}.platforms.{kind}.", locale, there, fields))
    return every


# --- trying a text out -----------------------------------------------------------------------------------------------


_UNKNOWN = Anything(BLANK)
_STAND_INS: tuple[Any, ...] = (_UNKNOWN, 1, BLANK, [BLANK])


class _Person:
    """Somebody of whom only some attributes are known, each as the same stand-in; `refused`: the last that was not."""

    def __init__(self, known: Collection[str] | None, stand_in: Any) -> None:
        """`known` None: all of them."""
        self._known = known
        self._stand_in = stand_in
        self.refused: str | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._known is not None and name not in self._known:
            self.refused = name
            raise AttributeError(name)
        return self._stand_in

    def get(self, name: str, default: Any = None) -> Any:
        """As that of a dict, which a user is when it matters."""
        return self._stand_in if self._known is None or name in self._known else default


class _Trial:
    """Renders the texts of a draft for people who are not there, as far as the rules ask for it."""

    def __init__(self, draft: Draft, rules: Collection[str]) -> None:
        data: Any = _UNKNOWN if draft.data is None else draft.data
        self._draft = draft
        self._context = {"data": data, "project": draft.project_facts, "event": _UNKNOWN, "now": BLANK}
        self._context |= dict.fromkeys(words.OF_DIGESTS, _UNKNOWN)
        self._facts = Facts(draft.data or {})
        self._filters = Filters()
        self._env = words.environment(self._filters)
        self._looks_for_missing = "personalisation" in rules
        self._looks_for_least = "title_empty" in rules

    def subject(self, locale: str | None, content: Content) -> Subject:
        """The message in one language."""
        draft = self._draft
        title, body = self._said(content.title, locale), self._said(content.body, locale)
        return Subject(title, body, locale, self._facts, draft.may_hurry)

    def _render(self, source: str, context: Json, user: Any) -> str:
        self._filters.begin()
        return self._env.render_str(source, **context, user=user)

    def _said(self, source: str, locale: str | None) -> Said:
        if not words.has_marks(source):
            return Said.plain(source[:_LONGEST])
        env, render, context, literal = self._env, self._render, self._context, without_tags(source)
        try:
            source = expanded(source, self._draft.partials, locale)
            literal, source = without_tags(source), tamed(source).source
            names = env.undeclared_variables_in_str(source, nested=True)
        except (TemplateError, Refused):  # said by the checks of a draft; here it is a text like any other
            return Said.plain(literal[:_LONGEST])
        everybody = (_Person(None, stand_in) for stand_in in _STAND_INS)
        shown = next(
            (text for each in everybody if (text := _rendered(render, source, context, each)) is not None), literal
        )
        is_personal = any(name.partition(".")[0] == "user" for name in names)
        return Said(
            literal[:_LONGEST],
            shown[:_LONGEST],
            _rendered(render, source, context, _NOBODY) if self._looks_for_least else None,
            tuple(_missing(render, source, context)) if is_personal and self._looks_for_missing else (),
            frozenset(names),
        )


def _rendered(render: _Render, source: str, context: Json, user: Any) -> str | None:
    try:
        return render(source, context, user)
    except Exception:  # noqa: BLE001 - whatever a stand-in cannot do says nothing about the text
        return None


def _missing(render: _Render, source: str, context: Json) -> Iterator[str]:
    """What the text asks of a user without a default: it is rendered for somebody who lacks it, again and again."""
    found = dict[str, None]()
    for stand_in in _STAND_INS:
        known = set(_ALWAYS_THERE)
        while len(known) < _MOST_NAMES:
            person = _Person(known, stand_in)
            try:
                render(source, context, person)
            except Exception as error:  # noqa: BLE001 - the same
                if person.refused is None or "undefined" not in str(error):
                    break
                found[f"user.{person.refused}"] = None
                known.add(person.refused)
            else:
                break
    yield from found
    yield from (f"user.{name}" for name in _MAY_BE_NONE if _lacks(render, source, context, name))


def _lacks(render: _Render, source: str, context: Json, name: str) -> bool:
    """Whether somebody without a language or time zone gets nothing, or reads the word None in its place."""

    def read(value: str | None) -> str | None:
        known = {"user_id": "1", "locale": BLANK, "timezone": BLANK, name: value}
        return _rendered(render, source, context, known)

    with_it, without = read(BLANK), read(None)
    return with_it is not None and (without is None or _counted(without) > _counted(with_it))


def _counted(text: str) -> int:
    return len(_NONE.findall(text))
