"""Permission: what a person's system answered, what the person told us, and what both demand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.errors import InvalidRequest
from clarion.journey.rules.consent import locked, on_by_default
from clarion.model import (
    Category,
    CategoryClass,
    Channel,
    Consent,
    Millis,
    Permission,
    ProjectSettings,
    Registration,
)
from clarion.ports import ANY_CATEGORY


class Said(NamedTuple):
    """A yes or a no to a category; without a channel to all of its channels. `wording`: the words it was said to."""

    category: str
    channel: Channel | None
    granted: bool
    wording: str | None = None


class Elsewhere(NamedTuple):
    """What somebody said elsewhere, earlier."""

    user_id: str
    said: Said
    source: str
    wording_version: str | None
    at: Millis | None


class Preference(msgspec.Struct, frozen=True):
    """One category as a person sees it: which channels are on, and whether the switch is locked."""

    category: str
    title: str
    description: str
    class_: CategoryClass
    locked: bool
    channels: dict[str, bool]


def check(registration: Registration) -> None:
    """A yes comes with an address; a no may come without one, but then we must know the device by another name.

    Raises:
        InvalidRequest: names the missing field.
    """
    if registration.address is not None:
        return
    if registration.permission in (Permission.GRANTED, Permission.PROVISIONAL):
        raise InvalidRequest.field("address", f"is needed while permission is {registration.permission}")
    if registration.installation is None and registration.previous_address is None:
        raise InvalidRequest.field("installation", "is needed to know a device again that has no address")


def current(ledger: Iterable[Consent]) -> dict[tuple[str, str], bool]:
    """The last word by (category, channel) of a ledger in its order."""
    return {(line.category, line.channel): line.granted for line in ledger if line.category != ANY_CATEGORY}


def preferences(
    categories: Iterable[Category], settings: ProjectSettings, ledger: Iterable[Consent], locale: str | None = None
) -> list[Preference]:
    """What is on and off for one person, silence meaning the category's default; what can be chosen comes first.

    `locale`: the language of its titles, where the category has them in several.
    """
    words = current(ledger)
    found = []
    for category in sorted(categories, key=lambda each: _order(each, settings)):
        fixed = locked(category, settings)
        default = on_by_default(category, settings)
        on = {channel.value: fixed or words.get((category.name, channel), default) for channel in category.channels}
        title = in_language(category.titles, locale) or category.title or category.name
        description = in_language(category.descriptions, locale) or category.description
        found.append(Preference(category.name, title, description, category.class_, fixed, on))
    return found


def in_language(texts: Mapping[str, str], locale: str | None) -> str | None:
    """The text of a locale, else of its language; None when there is neither."""
    if not texts or not locale:
        return None
    by_tag = {name.lower().replace("_", "-"): text for name, text in texts.items()}
    wanted = locale.lower().replace("_", "-")
    return by_tag.get(wanted) or by_tag.get(wanted.partition("-")[0])


def _order(category: Category, settings: ProjectSettings) -> tuple[bool, bool, bool, str]:
    """Informational before marketing before what is locked; the category of a new project, `general`, after its own."""
    general = category.name == "general"
    return locked(category, settings), general, category.class_ is CategoryClass.MARKETING, category.name


def answered(categories: Mapping[str, Category], category: str, channel: Channel | None) -> Sequence[Channel]:
    """The channels that an answer is about; without a channel, all of the category.

    Raises:
        InvalidRequest: there is no such category, or it does not use the channel.
    """
    known = categories.get(category)
    if known is None:
        raise InvalidRequest.field("category", f"there is no category {category}")
    if channel is not None and channel not in known.channels:
        raise InvalidRequest.field("channel", f"{category} uses {', '.join(known.channels)}")
    return known.channels if channel is None else [channel]
