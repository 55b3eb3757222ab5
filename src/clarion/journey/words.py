"""The words of a message: minijinja texts, in the language that fits, with a limit on what they may cost."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from minijinja import Environment, TemplateError

from clarion.errors import FieldError
from clarion.model import Action, Content, Message, Template

FUEL = 20_000
_MARKS = ("{{", "{%", "{#")


class Words(NamedTuple):
    """The texts of one message."""

    title: str
    body: str
    url: str | None
    actions: list[Action]


class TextError(Exception):
    """A text does not render; `field` says which."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


def content(message: Message, template: Template | None, locale: str | None) -> Content:
    """The texts of a message in the best language: exact, then the language alone, then the template's default.

    What the message says itself goes before what its template says.
    """
    found = _localised(template, locale) if template is not None else None
    return Content(
        title=message.title if message.title is not None else (found.title if found else ""),
        body=message.body if message.body is not None else (found.body if found else ""),
        url=message.url if message.url is not None else (found.url if found else None),
    )


def _localised(template: Template, locale: str | None) -> Content | None:
    by_name = {name.lower().replace("_", "-"): text for name, text in template.locales.items()}
    wanted = (locale or "").lower().replace("_", "-")
    for name in (wanted, wanted.split("-")[0], template.default_locale.lower().replace("_", "-")):
        if name in by_name:
            return by_name[name]
    return next(iter(by_name.values()), None)


def environment() -> Environment:
    """Strict about missing values, without HTML escapes, with a bound on work."""
    env = Environment()
    env.undefined_behavior = "strict"
    env.auto_escape_callback = lambda _name: False
    env.fuel = FUEL
    return env


class Texts:
    """One message in one language, compiled once and rendered for many.

    `personal` tells whether any text looks at the user; if not, rendering once serves everybody.
    """

    def __init__(self, message: Message, content: Content) -> None:
        """Raises TextError when a text is not minijinja."""
        self._env = environment()
        self._actions = message.actions
        self._sources = dict(_sources(content, message.actions))
        self._dynamic: set[str] = set()
        names: set[str] = set()
        for field, source in self._sources.items():
            if not any(mark in source for mark in _MARKS):
                continue
            self._dynamic.add(field)
            try:
                self._env.add_template(field, source)
                names |= self._env.undeclared_variables_in_str(source)
            except TemplateError as error:
                raise _text_error(field, error) from None
        self.personal = "user" in names
        self.needs_event = "event" in names

    def render(self, context: Mapping[str, Any]) -> dict[str, str]:
        """The texts that hold minijinja, by field. Raises TextError at a missing value or when the fuel runs out."""
        return {field: self._one(field, context) for field in self._dynamic}

    def with_blanks(self, blank: Callable[[str], str]) -> Words:
        """All texts, with `blank(field)` in place of those that are still to be rendered."""
        texts = {field: blank(field) if field in self._dynamic else text for field, text in self._sources.items()}
        actions = [
            msgspec.structs.replace(action, title=texts[f"actions[{at}].title"], url=texts.get(f"actions[{at}].url"))
            for at, action in enumerate(self._actions)
        ]
        return Words(texts["title"], texts["body"], texts.get("url"), actions)

    def _one(self, field: str, context: Mapping[str, Any]) -> str:
        try:
            return self._env.render_template(field, **context)
        except TemplateError as error:
            raise _text_error(field, error) from None


def _sources(content: Content, actions: list[Action]) -> Iterator[tuple[str, str]]:
    yield "title", content.title
    yield "body", content.body
    if content.url is not None:
        yield "url", content.url
    for at, action in enumerate(actions):
        yield f"actions[{at}].title", action.title
        if action.url is not None:
            yield f"actions[{at}].url", action.url


def _text_error(field: str, error: TemplateError) -> TextError:
    return TextError(field, error.message.rsplit(" (in ", 1)[0])


# --- checking before anything is stored -------------------------------------------------------------------------------


class _Anything:
    """Stands for a user or an event that is not known yet: has every field."""

    def __getattr__(self, name: str) -> "_Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: object) -> "_Anything":
        return self

    def __str__(self) -> str:
        return "…"


ANYTHING = _Anything()
_CERTAIN = {"UndefinedError", "UnknownFilter", "UnknownTest", "UnknownFunction", "SyntaxError", "OutOfFuel"}


def problems(message: Message, contents: Iterable[tuple[str, Content]], context: Mapping[str, Any]) -> list[FieldError]:
    """What is certainly wrong with the texts whoever gets them. `contents`: pairs of field prefix and content.

    The context is trial data: what is known (`data`, `project`) is real, the rest is `ANYTHING`; an error that such
    stand-ins may themselves have caused is no problem.
    """
    env = environment()
    found = []
    for prefix, text in contents:
        for field, source in _sources(text, message.actions):
            try:
                env.render_str(source, **context)
            except TemplateError as error:
                if error.kind in _CERTAIN:
                    found.append(FieldError(f"{prefix}{field}", _text_error(field, error).detail))
    return found
