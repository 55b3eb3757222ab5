"""Segments and topics: rules that say which users, and names that users subscribe to.

A rule is a tree of small structs. They are what callers send, too: a rule is stored in the words in which it was told.
Every condition is either true or false of a person: what is not there, or of another type, makes a comparison false.
"""

from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from clarion.model.words import Channel, DeviceKind, Json, Millis, Permission, Struct

MAX_WINDOW_DAYS = 3_650
MAX_CONDITIONS = 100
"""Of one rule, the segments that it refers to included."""
MAX_TOPIC_DEPTH = 10
BUCKETS = (1 << 31) - 1
"""How many buckets there are: a prime, so that a key can deal them out anew (`deal`)."""

LABEL_PATTERN = r'^[^"\\\x00-\x1f]+$(?!\n)'
Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Label: TypeAlias = Annotated[
    # The engines differ on how a name with one of these is written in a path of JSON.
    str,
    Meta(min_length=1, max_length=255, pattern=LABEL_PATTERN, examples=["plan"]),
]
EventLabel: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, examples=["cart_added"])]
SegmentName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, examples=["loyal"])]
Percentage: TypeAlias = Annotated[float, Meta(ge=0, le=100, description="Decimals are fine.")]
Scalar: TypeAlias = bool | int | float | str


class Operator(StrEnum):
    """How a value is compared. `ne`, `not_in` and `not_exists` are the exact opposites of the others."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    EXISTS = "exists"
    NOT_EXISTS = "not_exists"


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Told as briefly as it can be."""


class Duration(_Part, frozen=True, kw_only=True):
    """How long; the parts are added up."""

    days: Annotated[int, Meta(ge=0, le=MAX_WINDOW_DAYS)] = 0
    hours: Annotated[int, Meta(ge=0, le=MAX_WINDOW_DAYS * 24)] = 0
    minutes: Annotated[int, Meta(ge=0, le=MAX_WINDOW_DAYS * 1_440)] = 0
    seconds: Annotated[int, Meta(ge=0, le=MAX_WINDOW_DAYS * 86_400)] = 0

    @property
    def ms(self) -> Millis:
        """All of it in milliseconds."""
        return (((self.days * 24 + self.hours) * 60 + self.minutes) * 60 + self.seconds) * 1000


class Since(_Part, frozen=True, kw_only=True):
    """From the person's last event of this name on; of who has none, nothing happened since."""

    last: EventLabel


class PropertyCondition(_Part, frozen=True, kw_only=True):
    """What a property of an event is."""

    property: Label
    op: Operator
    value: Scalar | list[Scalar] | None = None


class DeviceCondition(_Part, frozen=True, kw_only=True):
    """What is known of a device."""

    field: Literal["app_version", "model", "locale", "timezone"]
    op: Operator
    value: str | list[str] | None = None


class _Window(_Part, frozen=True, kw_only=True):
    """When: up to now, not longer ago than `within`, at least `before` ago."""

    within: Duration | None = None
    before: Duration | None = None


class _Events(_Window, frozen=True, kw_only=True):
    """Which events: of this name, with these properties, in this window. None: of any name."""

    event: EventLabel | None = None
    where: Annotated[list[PropertyCondition], Meta(max_length=20)] = []


class AllOf(_Part, frozen=True, kw_only=True, tag_field="type", tag="all"):
    """Every one of them."""

    rules: Annotated["list[Rule]", Meta(min_length=1, max_length=MAX_CONDITIONS)]


class AnyOf(_Part, frozen=True, kw_only=True, tag_field="type", tag="any"):
    """At least one of them."""

    rules: Annotated["list[Rule]", Meta(min_length=1, max_length=MAX_CONDITIONS)]


class Not(_Part, frozen=True, kw_only=True, tag_field="type", tag="not"):
    """The others."""

    rule: "Rule"


class Attribute(_Part, frozen=True, kw_only=True, tag_field="type", tag="attribute"):
    """What one of the user's attributes is."""

    attribute: Label
    op: Operator
    value: Scalar | list[Scalar] | None = None


class Profile(_Part, frozen=True, kw_only=True, tag_field="type", tag="user"):
    """What one of the user's own fields is."""

    field: Literal["user_id", "locale", "timezone", "email", "phone", "anonymous"]
    op: Operator
    value: bool | str | list[str] | None = None


