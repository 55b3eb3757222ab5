"""Flows: the steps of an automation as a graph, what may be asked of a person on the way, and what cannot work."""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

from clarion.errors import FieldError
from clarion.model import Automation, Json, Rule
from clarion.model import automations as words
from clarion.model.automations import Branch, Delay, EventMatch, Exit, Send, Step, Wait, Webhook
from clarion.model.segments import Duration

END = -1
"""In place of the number of a step: there is none, the run is done."""


def _blocks(step: Step) -> bool:
    """Whether every run pauses there: through an open window it goes on at once."""
    return isinstance(step, Wait) or (isinstance(step, Delay) and step.window is None)


class Needs(NamedTuple):
    """What must be known of a person whose run is at a step, until it waits again."""

    rules: tuple[Rule, ...]
    events: tuple[str, ...]
    zone: bool


class Flow:
    """One version of an automation, ready to be gone through. Steps are known by their numbers, from 0."""

    def __init__(self, automation: Automation) -> None:
        self.automation = automation
        self.steps: list[Step] = list(automation.steps or ())
        self._numbers = {step.id: at for at, step in enumerate(self.steps) if step.id is not None}
        self._needs: dict[int, Needs] = {}

    @property
    def name(self) -> str:
        return self.automation.name

    def number(self, id: str) -> int:
        """The number of the step of this id."""
        return self._numbers[id]

    def after(self, at: int) -> int:
        """The step that follows another."""
        step = self.steps[at]
        if isinstance(step, Exit):
            return END
        if step.next is not None:
            return self._numbers[step.next]
        return at + 1 if at + 1 < len(self.steps) else END

    def ways(self, at: int) -> list[int]:
        """Every step that may follow."""
        step = self.steps[at]
        more: list[int] = []
        if isinstance(step, Branch):
            more = [self._numbers[path.to] for path in step.paths]
        elif isinstance(step, Wait) and step.on_timeout is not None:
            more = [self._numbers[step.on_timeout]]
        return [*more, self.after(at)]

    def label(self, at: int) -> str:
        """How a step is named to people."""
        return self.steps[at].id or str(at + 1)

    @cached_property
    def watched(self) -> frozenset[str]:
        """Events that move runs on or end them."""
        waits = {step.for_.event for step in self.steps if isinstance(step, Wait)}
        ends = {match.event for match in (self.automation.goal, self.automation.exit_on) if match is not None}
        return frozenset(waits | ends)

    @cached_property
    def kept(self) -> frozenset[str]:
        """Properties of what a run began with that are asked for later."""
        automation = self.automation
        matches = [automation.goal, automation.exit_on, *(s.for_ for s in self.steps if isinstance(s, Wait))]
        return frozenset(name for match in matches if match is not None for name in match.same)

    def needs(self, at: int) -> Needs:
        """For a run that is at this step, whether it waits there or not."""
        known = self._needs.get(at)
        if known is None:
            known = self._needs[at] = self._find_needs(at)
        return known

    def _find_needs(self, start: int) -> Needs:
        rules: list[Rule] = [] if self.automation.exit_if is None else [self.automation.exit_if]
        ends = (self.automation.goal, self.automation.exit_on)
        events = {match.event for match in ends if match is not None}
        zone, seen, waiting = False, set[int](), [start]
        while waiting:
            at = waiting.pop()
            if at == END or at in seen:
                continue
            seen.add(at)
            step = self.steps[at]
            match step:
                case Branch():
                    rules += [path.if_ for path in step.paths if path.if_ is not None and path.if_ not in rules]
                case Wait():
                    events.add(step.for_.event)
                case Delay():
                    zone = zone or step.for_ is None
            if at == start or not _blocks(step):
                waiting += self.ways(at)
        return Needs(tuple(rules), tuple(sorted(events)), zone)


def matches(match: EventMatch, name: str, properties: Json, data: Json) -> bool:
    """Whether an event is the one that is meant, by a run with this data."""
    return (
        name == match.event
        and fits(match.where, properties)
        and all(each in properties and each in data and _same(properties[each], data[each]) for each in match.same)
    )


def fits(where: Json, properties: Json) -> bool:
    """Whether these properties are there, with these values."""
    return all(name in properties and _same(properties[name], value) for name, value in where.items())


def _same(told: object, wanted: object) -> bool:
    """As JSON has it: true is not 1."""
    return isinstance(told, bool) == isinstance(wanted, bool) and told == wanted


# --- at the door ------------------------------------------------------------------------------------------------------


def check(automation: Automation) -> list[FieldError]:
    """What cannot work in the entry and in the steps themselves, with the place."""
    found = [*_entry(automation), *_either(automation)]
    if automation.steps is None:
        return found
    found += [*_names(automation), *_each(automation)]
    return found or list(_graph(Flow(automation)))


def _entry(automation: Automation) -> Iterator[FieldError]:
    on = automation.on
    kinds = [name for name in ("event", "segment", "attribute") if getattr(on, name) is not None]
    kinds += ["api"] if on.api else []
    if not kinds:
        yield FieldError("on.event", "is required, or another start: segment, attribute, api")
        return
    if len(kinds) != 1:
        yield FieldError("on", "must have exactly one of event, segment, attribute, api")
        return
    belongs = {
        "where": "event", "key": "event", "max_age_s": "event", "when": "segment", "existing": "segment",
        "days": "attribute", "at": "attribute", "yearly": "attribute",
    }  # fmt: skip
    plain = words.Entry()
    for name, kind in belongs.items():
        if kind != kinds[0] and getattr(on, name) != getattr(plain, name):
            yield FieldError(f"on.{name}", f"goes with {kind}")


