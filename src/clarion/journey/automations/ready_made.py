"""Ready-made automations: the ones that everybody needs, each a template with parameters that makes ordinary steps."""

from typing import Annotated, Any, ClassVar, Protocol, TypeAlias

import msgspec
from msgspec import Meta

from clarion.model import Automation, Message
from clarion.model import automations as steps
from clarion.model import segments as rules
from clarion.model.automations import EventMatch, LocalTime, Step, TimeOfDay
from clarion.model.segments import Duration, EventLabel, Label, SegmentName
from clarion.model.words import Struct

Category: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class Said(Struct, frozen=True, kw_only=True):
    """What is said: by a template, or by a title and a body, which are minijinja."""

    title: Annotated[str, Meta(max_length=2_000)] | None = None
    body: Annotated[str, Meta(max_length=10_000)] | None = None
    template: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    url: Annotated[str, Meta(max_length=2_048)] | None = None

    def step(self, category: str, ttl: Duration, collapse_key: str | None = None) -> steps.Send:
        """The step that says it; later than `ttl` it is not said any more."""
        told = msgspec.structs.asdict(self)
        message = Message(category=category, ttl=ttl.ms // 1000, collapse_key=collapse_key, **told)
        return steps.Send(notification=message)


class ReadyMade(Protocol):
    """Its fields are its parameters."""

    about: ClassVar[str]

    def made(self) -> dict[str, Any]:
        """The fields of the automation that it makes."""
        ...


class Welcome(Struct, frozen=True, kw_only=True):
    """`start` and `first_step`: what makes somebody new, and what we hope they do next."""

    about: ClassVar[str] = "says hello to who is new, and helps those who have not begun after some days"
    start: EventLabel = "signed_up"
    first_step: EventLabel = "order"
    category: Category = "general"
    hello: Said = Said(title="Welcome to {{ project.name }}", body="Good to have you here.")
    help: Said = Said(title="Shall we show you around?", body="The first steps take two minutes.")
    last: Said = Said(title="Your account is ready", body="Whenever you are.")
    after: Duration = Duration(days=2)
    at: TimeOfDay = "10:00"

    def made(self) -> dict[str, Any]:
        """Hello at once; twice a reminder in the morning there, until the first step is done."""
        day = Duration(days=1)
        morning = steps.Delay(until=LocalTime(at=self.at))
        way: list[Step] = [self.hello.step(self.category, day)]
        for said in (self.help, self.last):
            way += [steps.Delay(for_=self.after), morning, said.step(self.category, day)]
        return {
            "on": steps.Entry(event=self.start),
            "steps": way,
            "goal": EventMatch(event=self.first_step),
            "reentry": "never",
        }


class AbandonedCart(Struct, frozen=True, kw_only=True):
    """Three reminders, each so long after the one before; the purchase ends it."""

    about: ClassVar[str] = "reminds of a cart that was left behind, three times at most, until the purchase"
    event: EventLabel = "cart_added"
    purchase: EventLabel = "order"
    category: Category = "general"
    first: Said = Said(title="You left something in your cart", body="It is still there.")
    second: Said = Said(title="Still thinking about it?", body="Your cart is waiting.")
    third: Said = Said(title="Your cart will be emptied soon", body="Have a last look.")
    after: Duration = Duration(hours=1)
    then: Duration = Duration(days=1)
    at_last: Duration = Duration(days=3)

    def made(self) -> dict[str, Any]:
        """One run at a time, however often something is added."""
        way: list[Step] = []
        for pause, said in ((self.after, self.first), (self.then, self.second), (self.at_last, self.third)):
            way += [steps.Delay(for_=pause), said.step(self.category, Duration(hours=12), "cart")]
        return {
            "on": steps.Entry(event=self.event),
            "steps": way,
            "goal": EventMatch(event=self.purchase),
        }


class WinBack(Struct, frozen=True, kw_only=True):
    """`segment`: who is drifting away, such as a ready-made `inactive` one; coming back ends it."""

    about: ClassVar[str] = "calls back who has gone quiet, twice, and stops when they come back"
    segment: SegmentName = "inactive"
    back: EventLabel = "session"
    category: Category = "general"
    first: Said = Said(title="We miss you", body="See what is new at {{ project.name }}.")
    second: Said = Said(title="Still there?", body="We kept your things.")
    at: TimeOfDay = "18:00"
    then: Duration = Duration(days=7)

    def made(self) -> dict[str, Any]:
        """At a good hour where they are, and never again for three months."""
        hour, day = steps.Delay(until=LocalTime(at=self.at)), Duration(days=1)
        return {
            "on": steps.Entry(segment=self.segment),
            "steps": [
                hour,
                self.first.step(self.category, day),
                steps.Delay(for_=self.then),
                hour,
                self.second.step(self.category, day),
            ],
            "goal": EventMatch(event=self.back),
            "exit_if": rules.Not(rule=rules.InSegment(segment=self.segment)),
            "reentry": Duration(days=90),
        }


class OrderLifecycle(Struct, frozen=True, kw_only=True):
    """Each order has a run of its own, told apart by the property `key`."""

    about: ClassVar[str] = "follows each order: placed, shipped, delivered, and asks how it was"
    placed: EventLabel = "order"
    shipped: EventLabel = "order_shipped"
    delivered: EventLabel = "order_delivered"
    cancelled: EventLabel = "order_cancelled"
    key: Label = "order_id"
    category: Category = "general"
    thanks: Said = Said(title="Thank you for your order", body="We tell you when it leaves.")
    under_way: Said = Said(title="Your order is on its way")
    arrived: Said = Said(title="Your order has arrived")
    review: Said = Said(title="How do you like it?", body="Tell us in a minute.")
    patience: Duration = Duration(days=30)
    review_after: Duration = Duration(days=3)
    at: TimeOfDay = "17:00"

    def made(self) -> dict[str, Any]:
        """Who hears nothing of their order for too long is left alone."""
        day = Duration(days=1)

        def wait(event: str) -> steps.Wait:
            return steps.Wait(
                for_=EventMatch(event=event, same=[self.key]), timeout=self.patience, on_timeout="nothing came"
            )

        return {
            "on": steps.Entry(event=self.placed, key=self.key),
            "steps": [
                self.thanks.step(self.category, day),
                wait(self.shipped),
                self.under_way.step(self.category, day),
                wait(self.delivered),
                self.arrived.step(self.category, day),
                steps.Delay(for_=self.review_after),
                steps.Delay(until=LocalTime(at=self.at)),
                self.review.step(self.category, day),
                steps.Exit(id="nothing came"),
            ],
            "exit_on": EventMatch(event=self.cancelled, same=[self.key]),
        }


class PaymentReminder(Struct, frozen=True, kw_only=True):
    """Each invoice has a run of its own, told apart by the property `key`; the payment of that one ends it."""

    about: ClassVar[str] = "reminds of an unpaid invoice on working days, until it is paid"
    event: EventLabel = "invoice_sent"
    paid: EventLabel = "invoice_paid"
    key: Label = "invoice_id"
    category: Category = "general"
    first: Said = Said(title="Your invoice is open", body="It takes a minute to pay.")
    second: Said = Said(title="A reminder of your invoice", body="Please have a look.")
    third: Said = Said(title="Your invoice is overdue", body="Please pay, or talk to us.")
    after: Duration = Duration(days=7)
    then: Duration = Duration(days=7)

    def made(self) -> dict[str, Any]:
        """Between nine and five where they are, from Monday to Friday."""
        office = steps.Delay(window=steps.Within(start="09:00", end="17:00", days=["mon", "tue", "wed", "thu", "fri"]))
        way: list[Step] = []
        for pause, said in ((self.after, self.first), (self.then, self.second), (self.then, self.third)):
            way += [steps.Delay(for_=pause), office, said.step(self.category, Duration(hours=8))]
        return {
            "on": steps.Entry(event=self.event, key=self.key),
            "steps": way,
            "goal": EventMatch(event=self.paid, same=[self.key]),
            "reentry": "never",
        }


AnyReadyMade: TypeAlias = Welcome | AbandonedCart | WinBack | OrderLifecycle | PaymentReminder

READY_MADE_AUTOMATIONS: dict[str, type[AnyReadyMade]] = {
    "welcome": Welcome,
    "abandoned_cart": AbandonedCart,
    "win_back": WinBack,
    "order_lifecycle": OrderLifecycle,
    "payment_reminder": PaymentReminder,
}


def made_of(template: AnyReadyMade, kind: str, name: str) -> Automation:
    """The automation that a template makes."""
    return Automation(name=name, ready_made=kind, parameters=msgspec.to_builtins(template), **template.made())
