"""What can be looked at before it is sent or stored: is it honest, and how would somebody see it?"""

from typing import Annotated, Any

from msgspec import Meta

from clarion.api.fields import Locale, Name, TimeZone, UserId
from clarion.api.schemas.definitions import ContentBody, Platforms
from clarion.api.schemas.messages import MessageBody
from clarion.model import Json


class MessagePreviewBody(MessageBody, frozen=True, kw_only=True):
    """A message to be looked at as somebody would see it. What says to whom and when is not looked at."""

    user_id: UserId | None = None
    event: Annotated[Json, Meta(description="Properties of an event that started it.")] | None = None
    locale: Annotated[Locale, Meta(description="In place of the user's.")] | None = None
    timezone: Annotated[TimeZone, Meta(description="In place of the user's.")] | None = None
    platforms: Platforms | None = None
    to: Any = None
    send_at: Any = None
    dry_run: Any = None
    arm: Any = None


class LintBody(MessageBody, frozen=True, kw_only=True):
    """A message, or a template with its `locales`, to be looked at. What says to whom and when is not looked at."""

    locale: Annotated[Locale, Meta(description="Of the message's own title and body.")] | None = None
    name: Name | None = None
    default_locale: Locale | None = None
    locales: Annotated[dict[Locale, ContentBody], Meta(min_length=1, max_length=200)] | None = None
    to: Any = None
    send_at: Any = None
    dry_run: Any = None
    arm: Any = None
