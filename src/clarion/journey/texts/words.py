"""The words of a message: minijinja texts, in the language that fits, with a limit on what they may cost."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from minijinja import Environment, TemplateError

from clarion.errors import FieldError
from clarion.intelligence.widths import is_blank
from clarion.journey.texts.filters import STAND_IN, Anything, Filters, Misused, bounded_range
from clarion.journey.texts.locales import best, spoken
from clarion.journey.texts.partials import NO_PARTIALS, expanded
from clarion.journey.texts.taming import REMOVED_GLOBALS, Refused, Tamed, tamed
from clarion.model import (
    Action,
    Content,
    DeviceKind,
    Event,
    Json,
    Message,
    Millis,
    Partial,
    PlatformContent,
    Project,
    Template,
)
from clarion.ports import Recipient

FUEL = 20_000
LONGEST = 10_000
"""Characters that a text may render to; no payload takes more."""
_MARKS = ("{{", "{%", "{#")
_LINK_FIELDS = {"url", "icon", "image", "badge"}
_LINK = re.compile(r"(https?://\S+)?", re.IGNORECASE)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
TITLE = "title"
_NEEDS_TITLE = "a notification needs a title"
_NO_LINK = "must render to an http:// or https:// URL, or to nothing"
_AS_EVERYWHERE = PlatformContent()


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


class Chosen(NamedTuple):
    """The texts of a message for one language and kind of device, still to be rendered.

    `message`: with the pictures and the sound of that device; `locale`: of the words, None where nobody said.
    """

    message: Message
    content: Content
    locale: str | None


def version_key(name: str, version: int | None) -> str:
    """Under what a template is kept beside others: the newest by its name, a version that somebody named by both."""
    return name if version is None else f"{name}@{version}"


def template_of(message: Message, templates: Mapping[str, Template]) -> Template | None:
    """The template that a message names, in the version that it names."""
    return None if message.template is None else templates.get(version_key(message.template, message.template_version))


def chosen(message: Message, template: Template | None, locale: str | None, kind: DeviceKind | None = None) -> Chosen:
    """The texts in the best language: exact, then ever more general, then the template's default.

    What the message says itself goes before what its template says of the kind of device, and that before the rest.
    """
    found = best(template.locales, locale, template.default_locale) if template is not None else None
    if found is None:
        return Chosen(message, Content(title=message.title or "", body=message.body or "", url=message.url), None)
    said, there = found[1], _AS_EVERYWHERE
    if kind is not None and kind in said.platforms:
        there = said.platforms[kind]
        told = {name: getattr(there, name) for name in ("icon", "image", "badge", "sound")}
        more = {name: value for name, value in told.items() if value is not None and getattr(message, name) is None}
        message = msgspec.structs.replace(message, **more) if more else message
    content = Content(
        title=_first(message.title, there.title, said.title) or "",
        body=_first(message.body, there.body, said.body) or "",
        url=_first(message.url, there.url, said.url),
    )
    return Chosen(message, content, found[0])


def untitled(told: Chosen) -> str | None:
    """What is wrong with a title that says nothing, as it is written; None if it is not so."""
    return _no_title(told.message, told.locale, "is empty") if is_blank(told.content.title) else None


def titled(told: Chosen) -> Chosen:
    """The same. Raises TextError: its title says nothing, as it is written."""
    if (wrong := untitled(told)) is not None:
        raise TextError(TITLE, wrong)
    return told


def _no_title(message: Message, locale: str | None, how: str) -> str:
    """Where to look for it: in the words of a template, unless the message has its own."""
    if message.title is not None or locale is None:
        return f"{how}: {_NEEDS_TITLE}"
    template = f" of the template {message.template}" if message.template is not None else ""
    return f"{how} in {locale}{template}: {_NEEDS_TITLE}"


def _first(*texts: str | None) -> str | None:
    return next((text for text in texts if text is not None), None)


class Setting(NamedTuple):
    """With what at hand a text is compiled.

    `locale`: the person's; `text_locale`: of the words; `zone`: of who has none.
    """

    locale: str | None = None
    text_locale: str | None = None
    partials: Mapping[str, Partial] = NO_PARTIALS
    zone: str = "UTC"


def environment(filters: Filters | None = None) -> Environment:
    """Strict about missing values, without HTML escapes, with a bound on work. Texts must be tamed."""
    env = Environment()
    env.undefined_behavior = "strict"
    env.auto_escape_callback = lambda _name: False
    env.fuel = FUEL
    for name in REMOVED_GLOBALS:
        env.remove_global(name)
    env.add_global("range", bounded_range)
    (filters or Filters()).add_to(env)
    return env


def prepared(source: str, partials: Mapping[str, Partial], locale: str | None) -> Tamed:
    """A text as it is compiled. Raises Refused."""
    return tamed(expanded(source, partials, locale))


class Texts:
    """One message in one language, compiled once and rendered for many.

    `personal` tells whether any text looks at the user, or at their clock; if not, rendering once serves everybody.
    `names`: what the texts look at, of all that they may see.
    """

    def __init__(self, message: Message, content: Content, setting: Setting | None = None) -> None:
        """Raises TextError when a text is not minijinja."""
        self._setting = setting = setting or Setting()
        self._filters = Filters(spoken(setting.locale, setting.text_locale), setting.text_locale)
        self._env: Environment | None = None
        self._message = message
        self._sources = dict(_sources(content, message))
        self._dynamic: dict[str, bool] = {}  # and whether it is a link
        self.personal = False
        self.names: frozenset[str] = frozenset()
        for field, source in self._sources.items():
            if has_marks(source):
                self._add(field, source)
        self.personal = self.personal or "user" in self.names

    def _add(self, field: str, source: str) -> None:
        if self._env is None:
            self._env = environment(self._filters)
        self._dynamic[field] = _is_link(field)
        try:
            text = prepared(source, self._setting.partials, self._setting.text_locale or self._setting.locale)
            self._env.add_template(field, text.source)
            self.names |= self._env.undeclared_variables_in_str(text.source)
        except Refused as error:
            raise TextError(field, str(error)) from None
        except TemplateError as error:
            raise _text_error(field, error) from None
        self.personal = self.personal or text.is_zoned

    def render(self, context: Mapping[str, Any]) -> dict[str, str]:
        """The texts that hold minijinja, by field.

        Raises:
            TextError: a value is missing, the fuel runs out, it becomes too long, the title says nothing, or a link
                renders to something else.
        """
        rendered: dict[str, str] = {}
        env = self._env
        if env is None:
            return rendered
        zone = (context["user"].get("timezone") if "user" in context else None) or self._setting.zone
        for field, is_link in self._dynamic.items():
            self._filters.begin(zone)
            try:
                text = rendered[field] = env.render_template(field, **context)
            except TemplateError as error:
                raise _text_error(field, error) from None
            except Exception as error:  # noqa: BLE001 - a text may call whatever Python's values have
                raise TextError(field, f"cannot be rendered: {error}") from None
            if len(text) > LONGEST:
                raise TextError(field, f"renders to more than {LONGEST:,} characters")
            if is_link and _LINK.fullmatch(text) is None:  # a person's data may have brought anything
                raise TextError(field, _NO_LINK)
            if field == TITLE and is_blank(text):
                raise TextError(field, _no_title(self._message, self._setting.text_locale, "renders to nothing"))
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
            for at, action in enumerate(self._message.actions)
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
    """What is wrong; of a text of several lines, in which."""
    line = f" (line {error.line})" if error.line is not None and error.line > 1 else ""
    return error.message.rsplit(" (in ", 1)[0] + line


def has_marks(text: str) -> bool:
    """Whether it is minijinja, and not just what it says."""
    return any(mark in text for mark in _MARKS)


# --- what texts and conditions see ------------------------------------------------------------------------------------


OF_DIGESTS = ("items", "count", "first", "last")
"""What the texts of a digest see beside what all texts do."""


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


ANYTHING = Anything(STAND_IN)
CERTAIN = frozenset({"UndefinedError", "UnknownFilter", "UnknownTest", "UnknownFunction", "SyntaxError", "OutOfFuel"})
"""Kinds of errors that no person's data mends."""


