"""What a project defines by name: categories, templates, automations."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from clarion.api.fields import EventName, Link, Locale, Name, Title, Word, Words
from clarion.api.schemas.base import Body, QuietHoursBody
from clarion.api.schemas.digests import DigestBody
from clarion.api.schemas.messages import MessageBody
from clarion.model import CategoryClass, Channel


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


class ContentBody(Body, frozen=True, kw_only=True):
    """Words in one language; each is minijinja."""

    title: Title
    body: Words | None = None
    url: Link | None = None


class TemplatePut(Body, frozen=True, kw_only=True):
    """Words by locale, replaced as a whole."""

    name: Name | None = None
    default_locale: Locale | None = None
    locales: Annotated[dict[Locale, ContentBody], Meta(min_length=1, max_length=200)]
    warnings: Annotated[Any, Meta(description="As it was read; not looked at.")] = None


class TemplatePost(TemplatePut, frozen=True, kw_only=True):
    """Words by locale; who has none of them gets `default_locale`."""

    name: Name


class EventSelectorBody(Body, frozen=True, kw_only=True):
    """Which events start it."""

    event: EventName


class AutomationPut(Body, frozen=True, kw_only=True):
    """An event becomes a notification to its user; replaced as a whole."""

    name: Name | None = None
    on: EventSelectorBody
    notification: MessageBody
    enabled: bool | None = None


class AutomationPost(AutomationPut, frozen=True, kw_only=True):
    """An event becomes a notification to its user."""

    name: Name
