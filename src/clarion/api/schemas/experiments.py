"""Variants of a message, and what is tried out with them."""

from typing import Annotated, Literal

from msgspec import Meta

from clarion.api.fields import VARIANT_PATTERN, EventName, Link, Name, Title, Word, Words
from clarion.api.schemas.actions import ActionBody
from clarion.api.schemas.base import Body
from clarion.model import MAX_TTL_SECONDS, WinnerRule

Within = Annotated[
    int, Meta(ge=1, le=MAX_TTL_SECONDS, description="Seconds, from the decision on; a day unless given.")
]


class VariantBody(Body, frozen=True, kw_only=True):
    """One wording: what it gives stands in place of the message's own; all words, if it names a template."""

    key: Annotated[str, Meta(min_length=1, max_length=32, pattern=VARIANT_PATTERN, examples=["friendly"])]
    weight: (
        Annotated[float, Meta(ge=0, le=1_000_000, description="Its part, beside those of the others; 1.")] | None
    ) = None
    title: Title | None = None
    body: Words | None = None
    template: Name | None = None
    template_version: Annotated[int, Meta(ge=1)] | None = None
    url: Link | None = None
    icon: Link | None = None
    image: Link | None = None
    badge: Link | None = None
    sound: Word | None = None
    actions: Annotated[list[ActionBody], Meta(max_length=10)] | None = None


class GoalBody(Body, frozen=True, kw_only=True):
    """Success: an event of the person, or a click where none is named."""

    event: EventName | None = None
    within_s: Within | None = None


class WinnerBody(Body, frozen=True, kw_only=True):
    """First a share of the people, then the rest with what proved to be better."""

    rule: (
        Annotated[
            WinnerRule,
            Meta(description="`separates`: if its interval is clear of all others. `best_rate`: in any case."),
        ]
        | None
    ) = None
    after: Annotated[int, Meta(ge=1, le=MAX_TTL_SECONDS, description="Seconds that the rest waits.", examples=[7200])]
    share: Annotated[float, Meta(gt=0, lt=100, description="Percent of the people that come first.", examples=[20])]


class ExperimentBody(Body, frozen=True, kw_only=True):
    """What is tried out."""

    key: (
        Annotated[
            Word, Meta(description="The same key: the same people see the same variant. Null: the notification's own.")
        ]
        | None
    ) = None
    goal: Annotated[GoalBody | Literal["clicked"], Meta(description="`clicked`: within a day.")] | None = None
    winner: WinnerBody | None = None
