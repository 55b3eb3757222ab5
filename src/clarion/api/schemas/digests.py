"""Digests of a category, as callers set them."""

from typing import Annotated

from msgspec import Meta

from clarion.api.fields import CLOCK_PATTERN, Link, Name, Title, Words
from clarion.api.schemas.base import Body
from clarion.model import MAX_DIGEST_SECONDS

_Seconds = Annotated[int, Meta(ge=1, le=MAX_DIGEST_SECONDS)]


class FixedWindowBody(Body, frozen=True, kw_only=True, tag_field="kind", tag="fixed"):
    """The first message opens it, and it ends so many seconds later."""

    seconds: _Seconds


class SlidingWindowBody(Body, frozen=True, kw_only=True, tag_field="kind", tag="sliding"):
    """It ends so many seconds after the last message, and at most `max_seconds` after the first."""

    seconds: _Seconds
    max_seconds: _Seconds


class ScheduledWindowBody(Body, frozen=True, kw_only=True, tag_field="kind", tag="scheduled"):
    """It ends at the next of these times of day, in the receiver's time zone."""

    at: Annotated[
        list[Annotated[str, Meta(pattern=CLOCK_PATTERN)]],
        Meta(min_length=1, max_length=24, examples=[["08:00", "18:00"]]),
    ]


class DigestBody(Body, frozen=True, kw_only=True):
    """What comes within a window is sent as one message. Its texts see `items`, `count`, `first` and `last`."""

    window: Annotated[
        FixedWindowBody | SlidingWindowBody | ScheduledWindowBody, Meta(description="When what was collected leaves.")
    ]
    key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=1_000,
                description="What is collected together, a text over `data` and `event`; null: all of the category.",
                examples=["{{ data.post_id }}"],
            ),
        ]
        | None
    ) = None
    template: Annotated[Name, Meta(description="Words by locale; needed unless there is a title.")] | None = None
    title: Annotated[Title, Meta(examples=["{{ count }} new comments"])] | None = None
    body: Words | None = None
    url: Link | None = None
    min_items: Annotated[int, Meta(ge=2, le=100, description="Fewer go out as they are; null: 2.")] | None = None
    max_items: Annotated[int, Meta(ge=2, le=500, description="So many end the window; null: 100.")] | None = None
    immediate_first: Annotated[bool, Meta(description="The first goes out at once.")] | None = None
    urgent_passes: Annotated[bool, Meta(description="Urgency high is not collected; null: true.")] | None = None
