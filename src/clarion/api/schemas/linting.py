"""What can be looked at for honesty before it is sent or stored."""

from typing import Annotated, Any

from msgspec import Meta

from clarion.api.fields import Locale, Name
from clarion.api.schemas.definitions import ContentBody
from clarion.api.schemas.messages import MessageBody


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
