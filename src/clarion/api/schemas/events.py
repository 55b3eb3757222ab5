"""What happened: events of the caller's own, receipts from devices."""

from typing import Annotated

from msgspec import Meta

from clarion.api.fields import EventName, Instant, UserId, Word
from clarion.api.schemas.base import MAX_BATCH, Body
from clarion.model import Json, ReceiptKind


class SdkEventBody(Body, frozen=True, kw_only=True):
    """Something that the caller did or that happened to them. The same `id` counts once."""

    name: EventName
    properties: Json | None = None
    occurred_at: Instant | None = None
    id: Word | None = None


class EventBody(SdkEventBody, frozen=True, kw_only=True):
    """Something that a user did or that happened. The same `id` counts once."""

    user_id: UserId


class EventBatch(Body, frozen=True, kw_only=True):
    """Up to 1,000 events."""

    events: Annotated[list[EventBody], Meta(max_length=MAX_BATCH)]


class SdkEventBatch(Body, frozen=True, kw_only=True):
    """Up to 1,000 events."""

    events: Annotated[list[SdkEventBody], Meta(max_length=MAX_BATCH)]


class ReceiptBody(Body, frozen=True, kw_only=True):
    """What a device tells about a message; `receipt` is the token from its payload."""

    receipt: Annotated[str, Meta(min_length=1, max_length=255)]
    kind: ReceiptKind
    action: Word | None = None
    at: Instant | None = None


class ReceiptBatch(Body, frozen=True, kw_only=True):
    """Up to 1,000 receipts."""

    receipts: Annotated[list[ReceiptBody], Meta(max_length=MAX_BATCH)]