class FirstSeen(_Window, frozen=True, kw_only=True, tag_field="type", tag="created"):
    """When we first heard of the user."""


class HasDevice(_Part, frozen=True, kw_only=True, tag_field="type", tag="device"):
    """One active device that is all of this."""

    kinds: list[DeviceKind] | None = None
    permissions: list[Permission] | None = None
    where: Annotated[list[DeviceCondition], Meta(max_length=10)] = []


class Consented(_Part, frozen=True, kw_only=True, tag_field="type", tag="consent"):
    """The last word of the ledger; `unsaid`: there is none, whatever holds by default."""

    category: Annotated[str, Meta(min_length=1, max_length=100)]
    channel: Channel = Channel.PUSH
    state: Literal["granted", "refused", "unsaid"]


class Did(_Events, frozen=True, kw_only=True, tag_field="type", tag="did"):
    """Did it, how often, since when."""

    at_least: Count = 1
    at_most: Count | None = None
    since: Since | None = None


class DidNot(_Events, frozen=True, kw_only=True, tag_field="type", tag="did_not"):
    """Did not do it even once."""

    since: Since | None = None


class First(_Events, frozen=True, kw_only=True, tag_field="type", tag="first"):
    """Did it for the first time in the window."""


class Last(_Events, frozen=True, kw_only=True, tag_field="type", tag="last"):
    """Did it for the last time in the window."""


class InSegment(_Part, frozen=True, kw_only=True, tag_field="type", tag="segment"):
    """Is in another segment."""

    segment: SegmentName


class Subscribed(_Part, frozen=True, kw_only=True, tag_field="type", tag="topic"):
    """Is subscribed to a topic, or to one below it."""

    topic: Annotated[str, Meta(min_length=1, max_length=255)]


class Percent(_Part, frozen=True, kw_only=True, tag_field="type", tag="percent", rename={"from_": "from"}):
    """A random part of all users, the same ones always: those from `from` up to `from` + `percent`.

    Another `key` chooses independently. A larger percentage keeps all who were in it before.
    """

    percent: Percentage
    from_: Percentage = 0
    key: Annotated[str, Meta(max_length=255)] = ""


Rule: TypeAlias = (
    AllOf
    | AnyOf
    | Not
    | Attribute
    | Profile
    | FirstSeen
    | HasDevice
    | Consented
    | Did
    | DidNot
    | First
    | Last
    | InSegment
    | Subscribed
    | Percent
)


class Segment(Struct, frozen=True, kw_only=True):
    """Which users: those of whom `rule` holds, and not `exit`; without a rule, those on its list.

    `ready_made` and `parameters` tell the template that the rule was made from.
    """

    name: str
    description: str = ""
    rule: Rule | None = None
    exit: Rule | None = None
    ready_made: str | None = None
    parameters: Json | None = None

    @property
    def membership(self) -> Rule | None:
        """The rule that says who is in it; None: the list does."""
        if self.rule is None or self.exit is None:
            return self.rule
        return AllOf(rules=[self.rule, Not(rule=self.exit)])


class Topic(Struct, frozen=True, kw_only=True):
    """What users subscribe to. `open`: SDKs may subscribe their own user."""

    name: str
    title: str = ""
    description: str = ""
    open: bool = False


def is_below(topic: str, ancestor: str) -> bool:
    """Whether what is published to `ancestor` reaches the subscribers of `topic`."""
    return topic == ancestor or topic.startswith(f"{ancestor}/")


def bucket_of(user_id: str) -> int:
    """The bucket that a new user is put into: 0 … BUCKETS - 1. It is stored, and may come from another id later."""
    return int.from_bytes(blake2b(user_id.encode(), digest_size=8).digest()) % BUCKETS


def deal(key: str) -> tuple[int, int]:
    """How a key deals the buckets out anew: bucket b goes to (a · b + c) mod BUCKETS. Returns a and c.

    A permutation, in integers of 64 bits, so that it is the same in every engine's SQL.
    """
    seed = blake2b(key.encode(), digest_size=16).digest()
    return int.from_bytes(seed[:8]) % (BUCKETS - 1) + 1, int.from_bytes(seed[8:]) % BUCKETS


def slice_of(rule: Percent) -> tuple[int, int]:
    """The places that are in, after dealing: from the first until before the second."""
    return round(BUCKETS * rule.from_ / 100), round(BUCKETS * min(100.0, rule.from_ + rule.percent) / 100)
