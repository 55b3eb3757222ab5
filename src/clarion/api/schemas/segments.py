"""Segments and topics, and the people on their lists."""

from typing import Annotated, Any

from msgspec import Meta

from clarion.api.fields import Name, Title, TopicName, UserId, Words
from clarion.api.schemas.base import Body
from clarion.journey.segments.ready_made import READY_MADE
from clarion.model import Json, Rule

MAX_LISTED = 10_000
"""People in one call."""


class SegmentRules(Body, frozen=True, kw_only=True):
    """Who: by `rule`, by a `ready_made` one, or by a list."""

    rule: Rule | None = None
    exit: Annotated[Rule | None, Meta(description="Who meets it is out, whatever the rule says.")] = None
    ready_made: Annotated[str, Meta(description=f"One of {', '.join(READY_MADE)}.", max_length=100)] | None = None
    parameters: Annotated[Json, Meta(description="Of the ready-made one.", max_length=20)] | None = None
    list: Annotated[bool, Meta(description="Whoever is put on its list: `POST …/users`.")] | None = None


class SegmentPut(SegmentRules, frozen=True, kw_only=True):
    """Which users, replaced as a whole."""

    name: Name | None = None
    description: Words | None = None
    sentence: Annotated[Any, Meta(description="As it was read; not looked at.")] = None


class SegmentPost(SegmentPut, frozen=True, kw_only=True):
    """Which users."""

    name: Name


class SegmentPreview(SegmentRules, frozen=True, kw_only=True):
    """A segment that is, or one that may be."""

    segment: Annotated[Name, Meta(description="One that is there, instead of a rule.")] | None = None


class TopicPut(Body, frozen=True, kw_only=True):
    """What users subscribe to, replaced as a whole."""

    name: TopicName | None = None
    title: Title | None = None
    description: Words | None = None
    open: Annotated[bool, Meta(description="Whether SDKs may subscribe their own user; false.")] | None = None
    subscribers: Annotated[Any, Meta(description="As it was read; not looked at.")] = None


class TopicPost(TopicPut, frozen=True, kw_only=True):
    """What users subscribe to."""

    name: TopicName


class PeopleBody(Body, frozen=True, kw_only=True):
    """People to put on a list, or to take off it."""

    users: Annotated[list[UserId], Meta(min_length=1, max_length=MAX_LISTED)]


class OwnTopicPut(Body, frozen=True, kw_only=True):
    """Whether the caller's user is subscribed to an open topic."""

    topic: TopicName
    subscribed: bool
