"""The words of a message: minijinja texts, in the language that fits, with a limit on what they may cost."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from minijinja import Environment, TemplateError

from clarion.errors import FieldError
from clarion.model import Action, Content, Event, Json, Message, Millis, Project, Template
from clarion.ports import Recipient

FUEL = 20_000
_MARKS = ("{{", "{%", "{#")
_LINK_FIELDS = {"url", "icon", "image", "badge"}
_LINK = re.compile(r"(https?://\S+)?", re.IGNORECASE)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_NO_LINK = "must render to an http:// or https:// URL, or to nothing"


class Words(NamedTuple):
    """The texts of one message."""

    title: str
    body: str
    url: str | None
    icon: str | None
    image: str | None
    badge: str | None
    actions: list[Action]


class TextError(Exception):
    """A text does not render; `field` says which."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


def content(message: Message, template: Template | None, locale: str | None) -> Content:
    """The texts of a message in the best language: exact, then ever more general, then the template's default.

    What the message says itself goes before what its template says.
    """
    found = _localised(template, locale) if template is not None else None
    return Content(
        title=message.title if message.title is not None else (found.title if found else ""),
        body=message.body if message.body is not None else (found.body if found else ""),
        url=message.url if message.url is not None else (found.url if found else None),
    )


def _localised(template: Template, locale: str | None) -> Content | None:
    by_name = {_tag(name): text for name, text in template.locales.items()}
    wanted = _tag(locale or "")
    while wanted and wanted not in by_name:
        # RFC 4647 section 3.4: the last subtag goes, and with it a single letter or digit that led to it.
        wanted = re.sub(r"(-\w)?-?[^-]*$", "", wanted)
    return by_name.get(wanted) or by_name.get(_tag(template.default_locale)) or next(iter(by_name.values()), None)


def _tag(locale: str) -> str:
    return locale.lower().replace("_", "-")


def environment() -> Environment:
    """Strict about missing values, without HTML escapes, with a bound on work."""
    env = Environment()
    env.undefined_behavior = "strict"
    env.auto_escape_callback = lambda _name: False
    env.fuel = FUEL
    return env


class Texts:
    """One message in one language, compiled once and rendered for many.

    `personal` tells whether any text looks at the user; if not, rendering once serves everybody. `names`: what the
    texts look at, of all that they may see.
    """

    def __init__(self, message: Message, content: Content) -> None:
        """Raises TextError when a text is not minijinja."""
        self._env = environment()
        self._actions = message.actions
        self._sources = dict(_sources(content, message))
        self._dynamic: dict[str, bool] = {}  # and whether it is a link
        names: set[str] = set()
        for field, source in self._sources.items():
            if not has_marks(source):
                continue
            self._dynamic[field] = _is_link(field)
            try:
                self._env.add_template(field, source)
                names |= self._env.undeclared_variables_in_str(source)
            except TemplateError as error:
                raise _text_error(field, error) from None
        self.personal = "user" in names
        self.names = frozenset(names)

    def render(self, context: Mapping[str, Any]) -> dict[str, str]:
        """The texts that hold minijinja, by field.

        Raises:
            TextError: a value is missing, the fuel runs out, or a link renders to something else.
        """
        rendered = {}
        for field, is_link in self._dynamic.items():
            try:
                text = rendered[field] = self._env.render_template(field, **context)
            except TemplateError as error:
                raise _text_error(field, error) from None
            if is_link and _LINK.fullmatch(text) is None:  # a person's data may have brought anything
                raise TextError(field, _NO_LINK)
        return rendered

    def sizes(self, rendered: Mapping[str, bytes]) -> dict[str, int]:
        """Bytes by field, of those in `rendered` as they are there."""
        return {field: len(rendered.get(field) or source.encode()) for field, source in self._sources.items()}

    def with_blanks(self, blank: Callable[[str], str]) -> Words:
        """All texts, with `blank(field)` in place of those that are still to be rendered."""
        texts = {field: blank(field) if field in self._dynamic else text for field, text in self._sources.items()}
        actions = [
            msgspec.structs.replace(
                action,
                title=texts[f"actions[{at}].title"],
                url=texts.get(f"actions[{at}].url"),
                icon=texts.get(f"actions[{at}].icon"),
            )
            for at, action in enumerate(self._actions)
        ]
        return Words(
            title=texts["title"],
            body=texts["body"],
            url=texts.get("url"),
            icon=texts.get("icon"),
            image=texts.get("image"),
            badge=texts.get("badge"),
            actions=actions,
        )


