"""Segments and topics as the API shows them."""

from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer, Listing
from clarion.journey.segments.sentences import sentence
from clarion.model import Json, Rule, Segment, Topic


class SegmentAnswer(Answer, frozen=True, kw_only=True):
    """A segment, and what its rule says."""

    name: str
    description: str
    rule: Rule | None
    exit: Rule | None
    ready_made: str | None
    parameters: Json | None
    list: bool
    sentence: Annotated[str, Meta(examples=["people who did cart_added in the last 3 days and did not order since"])]

    @classmethod
    def of(cls, segment: Segment) -> "SegmentAnswer":
        """As the API shows it."""
        return cls(
            name=segment.name,
            description=segment.description,
            rule=segment.rule,
            exit=segment.exit,
            ready_made=segment.ready_made,
            parameters=segment.parameters,
            list=segment.rule is None,
            sentence=sentence(segment),
        )


class SegmentList(Listing, frozen=True, kw_only=True):
    """Segments by name."""

    items: list[SegmentAnswer]


class PreviewAnswer(Answer, frozen=True, kw_only=True):
    """How many are in it now, and the first of them."""

    sentence: str
    count: int
    sample: list[str]
    took_ms: float


class TopicAnswer(Answer, frozen=True, kw_only=True):
    """A topic. `subscribers`: to itself; those below it have their own."""

    name: str
    title: str
    description: str
    open: bool
    subscribers: int

    @classmethod
    def of(cls, topic: Topic, subscribers: int) -> "TopicAnswer":
        """As the API shows it."""
        return cls(
            name=topic.name,
            title=topic.title,
            description=topic.description,
            open=topic.open,
            subscribers=subscribers,
        )


class TopicList(Listing, frozen=True, kw_only=True):
    """Topics by name."""

    items: list[TopicAnswer]


class Added(Answer, frozen=True, kw_only=True):
    """How many were not on it before."""

    added: int


class Removed(Answer, frozen=True, kw_only=True):
    """How many were on it."""

    removed: int


class UserIds(Listing, frozen=True, kw_only=True):
    """People by your own ids, those known for longest first."""

    items: list[str]


class TopicNames(Listing, frozen=True, kw_only=True):
    """The topics that a user is subscribed to."""

    items: list[str]


class OwnTopic(Answer, frozen=True, kw_only=True):
    """An open topic as its possible subscriber sees it."""

    topic: str
    title: str
    description: str
    subscribed: bool


class OwnTopics(Listing, frozen=True, kw_only=True):
    """Open topics by name."""

    items: list[OwnTopic]
