"""Preview: a template as one person would see it on each platform, cut as screens cut it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from clarion.errors import InvalidRequest
from clarion.intelligence.screens import ANDROID, CHROME, FIREFOX, IPHONE, SCREENS, Cut, Screen, cut
from clarion.journey.words import Setting, TextError, Texts, chosen
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


def preview(
    template: Template,
    context: Mapping[str, Any],
    partials: Mapping[str, Partial],
    locale: str | None,
    zone: str,
    platforms: Iterable[str],
) -> Preview:
    """`context`: what texts see, as when it is composed.

    Raises:
        InvalidRequest: a text does not render, with its place in the template.
    """
    there: dict[str, There] = {}
    words = template.default_locale
    for platform in platforms:
        kind = KIND_OF_PLATFORM[platform]
        message, content, found = chosen(Message(), template, locale, kind)
        words = found or words
        try:
            texts = Texts(message, content, Setting(locale, found, partials, zone))
            shown = texts.with_blanks(str)
            rendered = texts.render({name: value for name, value in context.items() if name in texts.names | {"user"}})
        except TextError as error:
            raise InvalidRequest.field(_place(template, words, kind, error.field), _advice(error)) from None
        title, body = rendered.get("title", shown.title), rendered.get("body", shown.body)
        there[platform] = There(title, body, rendered.get("url", shown.url), _views(platform, title, body))
    return Preview(template, words, there)


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
