"""An automation in words that people read: what begins it, what each step does, and where it goes from there."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from clarion.journey.automations.flow import END, Flow
from clarion.journey.segments.sentences import length, sentence
from clarion.model import Json, Message, Rule, Segment
from clarion.model.automations import (
    Branch,
    Delay,
    Entry,
    EventMatch,
    Exit,
    Path,
    Send,
    Step,
    UpdateUser,
    Wait,
    Webhook,
)
from clarion.model.segments import Duration

_DAYS = {"mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday", "sat": "Saturday",
         "sun": "Sunday"}  # fmt: skip


class Way(NamedTuple):
    """Where a step leads, and when; `to` END: the run is done. No words: always."""

    when: str
    to: int


def begins(on: Entry) -> str:
    """What begins a run: "at cart_added", "when somebody enters the segment loyal"."""
    if on.api:
        return "by a call"
    if on.segment is not None:
        return f"when somebody {on.when} the segment {on.segment}"
    if on.attribute is not None:
        yearly = ", every year" if on.yearly else ""
        return f"{_away(on.days)} the date in {on.attribute}{yearly}, at {on.at} where they are"
    told = f"at {matched(EventMatch(event=on.event or '', where=on.where))}"
    return told if on.key is None else f"{told}, one for each {on.key}"


def reentry(again: str | Duration) -> str:
    """Whether who went through may come again."""
    if isinstance(again, Duration):
        return f"again {length(again)} after it began"
    return "any number of times" if again == "always" else "once"


def told(step: Step) -> str:  # noqa: PLR0911 - a line for each kind of step
    """What a step does."""
    match step:
        case Send():
            return f"Send {said(step.notification)}"
        case Delay():
            return _pause(step)
        case Wait():
            return f"Wait for {matched(step.for_)}, at most {length(step.timeout)}"
        case Branch():
            return "Branch"
        case UpdateUser():
            return f"Set {', '.join(_valued(step.attributes))}"
        case Webhook():
            return f"Call {step.url}"
        case Exit():
            return "End"


def said(message: Message) -> str:
    """What a message says, or what says it."""
    title = message.title or next((one.title for one in message.variants if one.title is not None), None)
    return f"“{title}”" if title is not None else f"the template {message.template}"


def ways(flow: Flow, at: int) -> Iterator[Way]:
    """Where a step leads, in the order in which it is looked at."""
    step = flow.steps[at]
    match step:
        case Branch():
            for path in step.paths:
                yield Way(_condition(path), flow.number(path.to))
            yield Way("else", flow.after(at))
        case Wait() if step.on_timeout is not None:
            yield Way("if it comes", flow.after(at))
            yield Way("if it does not", flow.number(step.on_timeout))
        case Exit():
            yield Way("", END)
        case _:
            yield Way("", flow.after(at))


def matched(match_: EventMatch) -> str:
    """An event with its conditions."""
    conditions = [*_valued(match_.where), *(f"the same {name}" for name in match_.same)]
    return match_.event + (f" ({' and '.join(conditions)})" if conditions else "")


def rule(one: Rule) -> str:
    """Of whom it holds: "people who …"."""
    return sentence(Segment(name="", rule=one))


def _condition(path: Path) -> str:
    return f"{path.percent:g} % by chance" if path.if_ is None else rule(path.if_)


def _away(days: int) -> str:
    if not days:
        return "on"
    counted = "1 day" if abs(days) == 1 else f"{abs(days)} days"
    return f"{counted} {'after' if days > 0 else 'before'}"


def _pause(step: Delay) -> str:
    if step.for_ is not None:
        return f"Wait {length(step.for_)}"
    if step.until is not None:
        return f"Wait until it is {step.until.at} where they are{_on(step.until.days)}"
    if step.window is not None:
        between = f"{step.window.start} and {step.window.end} where they are"
        return f"Wait until it is between {between}{_on(step.window.days)}"
    return "Wait"


def _on(days: Sequence[str] | None) -> str:
    return "" if days is None else f" on {' or '.join(_DAYS[day] for day in days)}"


def _valued(values: Json) -> list[str]:
    return [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
