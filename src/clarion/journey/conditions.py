"""Whether it still matters: a condition, and an event that makes it pointless, looked at as it is sent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from minijinja import TemplateError

from clarion.errors import FieldError
from clarion.journey.rules import Ruling
from clarion.journey.texts.filters import Filters
from clarion.journey.texts.glance import Glance, glance
from clarion.journey.texts.taming import Refused, tamed
from clarion.journey.texts.words import (
    ANYTHING,
    detail_of,
    environment,
    event_facts,
    has_marks,
    problem,
    time_told,
    user_facts,
)
from clarion.model import Event, Json, Key, Message, Millis, Notification, Reason
from clarion.ports import Happened, Recipient

_CONDITION = "condition"
_FALSE = Ruling(Reason.IRRELEVANT, "the condition is false")
_MOST_KNOWN = 4096
_decode = msgspec.json.Decoder(dict[str, Any]).decode

HappenedTo = Mapping[tuple[Key, str], Sequence[Happened]]
"""(user, name of an event) → such events, as `ports.Facts` has them."""


class Around(NamedTuple):
    """What conditions see beside the person and the notification's own data: the same for a whole batch."""

    project: Json
    events: Mapping[Key, Event]
    now: Millis


NOTHING_AROUND = Around({}, {}, 0)


def is_conditional(message: Message) -> bool:
    """Whether there is anything to look at."""
    return message.condition is not None or message.unless_event is not None


def since(notification: Notification, events: Mapping[Key, Event]) -> Millis:
    """From when on an event makes it pointless: the event that started it, else when it was made."""
    started = events.get(notification.event) if notification.event is not None else None
    return notification.created_at if started is None else started.occurred_at


def events_asked(notifications: Iterable[Notification], events: Mapping[Key, Event]) -> tuple[list[str], Millis]:
    """The events that must be known of a batch's people: their names, and from when on. No name: none."""
    asked = [(one.message.unless_event.name, since(one, events)) for one in notifications if one.message.unless_event]
    return sorted({name for name, _ in asked}), min((at for _, at in asked), default=0)


class Conditions:
    """Those of one notification, compiled once and looked at for one person after the other.

    What cannot be told, because a value is missing or the fuel runs out, is not sent: silence is the safe side.
    """

    def __init__(self, notification: Notification, around: Around) -> None:
        self._notification = notification
        self._message = notification.message
        self._since = since(notification, around.events)
        self._filters = Filters()
        self._env = environment(self._filters)
        self._context: Json = {"data": self._message.data, "project": around.project, "now": time_told(around.now)}
        if notification.event is not None and notification.event in around.events:
            self._context["event"] = event_facts(around.events[notification.event])
        self._passes = Ruling(None, _passing(self._message))
        self._where: dict[str, tuple[str | None, Any]] = {}  # by property: the template of its value, or its value
        self._broken: Ruling | None = None
        self._of_condition: Json = {}
        self._glance: Glance | None = None
        try:
            self._personal, self._where_personal = self._compiled(), self._where_compiled()
        except (TemplateError, Refused) as error:  # stored by another version: what does not compile holds for nobody
            self._broken = _untold(error)
        self._known: dict[object, Ruling] = {}  # what the condition said, by what it looks at
        self._wanted: dict[str, Any] | None = None

    def _compiled(self) -> bool:
        """Whether the condition looks at the person."""
        if self._message.condition is None:
            return False
        source = tamed(_as_template(self._message.condition)).source
        self._env.add_template(_CONDITION, source)
        names = self._env.undeclared_variables_in_str(source)
        # What it does not look at is not handed over for each person.
        self._of_condition = {name: self._context[name] for name in names if name in self._context}
        self._glance = glance(self._env.undeclared_variables_in_str(source, nested=True))
        return "user" in names

    def _where_compiled(self) -> bool:
        """Whether any of the values that are asked for does."""
        names: set[str] = set()
        for name, value in _where(self._message).items():
            if not isinstance(value, str) or not has_marks(value):
                self._where[name] = None, value
                continue
            field = f"unless_event.where.{name}"
            source = tamed(value).source
            self._env.add_template(field, source)
            names |= self._env.undeclared_variables_in_str(source)
            self._where[name] = field, None
        return "user" in names

    def ruling(self, recipient: Recipient, happened: HappenedTo) -> Ruling:
        """Passes, or is `irrelevant` and says why. The person is parsed only when a text looks at them."""
        if self._broken is not None:
            return self._broken
        try:
            if self._message.unless_event is not None and self._has_happened(recipient, happened):
                return _happened(self._message.unless_event.name)
        except Exception as error:  # noqa: BLE001 - a text may call whatever Python's values have
            return _untold(error)
        return self._passes if self._message.condition is None else self._condition(recipient)

    def _condition(self, recipient: Recipient) -> Ruling:
        """Many people are alike in what it looks at: it is worked out once for all of them."""
        if self._glance is None and self._personal:
            return self._worked_out(recipient)
        seen = None if self._glance is None else self._glance(recipient.attributes)
        ruling = self._known.get(seen)
        if ruling is None:
            ruling = self._worked_out(recipient)
            if len(self._known) < _MOST_KNOWN:
                self._known[seen] = ruling
        return ruling

    def _worked_out(self, recipient: Recipient) -> Ruling:
        context = {**self._of_condition, "user": user_facts(recipient)} if self._personal else self._of_condition
        self._filters.begin()
        try:
            return self._passes if self._env.render_template(_CONDITION, **context) else _FALSE
        except Exception as error:  # noqa: BLE001 - the same
            return _untold(error)

    def _has_happened(self, recipient: Recipient, happened: HappenedTo) -> bool:
        unless = self._message.unless_event
        assert unless is not None
        events = happened.get((recipient.key, unless.name)) if happened else None
        if not events:
            return False
        later = [one for one in events if one.at >= self._since and one.key != self._notification.event]
        if not later or not self._where:
            return bool(later)
        wanted = self._values(recipient)
        return any(_matches(_decode(one.properties), wanted) for one in later)

    def _values(self, recipient: Recipient) -> dict[str, Any]:
        if self._wanted is None or self._where_personal:
            seen = {**self._context, "user": user_facts(recipient)} if self._where_personal else self._context
            self._filters.begin()
            self._wanted = {
                name: value if field is None else _Text(self._env.render_template(field, **seen))
                for name, (field, value) in self._where.items()
            }
        return self._wanted


