"""Buttons."""

from typing import Annotated

from msgspec import Meta

from clarion.api.fields import Link, Title
from clarion.api.schemas.base import Body


class ActionBody(Body, frozen=True, kw_only=True):
    """A button."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    title: Title
    url: Link | None = None
    icon: Link | None = None
