"""What a rule of a segment means, in plain Python over one person: the reading that every engine is held to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any

from clarion.model import Device, DeviceState, Event, Millis, Rule, User
from clarion.model import segments as rules
from clarion.model.segments import Operator, Scalar

_ORDERED: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.GT: gt,
    Operator.GTE: ge,
    Operator.LT: lt,
    Operator.LTE: le,
}
_OPPOSITE = {Operator.NE: Operator.EQ, Operator.NOT_IN: Operator.IN, Operator.NOT_EXISTS: Operator.EXISTS}


@dataclass(frozen=True, slots=True)
class Known:
    """Everything known of a person that a rule can ask about. `consents`: the last word by category and channel."""

    user: User
    bucket: int = 0
    devices: Sequence[Device] = ()
    consents: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    events: Sequence[Event] = ()
    topics: Sequence[str] = ()
    lists: Sequence[str] = ()


def holds(  # noqa: C901, PLR0911, PLR0912 - a line for each kind of rule
    rule: Rule, person: Known, segments: Mapping[str, Rule | None], now: Millis
) -> bool:
    """Whether the person is meant. `segments` as in `ports.Crowd`."""
    match rule:
        case rules.AllOf():
            return all(holds(one, person, segments, now) for one in rule.rules)
        case rules.AnyOf():
            return any(holds(one, person, segments, now) for one in rule.rules)
        case rules.Not():
            return not holds(rule.rule, person, segments, now)
        case rules.InSegment():
            if rule.segment not in segments:
                return False
            other = segments[rule.segment]
            return rule.segment in person.lists if other is None else holds(other, person, segments, now)
        case rules.Attribute():
            return compares(person.user.attributes.get(rule.attribute), rule.op, rule.value)
        case rules.Profile():
            return compares(getattr(person.user, rule.field), rule.op, rule.value)
        case rules.FirstSeen():
            return _in_window(person.user.created_at, rule, now)
        case rules.Percent():
            by, plus = rules.deal(rule.key)
            first, end = rules.slice_of(rule)
            return first <= (person.bucket * by + plus) % rules.BUCKETS < end
        case rules.Subscribed():
            return any(rules.is_below(topic, rule.topic) for topic in person.topics)
        case rules.HasDevice():
            return any(_is(device, rule) for device in person.devices)
        case rules.Consented():
            said = person.consents.get((rule.category, rule.channel))
            return said is {"granted": True, "refused": False, "unsaid": None}[rule.state]
        case _:
            return _happened(rule, person.events, now)


def compares(told: Any, op: Operator, value: Any) -> bool:  # noqa: PLR0911 - a line for each operator
    """`told` is None where there is nothing."""
    if op in _OPPOSITE:
        return not compares(told, _OPPOSITE[op], value)
    match op:
        case Operator.EXISTS:
            return told is not None
        case Operator.EQ:
            return same(told, value)
        case Operator.IN:
            return any(same(told, one) for one in value)
        case Operator.STARTS_WITH:
            return isinstance(told, str) and told.startswith(value)
        case Operator.CONTAINS:
            if isinstance(told, list):
                return any(same(one, value) for one in told)
            return isinstance(told, str) and isinstance(value, str) and value in told
        case _:
            return _kind(told) is _kind(value) and _ORDERED[op](told, value)


def same(told: Any, value: Scalar) -> bool:
    """As JSON has it: 1 is 1.0, true is not 1."""
    return _kind(told) is _kind(value) and bool(told == value)


def _kind(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _in_window(at: Millis, rule: Any, now: Millis) -> bool:
    until = now - (rule.before.ms if rule.before else 0)
    return at <= until and (rule.within is None or at > now - rule.within.ms)


def _is(device: Device, rule: rules.HasDevice) -> bool:
    return (
        device.state is DeviceState.ACTIVE
        and (rule.kinds is None or device.kind in rule.kinds)
        and (rule.permissions is None or device.permission in rule.permissions)
        and all(compares(getattr(device, one.field), one.op, one.value) for one in rule.where)
    )


def _happened(rule: rules.Did | rules.DidNot | rules.First | rules.Last, events: Sequence[Event], now: Millis) -> bool:
    past = [one for one in events if one.occurred_at <= now]
    these = [one.occurred_at for one in past if _matches(one, rule)]
    if isinstance(rule, rules.First | rules.Last):
        end = min if isinstance(rule, rules.First) else max
        return bool(these) and _in_window(end(these), rule, now)
    if rule.since is not None:
        began = max((one.occurred_at for one in past if one.name == rule.since.last), default=now + 1)
        these = [at for at in these if at >= began]
    times = sum(_in_window(at, rule, now) for at in these)
    if isinstance(rule, rules.DidNot):
        return times == 0
    return rule.at_least <= times and (rule.at_most is None or times <= rule.at_most)


def _matches(event: Event, rule: Any) -> bool:
    named = rule.event is None or event.name == rule.event
    return named and all(compares(event.properties.get(one.property), one.op, one.value) for one in rule.where)
