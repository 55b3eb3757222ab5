"""What a project defines by name: categories, templates."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from clarion.api.fields import Link, Locale, Name, TimeZone, Title, UserId, Word, Words
from clarion.api.schemas.base import Body, QuietHoursBody
from clarion.api.schemas.digests import DigestBody
from clarion.intelligence.screens import PLATFORMS
from clarion.model import CategoryClass, Channel, Json


class CategoryPut(Body, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A kind of message, replaced as a whole."""

    name: Name | None = None
    title: Title | None = None
    description: Words | None = None
    titles: (
        Annotated[dict[Locale, Title], Meta(max_length=200, description="By locale, in place of `title`.")] | None
    ) = None
    descriptions: Annotated[dict[Locale, Words], Meta(max_length=200, description="By locale.")] | None = None
    class_: CategoryClass | None = None
    default: Annotated[bool, Meta(description="Whether silence means yes; null: what the class implies.")] | None = None
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=len(Channel))] | None = None
    quiet_hours: (
        Annotated[
            QuietHoursBody | Literal["none"],
            Meta(description="In place of the project's; \"none\": it passes those. Of one's own it passes none."),
        ]
        | None
    ) = None
    digest: Annotated[DigestBody, Meta(description="One message in place of many; informational only.")] | None = None
    templates: Annotated[list[Name], Meta(description="The only ones that may wear this category.")] | None = None
    keys: (
        Annotated[
            list[Word],
            Meta(
                min_length=1,
                max_length=1_000,
                description="Who alone may send with it: ids or names of server keys, or automation:NAME.",
            ),
        ]
        | None
    ) = None


class CategoryPost(CategoryPut, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A kind of message."""

    name: Name


class PlatformContentBody(Body, frozen=True, kw_only=True):
    """What is said otherwise on one kind of device; each is minijinja, but the sound."""

    title: Title | None = None
    body: Words | None = None
    url: Link | None = None
    icon: Link | None = None
    image: Link | None = None
    badge: Link | None = None
    sound: Word | None = None


class PlatformsBody(Body, frozen=True, kw_only=True):
    """By kind of device."""

    apns: PlatformContentBody | None = None
    fcm: PlatformContentBody | None = None
    webpush: PlatformContentBody | None = None


class ContentBody(Body, frozen=True, kw_only=True):
    """Words in one language; each is minijinja."""

    title: Title
    body: Words | None = None
    url: Link | None = None
    platforms: Annotated[PlatformsBody, Meta(description="What differs there.")] | None = None


class TemplatePut(Body, frozen=True, kw_only=True):
    """Words by locale, replaced as a whole."""

    name: Name | None = None
    default_locale: Locale | None = None
    locales: Annotated[dict[Locale, ContentBody], Meta(min_length=1, max_length=200)]
    version: Annotated[Any, Meta(description="As it was read; not looked at.")] = None
    warnings: Annotated[Any, Meta(description="As it was read; not looked at.")] = None


class TemplatePost(TemplatePut, frozen=True, kw_only=True):
    """Words by locale; who has none of them gets `default_locale`."""

    name: Name


class RollbackBody(Body, frozen=True, kw_only=True):
    """Back to an older version, which becomes the newest one again under a new number."""

    version: Annotated[int, Meta(ge=1)]


Platforms: TypeAlias = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(PLATFORMS)})]],
    Meta(min_length=1, max_length=len(PLATFORMS), description="All unless given.", examples=[["iphone"]]),
]


class PreviewBody(Body, frozen=True, kw_only=True):
    """For whom and with what a template is rendered, and on which screens it is shown."""

    user_id: UserId | None = None
    data: Json | None = None
    event: Annotated[Json, Meta(description="Properties of an event that started it.")] | None = None
    locale: Annotated[Locale, Meta(description="In place of the user's.")] | None = None
    timezone: Annotated[TimeZone, Meta(description="In place of the user's.")] | None = None
    platforms: Platforms | None = None
    version: Annotated[int, Meta(ge=1)] | None = None


class PartialPut(Body, frozen=True, kw_only=True):
    """A piece of text that others include, by locale; replaced as a whole."""

    name: Name | None = None
    default_locale: Locale | None = None
    locales: Annotated[dict[Locale, Words], Meta(min_length=1, max_length=200)]


class PartialPost(PartialPut, frozen=True, kw_only=True):
    """A piece of text that others include: `{% include "NAME" %}`."""

    name: Name
