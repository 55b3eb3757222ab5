"""A rule as a sentence that people read: "people who did cart_added in the last 3 days and did not order since"."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from clarion.model import Rule, Segment
from clarion.model import segments as rules
from clarion.model.segments import Duration, Operator

_SAID = {
    Operator.EQ: ("is", "is not"),
    Operator.GT: ("is more than", "is not more than"),
    Operator.GTE: ("is at least", "is not at least"),
    Operator.LT: ("is less than", "is not less than"),
    Operator.LTE: ("is at most", "is not at most"),
    Operator.IN: ("is one of", "is none of"),
    Operator.CONTAINS: ("contains", "does not contain"),
    Operator.STARTS_WITH: ("begins with", "does not begin with"),
    Operator.EXISTS: ("is known", "is not known"),
}
"""Of each operator, and of its opposite."""
_OPPOSITE = {Operator.NE: Operator.EQ, Operator.NOT_IN: Operator.IN, Operator.NOT_EXISTS: Operator.EXISTS}
_CONSENT = {
    "granted": ("said yes to", "did not say yes to"),
    "refused": ("said no to", "did not say no to"),
    "unsaid": ("said nothing about", "said something about"),
}


class _Clause(NamedTuple):
    """`who` or `whose`, and what follows; after one with the same beginning it is left out. A group has none."""

    lead: str
    words: str


def sentence(segment: Segment) -> str:
    """Who is in it."""
    rule = segment.membership
    return "people on a list" if rule is None else f"people {_told(_clause(rule, denied=False))}"


def _told(clause: _Clause) -> str:
    return f"{clause.lead} {clause.words}".lstrip()


def _clause(rule: Rule, *, denied: bool, before: Rule | None = None) -> _Clause:
    """`denied`: that it does not hold. `before`: the condition that was told just before."""
    match rule:
        case rules.Not():
            return _clause(rule.rule, denied=not denied, before=before)
        case rules.AllOf() | rules.AnyOf():
            return _joined(rule.rules, "and" if isinstance(rule, rules.AllOf) is not denied else "or", denied=denied)
        case rules.Attribute():
            return _Clause("whose", _compared(rule.attribute, rule.op, rule.value, denied=denied))
        case rules.Profile(field="anonymous"):
            yes = (rule.op is Operator.EQ) is (rule.value is not denied)
            return _Clause("who", "are anonymous" if yes else "are not anonymous")
        case rules.Profile():
            return _Clause("whose", _compared(rule.field, rule.op, rule.value, denied=denied))
        case _:
            return _Clause("who", _of_person(rule, before, denied=denied))


def _joined(parts: Sequence[Rule], word: str, *, denied: bool) -> _Clause:
    told, lead, before = [], "", None
    for one, no in _flat(parts, word, denied=denied):
        clause = _clause(one, denied=no, before=before)
        if isinstance(one, rules.AllOf | rules.AnyOf):
            told.append(f"({_told(clause)})")
        else:
            told.append(clause.words if clause.lead == lead else _told(clause))
        lead, before = clause.lead, one
    return _Clause("", f" {word} ".join(told))


def _flat(parts: Sequence[Rule], word: str, *, denied: bool) -> Iterator[tuple[Rule, bool]]:
    """Without groups inside a group that are told with the same word; each with whether it is denied."""
    for one in parts:
        inner, no = one, denied
        while isinstance(inner, rules.Not):
            inner, no = inner.rule, not no
        if isinstance(inner, rules.AllOf | rules.AnyOf):
            same = ("and" if isinstance(inner, rules.AllOf) is not no else "or") == word
            if same or len(inner.rules) == 1:
                yield from _flat(inner.rules, word, denied=no)
                continue
        yield inner, no


def _of_person(rule: Rule, before: Rule | None, *, denied: bool) -> str:  # noqa: PLR0911 - a line for each kind
    match rule:
        case rules.FirstSeen():
            return f"{'were not' if denied else 'were'} first seen{_window(rule)}"
        case rules.HasDevice():
            return f"{'have no' if denied else 'have an'} active {_device(rule)}"
        case rules.Consented():
            return f"{_CONSENT[rule.state][denied]} {rule.category} ({rule.channel})"
        case rules.InSegment():
            return f"{'are not' if denied else 'are'} in the segment {rule.segment}"
        case rules.Subscribed():
            return f"{'are not' if denied else 'are'} subscribed to {rule.topic}"
        case rules.Percent():
            part = f"a random {rule.percent:g} %" + (f" after the first {rule.from_:g} %" if rule.from_ else "")
            return f"{'are not' if denied else 'are'} in {part}" + (f" of {rule.key}" if rule.key else "")
        case _:
            return _happened(rule, before, denied=denied)


def _happened(rule: Any, before: Rule | None, *, denied: bool) -> str:
    if isinstance(rule, rules.DidNot):
        denied = not denied
    name = rule.event or "anything"
    told = f"did not {rule.event or 'do anything'}" if denied else f"did {name}"
    if rule.where:
        conditions = (_compared(one.property, one.op, one.value, denied=False) for one in rule.where)
        told += f" ({' and '.join(conditions)})"
    if isinstance(rule, rules.First | rules.Last):
        told += f" for the {'first' if isinstance(rule, rules.First) else 'last'} time"
    elif isinstance(rule, rules.Did):
        told += _times(rule)
    told += _window(rule)
    since = None if isinstance(rule, rules.First | rules.Last) else rule.since
    if since is not None:
        just_told = isinstance(before, rules.Did) and before.event == since.last
        told += " since" if just_told else f" since their last {since.last}"
    return told


def _times(rule: rules.Did) -> str:
    match rule.at_least, rule.at_most:
        case 1, None:
            return ""
        case least, None:
            return f" at least {least} times"
        case 0 | 1 as least, most:
            return f" at most {_counted(most, 'time')}" + (", but at least once" if least else "")
        case least, most if least == most:
            return f" exactly {_counted(most, 'time')}"
        case least, most:
            return f" {least} to {most} times"


def _window(rule: Any) -> str:
    if rule.within is None:
        return "" if rule.before is None else f" at least {length(rule.before)} ago"
    if rule.before is None:
        return f" in the last {length(rule.within)}"
    return f" between {length(rule.before)} and {length(rule.within)} ago"


def length(duration: Duration) -> str:
    """Such as "3 days" or "1 hour 30 minutes"."""
    parts = [(name, getattr(duration, name)) for name in ("days", "hours", "minutes", "seconds")]
    return " ".join(_counted(count, name.removesuffix("s")) for name, count in parts if count) or "0 seconds"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _compared(name: str, op: Operator, value: Any, *, denied: bool) -> str:
    if op in _OPPOSITE:
        op, denied = _OPPOSITE[op], not denied
    told = f"{name} {_SAID[op][denied]}"
    if op is Operator.EXISTS:
        return told
    values = value if isinstance(value, list) else [value]
    return f"{told} {', '.join(msgspec.json.encode(one).decode() for one in values)}"


def _device(rule: rules.HasDevice) -> str:
    told = f"{' or '.join(rule.kinds)} device" if rule.kinds else "device"
    conditions = [f"permission is {' or '.join(rule.permissions)}"] if rule.permissions else []
    conditions += [_compared(one.field, one.op, one.value, denied=False) for one in rule.where]
    return f"{told} whose {' and '.join(conditions)}" if conditions else told