def _either(automation: Automation) -> Iterator[FieldError]:
    if automation.notification is None and automation.steps is None:
        yield FieldError("notification", "is required, or steps")
    if automation.notification is not None and automation.steps is not None:
        yield FieldError("steps", "must be left out beside notification: make it a step of type send")
    if automation.notification is not None:
        if automation.on.event is None and automation.on != words.Entry():
            yield FieldError("on.event", "is needed with notification; other starts take steps")
        for name in ("goal", "exit_on", "exit_if"):
            if getattr(automation, name) is not None:
                yield FieldError(name, "goes with steps")
        if automation.on.key is not None:
            yield FieldError("on.key", "goes with steps")
        if automation.reentry != "always":
            yield FieldError("reentry", "goes with steps")
    if isinstance(automation.reentry, Duration) and not automation.reentry.ms:
        yield FieldError("reentry", "must be longer than nothing")


def _names(automation: Automation) -> Iterator[FieldError]:
    steps = automation.steps or []
    ids = [step.id for step in steps if step.id is not None]
    for at, step in enumerate(steps):
        if step.id is not None and ids.count(step.id) > 1:
            yield FieldError(f"steps[{at}].id", f"{step.id} is the id of another step as well")
        for field, target in _targets(step):
            if target not in ids:
                yield FieldError(f"steps[{at}].{field}", f"there is no step {target}")


def _targets(step: Step) -> Iterator[tuple[str, str]]:
    if step.next is not None:
        yield "next", step.next
    if isinstance(step, Wait) and step.on_timeout is not None:
        yield "on_timeout", step.on_timeout
    if isinstance(step, Branch):
        yield from ((f"paths[{at}].to", path.to) for at, path in enumerate(step.paths))


def _each(automation: Automation) -> Iterator[FieldError]:
    for at, step in enumerate(automation.steps or []):
        place = f"steps[{at}]"
        match step:
            case Exit() if step.next is not None:
                yield FieldError(f"{place}.next", "must be left out: an exit is the end")
            case Delay():
                yield from _delay(step, place)
            case Wait() if not step.timeout.ms:
                yield FieldError(f"{place}.timeout", "must be longer than nothing")
            case Branch():
                yield from _branch(step, place)


def _delay(step: Delay, place: str) -> Iterator[FieldError]:
    if [step.for_, step.until, step.window].count(None) != 2:  # noqa: PLR2004 - all but one
        yield FieldError(place, "must have exactly one of for, until, window")
    elif step.for_ is not None and not step.for_.ms:
        yield FieldError(f"{place}.for", "must be longer than nothing")
    elif step.window is not None and step.window.start >= step.window.end:
        yield FieldError(f"{place}.window.end", "must be later in the day than start")


def _branch(step: Branch, place: str) -> Iterator[FieldError]:
    for number, path in enumerate(step.paths):
        if (path.if_ is None) == (path.percent is None):
            yield FieldError(f"{place}.paths[{number}]", "must have exactly one of if, percent")
    if sum(path.percent or 0 for path in step.paths) > 100:  # noqa: PLR2004 - per cent
        yield FieldError(f"{place}.paths", "have more than 100 percent together")


def _graph(flow: Flow) -> Iterator[FieldError]:
    """Steps that nobody comes to, rounds without a pause, and rounds that nobody leaves."""
    reached = _reach(flow, 0)
    for at in range(len(flow.steps)):
        if at not in reached:
            yield FieldError(f"steps[{at}]", "is never reached: no step leads to it")
    leaves = flow.automation.goal or flow.automation.exit_on or flow.automation.exit_if
    for at in sorted(reached - {END}):
        ahead = _reach(flow, *flow.ways(at))
        if at in _reach(flow, *flow.ways(at), blocked=True) and not _blocks(flow.steps[at]):
            yield FieldError(f"steps[{at}]", "leads back to itself without a delay or a wait")
        elif END not in ahead and leaves is None:
            yield FieldError(f"steps[{at}]", "leads to no exit: runs would go round for ever")


def _reach(flow: Flow, *starts: int, blocked: bool = False) -> set[int]:
    """Every step that may come; `blocked`: before the next pause."""
    seen: set[int] = set()
    waiting = list(starts)
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        if at != END and not (blocked and _blocks(flow.steps[at])):
            waiting += flow.ways(at)
    return seen


def misdirected(automation: Automation) -> Iterator[FieldError]:
    """Webhooks to what is no URL of somebody else's server."""
    for at, step in enumerate(automation.steps or ()):
        if isinstance(step, Webhook) and not _can_be_called(step.url):
            yield FieldError(
                f"steps[{at}].url", "must be an https:// URL, without a user name, a fragment or a template"
            )


def _can_be_called(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # a number that is none raises, as does half an IPv6 address
    except ValueError:
        return False
    if port == 0 or any(character.isspace() or character in "{}" for character in url):
        return False
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and not parts.username and not parts.fragment


def sends(automation: Automation) -> Iterator[tuple[str, Send]]:
    """The steps that say something, each with its place."""
    for at, step in enumerate(automation.steps or ()):
        if isinstance(step, Send):
            yield f"steps[{at}].notification", step


def rules(automation: Automation) -> Iterator[tuple[str, Rule]]:
    """Every rule in it, with its place."""
    if automation.exit_if is not None:
        yield "exit_if", automation.exit_if
    for at, step in enumerate(automation.steps or ()):
        if isinstance(step, Branch):
            for number, path in enumerate(step.paths):
                if path.if_ is not None:
                    yield f"steps[{at}].paths[{number}].if", path.if_
