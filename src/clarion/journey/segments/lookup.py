"""Segments: whether a rule can be looked up, and who is meant by it at a moment."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from clarion.errors import FieldError
from clarion.journey.rules import crowd_name
from clarion.model import Audience, Millis, Notification, Rule, Segment
from clarion.model import segments as rules
from clarion.model.segments import MAX_CONDITIONS, MAX_WINDOW_DAYS, Operator
from clarion.ports import Crowd, FactsQuery

_MAX_WHOLE = 1 << 53  # beyond it, not every reader of JSON tells two numbers apart
_MAX_CHOICES = 1_000
_BARE = {Operator.EXISTS, Operator.NOT_EXISTS}
_OF_SEVERAL = {Operator.IN, Operator.NOT_IN}
_ORDERED = {Operator.GT, Operator.GTE, Operator.LT, Operator.LTE}
_OF_TEXT = {Operator.CONTAINS, Operator.STARTS_WITH}


def walk(rule: Rule, field: str) -> Iterator[tuple[str, Rule]]:
    """The rule and all inside it, each with its place, such as `rule.rules[1]`."""
    yield field, rule
    match rule:
        case rules.AllOf() | rules.AnyOf():
            for index, one in enumerate(rule.rules):
                yield from walk(one, f"{field}.rules[{index}]")
        case rules.Not():
            yield from walk(rule.rule, f"{field}.rule")


def parts(segment: Segment) -> Iterator[tuple[str, Rule]]:
    """The same for all rules of a segment."""
    for field, rule in (("rule", segment.rule), ("exit", segment.exit)):
        if rule is not None:
            yield from walk(rule, field)


def referred(segment: Segment) -> dict[str, str]:
    """The segments that it names, each with its first place."""
    found: dict[str, str] = {}
    for field, rule in parts(segment):
        if isinstance(rule, rules.InSegment):
            found.setdefault(rule.segment, f"{field}.segment")
    return found


def users_of_segment(name: str, known: Mapping[str, Segment]) -> list[str]:
    """The segments that refer to one, by name."""
    return sorted(one.name for one in known.values() if name in referred(one))


def users_of_topic(name: str, known: Mapping[str, Segment]) -> list[str]:
    """The segments that refer to a topic, by name."""
    named = rules.Subscribed(topic=name)
    return sorted(one.name for one in known.values() if any(rule == named for _, rule in parts(one)))


# --- who is meant -----------------------------------------------------------------------------------------------------


def check_audience(to: Audience, known: Collection[str], topics: Collection[str]) -> list[FieldError]:
    """Whether there is such a segment or topic."""
    if to.segment is not None and to.segment not in known:
        return [FieldError("to.segment", _unknown("segment", to.segment))]
    if to.topic is not None and not _is_there(to.topic, topics):
        return [FieldError("to.topic", _unknown("topic", to.topic))]
    return []


def with_crowds(
    query: FactsQuery, notifications: Iterable[Notification], known: Mapping[str, Segment], now: Millis
) -> FactsQuery:
    """The same, with whether these people are still in the audiences of these notifications."""
    crowds = {one.name: one for each in notifications if (one := crowd_of(each.to, known, now)) is not None}
    return msgspec.structs.replace(query, crowds=list(crowds.values())) if crowds else query


def crowd_of(to: Audience, known: Mapping[str, Segment], now: Millis) -> Crowd | None:
    """The audience as a crowd; None for one that names people."""
    if to.segment is not None:
        return crowd_in(to.segment, known, now)
    if to.topic is not None:
        return Crowd(crowd_name(to), rules.Subscribed(topic=to.topic), {}, now)
    return None


def crowd_in(name: str, known: Mapping[str, Segment], now: Millis) -> Crowd:
    """The people of a segment, with all others that it leads to. One that leads in a circle has nobody in it.

    (They are refused where they are made, but two that are changed at once may get by.)
    """
    reached = _reachable(name, known)
    found = {other: known[other].membership for other in reached if _way_back(other, known[other], known) is None}
    return Crowd(crowd_name(Audience(segment=name)), rules.InSegment(segment=name), found, now)


def crowd_of_rule(rule: Rule, name: str, known: Mapping[str, Segment], now: Millis) -> Crowd:
    """The people of whom a rule holds, with all segments that it leads to; `name`: what the crowd is called."""
    here = Segment(name=name, rule=rule)
    crowd = crowd_in(name, {**known, name: here}, now)
    return Crowd(name, rule, {other: one for other, one in crowd.segments.items() if other != name}, now)


def _reachable(start: str, known: Mapping[str, Segment]) -> list[str]:
    found: list[str] = []
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in known and name not in found:
            found.append(name)
            waiting += referred(known[name])
    return found


def _way_back(name: str, segment: Segment, known: Mapping[str, Segment]) -> tuple[str, list[str]] | None:
    """How a segment leads back to the name: the place in it, and the names on the way."""
    for first, field in referred(segment).items():
        way = {first: [first]}
        waiting = [first]
        while waiting:
            here = waiting.pop()
            if here == name:
                return field, way[here]
            for there in referred(known[here]) if here in known else ():
                if there not in way:
                    way[there] = [*way[here], there]
                    waiting.append(there)
    return None


# --- at the door ------------------------------------------------------------------------------------------------------


def check(
    segment: Segment, known: Mapping[str, Segment], categories: Collection[str], topics: Collection[str]
) -> list[FieldError]:
    """What is wrong with it, beside the others of the project."""
    found: list[FieldError] = []
    for field, rule in parts(segment):
        found += _wrong(rule, field)
        match rule:
            case rules.Consented() if rule.category not in categories:
                found.append(FieldError(f"{field}.category", _unknown("category", rule.category)))
            case rules.Subscribed() if not _is_there(rule.topic, topics):
                found.append(FieldError(f"{field}.topic", _unknown("topic", rule.topic)))
            case rules.InSegment() if rule.segment not in known and rule.segment != segment.name:
                found.append(FieldError(f"{field}.segment", _unknown("segment", rule.segment)))
    back = _way_back(segment.name, segment, known)
    if back is not None:
        field, way = back
        found.append(FieldError(field, f"leads back to this segment: {' → '.join([segment.name, *way])}"))
    elif not found:
        found += _too_large_with(segment, {**known, segment.name: segment})
    return found


def _too_large_with(segment: Segment, known: Mapping[str, Segment]) -> Iterator[FieldError]:
    """Itself, or one that leads to it and was small enough before."""
    sizes: dict[str, int] = {}
    if _size(segment, known, sizes) > MAX_CONDITIONS:
        words = f"must have at most {MAX_CONDITIONS} conditions, those of the segments that it names included"
        yield FieldError("rule", words)
        return
    above = [name for name in known if name != segment.name and segment.name in _reachable(name, known)]
    for name in above:
        if _size(known[name], known, sizes) > MAX_CONDITIONS:
            yield FieldError("rule", f"makes {name}, which names it, have more than {MAX_CONDITIONS} conditions")


def _is_there(topic: str, topics: Collection[str]) -> bool:
    """Itself, or one below it."""
    return topic in topics or any(rules.is_below(one, topic) for one in topics)


def _unknown(noun: str, name: str) -> str:
    return f"there is no {noun} {name}"


def _size(segment: Segment, known: Mapping[str, Segment], sizes: dict[str, int]) -> int:
    """Conditions, with those of other segments as often as they are named. The segments lead in no circle."""
    size = 0
    for _, rule in parts(segment):
        if isinstance(rule, rules.InSegment) and rule.segment in known:
            if rule.segment not in sizes:
                sizes[rule.segment] = 0  # should they lead in a circle after all
                sizes[rule.segment] = _size(known[rule.segment], known, sizes)
            size += sizes[rule.segment]
        size += not isinstance(rule, rules.AllOf | rules.AnyOf | rules.Not)
    return size


def _wrong(rule: Rule, field: str) -> Iterator[FieldError]:  # noqa: C901, PLR0912 - a line for each kind of rule
    """What is wrong with this part alone."""
    match rule:
        case rules.Attribute():
            yield from _wrong_comparison(rule.op, rule.value, field)
        case rules.Profile(field="anonymous"):
            if rule.op not in {Operator.EQ, Operator.NE}:
                yield FieldError(f"{field}.op", "must be eq or ne: anonymous is true or false")
            elif not isinstance(rule.value, bool):
                yield FieldError(f"{field}.value", "must be true or false")
        case rules.Profile():
            yield from _wrong_text(rule.op, rule.value, field)
        case rules.HasDevice():
            for name in ("kinds", "permissions"):
                if getattr(rule, name) == []:
                    yield FieldError(f"{field}.{name}", "must name at least one, or be left out")
            for index, one in enumerate(rule.where):
                yield from _wrong_text(one.op, one.value, f"{field}.where[{index}]")
        case rules.Percent():
            if not 0 < rule.percent <= 100 - rule.from_:
                yield FieldError(f"{field}.percent", "must be more than 0 and, with from, at most 100")
        case rules.FirstSeen() | rules.Did() | rules.DidNot() | rules.First() | rules.Last():
            yield from _wrong_window(rule, field)
            if not isinstance(rule, rules.FirstSeen):
                yield from _wrong_events(rule, field)


def _wrong_window(rule: Any, field: str) -> Iterator[FieldError]:
    lengths = [(name, getattr(rule, name)) for name in ("within", "before") if getattr(rule, name) is not None]
    for name, length in lengths:
        if not 0 < length.ms <= MAX_WINDOW_DAYS * 86_400_000:
            yield FieldError(f"{field}.{name}", f"must be longer than nothing and at most {MAX_WINDOW_DAYS} days")
    if len(lengths) > 1 and rule.within.ms <= rule.before.ms:
        yield FieldError(f"{field}.before", "must be shorter than within: the window would be empty")
    if isinstance(rule, rules.FirstSeen | rules.First | rules.Last) and not lengths:
        yield FieldError(f"{field}.within", "is required, or before")


def _wrong_events(rule: rules.Did | rules.DidNot | rules.First | rules.Last, field: str) -> Iterator[FieldError]:
    for index, one in enumerate(rule.where):
        yield from _wrong_comparison(one.op, one.value, f"{field}.where[{index}]")
    if isinstance(rule, rules.Did | rules.DidNot) and rule.since is not None and rule.since.last == rule.event:
        yield FieldError(f"{field}.since.last", f"must be another event than {rule.event}")
    if isinstance(rule, rules.Did):
        if rule.at_most is not None and rule.at_most < rule.at_least:
            yield FieldError(f"{field}.at_most", f"must be at least {rule.at_least}, as at_least says")
        if rule.at_least == 0 and rule.at_most is None:
            yield FieldError(f"{field}.at_least", "must be 1 or more without at_most: everybody did it 0 times or more")


def _wrong_text(op: Operator, value: Any, field: str) -> Iterator[FieldError]:
    """Of what is always text, or not there."""
    if op in _ORDERED:
        allowed = ", ".join(sorted(set(Operator) - _ORDERED))
        yield FieldError(f"{field}.op", f"must be one of {allowed}: it is a text")
        return
    if isinstance(value, bool):
        yield FieldError(f"{field}.value", "must be a text")
        return
    yield from _wrong_comparison(op, value, field)


def _wrong_comparison(op: Operator, value: Any, field: str) -> Iterator[FieldError]:
    place = f"{field}.value"
    if op in _BARE:
        if value is not None:
            yield FieldError(place, f"must be left out: {op} asks for no value")
    elif op in _OF_SEVERAL:
        if not isinstance(value, list) or not 1 <= len(value) <= _MAX_CHOICES:
            yield FieldError(place, f"must be a list of 1 to {_MAX_CHOICES} values with {op}")
        elif any(_too_large(one) for one in value):
            yield FieldError(place, _TOO_LARGE)
    elif value is None or isinstance(value, list):
        yield FieldError(place, f"must be a single value with {op}")
    elif op in _ORDERED and isinstance(value, bool):
        yield FieldError(place, f"must be a number or a text with {op}")
    elif (op in _OF_TEXT and value == "") or (op is Operator.STARTS_WITH and not isinstance(value, str)):
        yield FieldError(place, f"must be a text that is not empty with {op}")
    elif _too_large(value):
        yield FieldError(place, _TOO_LARGE)


_TOO_LARGE = f"must be a number between -{_MAX_WHOLE} and {_MAX_WHOLE}"


def _too_large(value: Any) -> bool:
    return isinstance(value, int | float) and not -_MAX_WHOLE <= value <= _MAX_WHOLE
