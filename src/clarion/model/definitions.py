"""What a project defines by name: categories and templates."""

from typing import Literal

import msgspec

from clarion.model.digests import Digest
from clarion.model.project import QuietHours
from clarion.model.words import CategoryClass, Channel, DeviceKind, Struct


class Category(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A named kind of message."""

    name: str
    title: str = ""
    description: str = ""
    titles: dict[str, str] = {}  # by locale, where they differ from `title`
    descriptions: dict[str, str] = {}
    class_: CategoryClass = CategoryClass.INFORMATIONAL
    default: bool | None = None  # None: what the class implies
    channels: list[Channel] = msgspec.field(default_factory=lambda: list(Channel))
    quiet_hours: QuietHours | Literal["none"] | None = None  # None: the project's; "none": it passes those
    digest: Digest | None = None  # informational ones only
    templates: list[str] | None = None  # the only templates that may wear this category
    keys: list[str] | None = None  # and who may send with it: ids of server keys, `automation:NAME`


class PlatformContent(Struct, frozen=True, kw_only=True):
    """What a template says on one kind of device only; None: as everywhere."""

    title: str | None = None
    body: str | None = None
    url: str | None = None
    icon: str | None = None
    image: str | None = None
    badge: str | None = None
    sound: str | None = None


class Content(Struct, frozen=True, kw_only=True):
    """Words of a template in one language; each is minijinja source."""

    title: str
    body: str = ""
    url: str | None = None
    platforms: dict[DeviceKind, PlatformContent] = {}  # what is said otherwise there


class Template(Struct, frozen=True, kw_only=True):
    """Content by locale with a fallback chain: exact, language, `default_locale`. `version` counts from 1."""

    name: str
    default_locale: str = "en"
    locales: dict[str, Content]
    version: int = 1


class Partial(Struct, frozen=True, kw_only=True):
    """A piece of text by locale that others include, with the same fallback chain."""

    name: str
    default_locale: str = "en"
    locales: dict[str, str]