def _sources(content: Content, message: Message) -> Iterator[tuple[str, str]]:
    texts = {
        "title": content.title,
        "body": content.body,
        "url": content.url,
        "icon": message.icon,
        "image": message.image,
        "badge": message.badge,
    }
    for at, action in enumerate(message.actions):
        place = f"actions[{at}]."
        texts |= {f"{place}title": action.title, f"{place}url": action.url, f"{place}icon": action.icon}
    yield from ((field, text) for field, text in texts.items() if text is not None)


def _is_link(field: str) -> bool:
    return field.rpartition(".")[2] in _LINK_FIELDS


def _text_error(field: str, error: TemplateError) -> TextError:
    return TextError(field, detail_of(error))


def detail_of(error: TemplateError) -> str:
    """What is wrong, without the place: our templates are one line."""
    return error.message.rsplit(" (in ", 1)[0]


def has_marks(text: str) -> bool:
    """Whether it is minijinja, and not just what it says."""
    return any(mark in text for mark in _MARKS)


# --- what texts and conditions see ------------------------------------------------------------------------------------


def project_facts(project: Project) -> Json:
    """A project."""
    return {"id": project.id, "name": project.name}


def time_told(now: Millis) -> str:
    """The time as `now` has it."""
    return datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="seconds")


def user_facts(recipient: Recipient, locale: str | None = None) -> Json:
    """A person by their attributes, and their own fields, which win; `locale`: of the device, if it has one."""
    user = _decode(recipient.attributes)
    user["user_id"], user["timezone"] = recipient.user_id, recipient.timezone
    user["locale"] = locale or recipient.locale
    return user


def event_facts(event: Event) -> Json:
    """An event by its properties, and its own fields, which win."""
    return {**event.properties, "name": event.name, "properties": event.properties, "id": event.id}


# --- checking before anything is stored -------------------------------------------------------------------------------


class Anything:
    """Stands for a value that is not known yet: has every field, can be called, and reads as `shown`."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __getattr__(self, name: str) -> "Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: object) -> "Anything":
        return self

    def __call__(self, *_values: object, **_named: object) -> "Anything":
        return self

    def __iter__(self) -> Iterator["Anything"]:
        yield self  # or Python would ask for one item after the other, without an end

    def __str__(self) -> str:
        return self._shown


ANYTHING = Anything("…")
CERTAIN = frozenset({"UndefinedError", "UnknownFilter", "UnknownTest", "UnknownFunction", "SyntaxError", "OutOfFuel"})
"""Kinds of errors that no person's data mends."""


def problems(message: Message, contents: Iterable[tuple[str, Content]], context: Mapping[str, Any]) -> list[FieldError]:
    """What is certainly wrong with the texts whoever gets them. `contents`: pairs of field prefix and content.

    The context is trial data: what is known (`data`, `project`) is real, the rest is `ANYTHING`; an error that such
    stand-ins may themselves have caused is no problem.
    """
    env = environment()
    open_names = {name for name, value in context.items() if value is ANYTHING}
    found = [
        FieldError(f"{prefix}{field}", wrong)
        for prefix, text in contents
        for field, source in _sources(text, message)
        if has_marks(source) and (wrong := problem(env, field, source, context, open_names)) is not None
    ]
    return list(dict.fromkeys(found))


def problem(env: Environment, field: str, source: str, context: Mapping[str, Any], open_names: set[str]) -> str | None:
    """What is certainly wrong with one text; `open_names` are those of the context whose values are stand-ins."""
    all_is_known = False
    try:
        all_is_known = open_names.isdisjoint(env.undeclared_variables_in_str(source))
        text = env.render_str(source, **context)
    except TemplateError as error:
        return _text_error(field, error).detail if all_is_known or error.kind in CERTAIN else None
    is_bad = _is_link(field) and _LINK.fullmatch(text) is None
    return _NO_LINK if all_is_known and is_bad else None
