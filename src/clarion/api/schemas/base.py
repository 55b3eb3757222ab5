"""What the bodies of several subjects share."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from clarion.api.fields import CLOCK_END_PATTERN, CLOCK_PATTERN

MAX_BATCH = 1_000


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what callers send."""


class QuietHoursBody(Body, frozen=True, kw_only=True):
    """When the phone stays silent, by the clock on the receiver's wall."""

    start: Annotated[str, Meta(pattern=CLOCK_PATTERN, examples=["22:00"])]
    end: Annotated[
        str,
        Meta(pattern=CLOCK_END_PATTERN, description="Not quiet any more; before `start`: the next morning."),
    ]
    days: (
        Annotated[
            list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
            Meta(min_length=1, max_length=7, description="Those on which it begins; null: every day."),
        ]
        | None
    ) = None


WordingVersion: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=255, description="What you call this version of the words.", examples=["2026-11"]),
]
