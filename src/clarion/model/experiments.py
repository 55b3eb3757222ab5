"""Experiments: a message in several wordings, what counts as success, and when the better one takes over."""

from typing import Literal, TypeAlias

from clarion.model.words import Struct

WinnerRule: TypeAlias = Literal["separates", "best_rate"]

DEFAULT_WITHIN_S = 86_400
CONTROL = "control"
"""What results call the people of a control group."""
ONLY = "message"
"""What results call a message without variants."""


class Goal(Struct, frozen=True, kw_only=True):
    """Success: the person's event of this name, or without one a click, within so many seconds of the decision."""

    event: str | None = None
    within_s: int = DEFAULT_WITHIN_S


class Winner(Struct, frozen=True, kw_only=True):
    """First `share` percent of the people, and `after` seconds later the rest, with the winner if there is one.

    `separates`: the best one wins if its intervals are clear of all others; `best_rate`: it wins anyway.
    """

    rule: WinnerRule = "separates"
    after: int
    share: float


class Experiment(Struct, frozen=True, kw_only=True):
    """What is tried out. The same key: the same people see the same variant. None: a key of the notification's own."""

    key: str | None = None
    goal: Goal = Goal()
    winner: Winner | None = None
