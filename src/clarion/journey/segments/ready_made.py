"""Ready-made segments: the ones that everybody needs, each a template with parameters that makes an ordinary rule."""

from typing import Annotated, ClassVar, Protocol

from msgspec import Meta

from clarion.model import Rule
from clarion.model import segments as rules
from clarion.model.segments import Duration, EventLabel
from clarion.model.words import Struct


class Template(Protocol):
    """Its fields are its parameters."""

    about: ClassVar[str]

    def wrong(self) -> tuple[str, str] | None:
        """A parameter that does not go with the others, and what would be right."""
        ...

    @property
    def rule(self) -> Rule:
        """How people come into it."""
        ...

    @property
    def exit(self) -> Rule | None:
        """What takes them out; None: time alone does."""
        ...


class CartAbandoned(Struct, frozen=True, kw_only=True):
    """`after`: how long nothing must have been added before the cart counts as left behind."""

    about: ClassVar[str] = "put something into the cart and did not buy since"
    event: EventLabel = "cart_added"
    purchase: EventLabel = "order"
    within: Duration = Duration(days=3)
    after: Duration | None = None

    def wrong(self) -> tuple[str, str] | None:
        """Time and purchase must be told apart from what begins it."""
        if self.after is not None and self.after.ms >= self.within.ms:
            return "after", "must be shorter than within: nobody would be in it"
        return ("purchase", "must be another event than event") if self.purchase == self.event else None

    @property
    def rule(self) -> Rule:
        """Something was added."""
        if self.after is None:
            return rules.Did(event=self.event, within=self.within)
        return rules.Last(event=self.event, within=self.within, before=self.after)

    @property
    def exit(self) -> Rule | None:
        """The purchase."""
        return rules.Did(event=self.purchase, since=rules.Since(last=self.event))


class Inactive(Struct, frozen=True, kw_only=True):
    """`event`: the one that counts as a sign of life; null: any."""

    about: ClassVar[str] = "have been there for a while, and gave no sign of life of late"
    event: EventLabel | None = None
    within: Duration = Duration(days=30)

    def wrong(self) -> tuple[str, str] | None:
        """Nothing."""
        return None

    @property
    def rule(self) -> Rule:
        """Known for longer than that."""
        return rules.FirstSeen(before=self.within)

    @property
    def exit(self) -> Rule | None:
        """A sign of life."""
        return rules.Did(event=self.event, within=self.within)


class NewUsers(Struct, frozen=True, kw_only=True):
    """`until`: an event after which somebody is not new any more, such as the first order."""

    about: ClassVar[str] = "came of late"
    within: Duration = Duration(days=7)
    until: EventLabel | None = None

    def wrong(self) -> tuple[str, str] | None:
        """Nothing."""
        return None

    @property
    def rule(self) -> Rule:
        """First seen of late."""
        return rules.FirstSeen(within=self.within)

    @property
    def exit(self) -> Rule | None:
        """The event, if there is one; else time."""
        return None if self.until is None else rules.Did(event=self.until)


class AtRiskByRecency(Struct, frozen=True, kw_only=True):
    """Quiet for longer than `quiet`, not yet for longer than `lost`."""

    about: ClassVar[str] = "came back several times, have been quiet for a while, and are not lost yet"
    event: EventLabel = "order"
    at_least: Annotated[int, Meta(ge=1, le=1_000)] = 2
    quiet: Duration = Duration(days=30)
    lost: Duration = Duration(days=90)

    def wrong(self) -> tuple[str, str] | None:
        """Who is quiet comes before who is lost."""
        return ("lost", "must be longer than quiet: nobody would be in it") if self.lost.ms <= self.quiet.ms else None

    @property
    def rule(self) -> Rule:
        """Came back, and not too long ago."""
        often = rules.Did(event=self.event, at_least=self.at_least)
        return rules.AllOf(rules=[often, rules.Did(event=self.event, within=self.lost)])

    @property
    def exit(self) -> Rule | None:
        """They are back."""
        return rules.Did(event=self.event, within=self.quiet)


READY_MADE: dict[str, type[CartAbandoned | Inactive | NewUsers | AtRiskByRecency]] = {
    "cart_abandoned": CartAbandoned,
    "inactive": Inactive,
    "new_users": NewUsers,
    "at_risk_by_recency": AtRiskByRecency,
}