class _Text(str):
    """What a template made: compared with a property as that would be written."""

    __slots__ = ()


def _matches(properties: Json, wanted: Mapping[str, Any]) -> bool:
    return all(name in properties and _same(properties[name], value) for name, value in wanted.items())


def _same(told: Any, wanted: Any) -> bool:
    """As JSON has it: true is not 1."""
    if isinstance(wanted, _Text):
        return str(wanted) == (told if isinstance(told, str) else msgspec.json.encode(told).decode())
    return isinstance(told, bool) == isinstance(wanted, bool) and bool(told == wanted)


def _where(message: Message) -> Json:
    return (message.unless_event.where if message.unless_event is not None else None) or {}


def _as_template(condition: str) -> str:
    """The engine compiles templates ahead, expressions it does not."""
    return f"{{% if ({condition}) %}}1{{% endif %}}"


def _passing(message: Message) -> str:
    said = ["the condition is true"] if message.condition is not None else []
    if message.unless_event is not None:
        said.append(f"no {message.unless_event.name} since")
    return ", ".join(said)


def _happened(name: str) -> Ruling:
    return Ruling(Reason.IRRELEVANT, f"{name} has happened since")


def _untold(error: Exception) -> Ruling:
    because = detail_of(error) if isinstance(error, TemplateError) else str(error)
    return Ruling(Reason.IRRELEVANT, f"not to be told: {because}")


# --- at the door -----------------------------------------------------------------------------------------------------


def check(message: Message, context: Mapping[str, Any]) -> list[FieldError]:
    """What is certainly wrong, whoever the person is. `context`: trial data, see `words.problems`."""
    open_names = {name for name, value in context.items() if value is ANYTHING}
    found = []
    if message.condition is not None:
        wrong = _not_an_expression(message.condition, context) or problem(
            _CONDITION, _as_template(message.condition), context, open_names
        )
        found += [FieldError(_CONDITION, wrong)] if wrong else []
    for name, value in _where(message).items():
        field = f"unless_event.where.{name}"
        if isinstance(value, dict | list):
            found.append(FieldError(field, "must be a text, a number, true, false or null"))
        elif isinstance(value, str) and has_marks(value):
            wrong = problem(field, value, context, open_names)
            found += [FieldError(field, wrong)] if wrong else []
    return found


def _not_an_expression(condition: str, context: Mapping[str, Any]) -> str | None:
    """By itself, not only between our own brackets."""
    try:
        bare = tamed("{{ " + condition + " }}").source[3:-3]
        environment().eval_expr(bare, **context)
    except TemplateError as error:
        return detail_of(error) if error.kind == "SyntaxError" else None
    except Refused as refused:
        return str(refused)
    except Exception:  # noqa: BLE001 - it is an expression, and that is asked here
        return None
    return None
