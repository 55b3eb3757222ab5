"""Preview: a template, or a message in all its wordings, as a person would see it on each platform and screen."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from clarion.errors import InvalidRequest
from clarion.intelligence.screens import ANDROID, CHROME, FIREFOX, IPHONE, SCREENS, Cut, Screen, cut
from clarion.journey.texts.wordings import every, placed
from clarion.journey.texts.words import Chosen, Setting, TextError, Texts, chosen, template_of, titled
from clarion.model import DeviceKind, Json, Message, Partial, Template

KIND_OF_PLATFORM: dict[str, DeviceKind] = {
    IPHONE: DeviceKind.APNS,
    ANDROID: DeviceKind.FCM,
    CHROME: DeviceKind.WEBPUSH,
    FIREFOX: DeviceKind.WEBPUSH,
}


class View(NamedTuple):
    """Title and body on one screen."""

    screen: Screen
    title: Cut
    body: Cut


class There(NamedTuple):
    """On one platform."""

    title: str
    body: str
    url: str | None
    views: list[View]


class Preview(NamedTuple):
    """By platform; `locale` is that of the words."""

    template: Template
    locale: str
    platforms: dict[str, There]


class Sight(NamedTuple):
    """How somebody looks at it. `context`: what texts see, as when it is composed; `zone`: of who has none."""

    context: Mapping[str, Any]
    partials: Mapping[str, Partial]
    locale: str | None
    zone: str
    platforms: Iterable[str]


class Wording(NamedTuple):
    """A message in one wording; `key`: of the variant, None where there is only one."""

    key: str | None
    locale: str | None
    platforms: dict[str, There]


def preview(template: Template, sight: Sight) -> Preview:
    """A template on its own.

    Raises:
        InvalidRequest: a text does not render, with its place in the template.
    """
    there: dict[str, There] = {}
    words = template.default_locale
    for platform in sight.platforms:
        kind = KIND_OF_PLATFORM[platform]
        told = chosen(Message(), template, sight.locale, kind)
        words = told.locale or words
        try:
            there[platform] = _there(platform, told, sight)
        except TextError as error:
            raise InvalidRequest.field(_place(template, words, kind, error.field), _advice(error)) from None
    return Preview(template, words, there)


def preview_message(message: Message, templates: Mapping[str, Template], sight: Sight) -> list[Wording]:
    """A message in each of its wordings.

    Raises:
        InvalidRequest: a text does not render, with its place in the message.
    """
    found: list[Wording] = []
    for at, said in enumerate(every(message)):
        template, locale = template_of(said, templates), None
        there: dict[str, There] = {}
        for platform in sight.platforms:
            told = chosen(said, template, sight.locale, KIND_OF_PLATFORM[platform])
            locale = told.locale or locale
            try:
                there[platform] = _there(platform, told, sight)
            except TextError as error:
                raise InvalidRequest.field(placed(message, at, error.field), _advice(error)) from None
        found.append(Wording(message.variants[at].key if message.variants else None, locale, there))
    return found


def _there(platform: str, told: Chosen, sight: Sight) -> There:
    """Raises TextError."""
    titled(told)
    texts = Texts(told.message, told.content, Setting(sight.locale, told.locale, sight.partials, sight.zone))
    shown, seen = texts.with_blanks(str), texts.names | {"user"}
    rendered = texts.render({name: value for name, value in sight.context.items() if name in seen})
    title, body = rendered.get("title", shown.title), rendered.get("body", shown.body)
    return There(title, body, rendered.get("url", shown.url), _views(platform, title, body))


def _views(platform: str, title: str, body: str) -> list[View]:
    here = [screen for screen in SCREENS if screen.platform == platform]
    return [View(screen, cut(title, screen.title), cut(body, screen.body)) for screen in here]


def _place(template: Template, locale: str, kind: DeviceKind, field: str) -> str:
    told = template.locales[locale].platforms.get(kind)
    there = f".platforms.{kind}" if told is not None and getattr(told, field, None) is not None else ""
    return f"locales.{locale}{there}.{field}"


def _advice(error: TextError) -> str:
    missing = "undefined" in error.detail
    return (
        f"{error.detail}; give it in data, name a user_id who has it, or a default in the text"
        if missing
        else error.detail
    )


def facts_of_nobody(locale: str | None, zone: str | None) -> Json:
    """A user of whom nothing is known."""
    return {"user_id": "", "locale": locale, "timezone": zone}