def problems(
    contents: Iterable[tuple[str, Chosen]], context: Mapping[str, Any], partials: Mapping[str, Partial]
) -> list[FieldError]:
    """What is certainly wrong with the texts whoever gets them. `contents`: pairs of field prefix and texts.

    The context is trial data: what is known (`data`, `project`) is real, the rest is `ANYTHING`; an error that such
    stand-ins may themselves have caused is no problem.
    """
    open_names = {name for name, value in context.items() if value is ANYTHING}
    found = []
    for prefix, (message, text, locale) in contents:
        for field, source in _sources(text, message):
            if not has_marks(source):
                continue
            try:
                wrong = problem(field, expanded(source, partials, locale), context, open_names, locale)
            except Refused as refused:
                wrong = str(refused)
            if wrong is not None:
                found.append(FieldError(f"{prefix}{field}", wrong))
    return list(dict.fromkeys(found))


def problem(
    field: str, source: str, context: Mapping[str, Any], open_names: set[str], locale: str | None = None
) -> str | None:
    """What is certainly wrong with one text; `open_names` are those of the context whose values are stand-ins."""
    env, all_is_known = environment(Filters(locale)), False
    try:
        source = tamed(source).source
        all_is_known = open_names.isdisjoint(env.undeclared_variables_in_str(source))
        text = env.render_str(source, **context)
    except Refused as refused:
        return str(refused)
    except TemplateError as error:
        is_certain = all_is_known or isinstance(error, Misused) or error.kind in CERTAIN
        return detail_of(error) if is_certain else None
    except Exception as error:  # noqa: BLE001 - a text may call whatever Python's values have
        return f"cannot be rendered: {error}" if all_is_known else None
    if all_is_known and len(text) > LONGEST:
        return f"renders to more than {LONGEST:,} characters"
    if all_is_known and field == TITLE and is_blank(text):
        return f"renders to nothing: {_NEEDS_TITLE}"
    is_bad = _is_link(field) and _LINK.fullmatch(text) is None
    return _NO_LINK if all_is_known and is_bad else None
