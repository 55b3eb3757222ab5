"""Gate: whether somebody is still in the segment, or subscribed to the topic, that they were found in."""

from clarion.journey.rules.ruling import Ruling
from clarion.model import Audience, Key, Reason
from clarion.ports import Facts


def crowd_name(to: Audience) -> str:
    """What the answer is called in `Facts.members`."""
    return f"segment:{to.segment}" if to.segment is not None else f"topic:{to.topic}"


class Membership:
    """The gate for one audience."""

    __slots__ = ("_in", "_name", "_out", "gate")

    def __init__(self, to: Audience) -> None:
        self.gate = "segment" if to.segment is not None else "topic"
        self._name = crowd_name(to)
        if to.segment is not None:
            self._in = Ruling(None, f"in the segment {to.segment}")
            self._out = Ruling(Reason.NOT_IN_SEGMENT, f"not in the segment {to.segment} any more")
        else:
            self._in = Ruling(None, f"subscribed to {to.topic}")
            self._out = Ruling(Reason.NOT_SUBSCRIBED, f"not subscribed to {to.topic} any more")

    @staticmethod
    def of(to: Audience) -> "Membership | None":
        """None where people are named, or all are meant."""
        return None if to.segment is None and to.topic is None else Membership(to)

    def __call__(self, user: Key, facts: Facts) -> Ruling:
        """By what was looked up for this batch."""
        return self._in if user in facts.members.get(self._name, ()) else self._out
