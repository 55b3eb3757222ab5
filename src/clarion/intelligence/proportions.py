"""Proportions of people: how sure one is, and whether one is larger than another."""

from math import exp, lgamma, log, log1p, sqrt
from typing import NamedTuple

_Z = 1.959964
"""95 % of a normal distribution lie within so many standard deviations."""
_ALPHA = 0.001
"""A ratio's lower bound is wrong once in a thousand: there are many, and they are looked at often."""
_STEPS = 50


class Proportion(NamedTuple):
    """A part of a whole, and between what it lies in 95 of 100 cases."""

    value: float
    low: float
    high: float


def proportion(part: int, whole: int) -> Proportion | None:
    """With Wilson's interval, which is sound for few too; None of nothing."""
    if whole <= 0:
        return None
    value, square = part / whole, _Z * _Z / whole
    middle = (value + square / 2) / (1 + square)
    half = _Z * sqrt(value * (1 - value) / whole + square / (4 * whole)) / (1 + square)
    return Proportion(value, max(0.0, middle - half) if part else 0.0, min(1.0, middle + half) if part < whole else 1.0)


def ratio_low(part: int, whole: int, usual_part: int, usual_whole: int) -> float:
    """What `part / whole` is at least, in multiples of `usual_part / usual_whole`: wrong once in a thousand cases.

    Of all who are in either part, each fell into the first with the same probability, if the parts are rare: an exact
    binomial test (Clopper and Pearson's bound), sound however few they are. 0.0 of nothing.
    """
    if part <= 0 or whole <= 0 or usual_whole <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_least(part, part + usual_part, middle) < _ALPHA:
            low = middle
        else:
            high = middle
    return low / (1 - low) * usual_whole / whole


def _at_least(successes: int, trials: int, probability: float) -> float:
    """The chance of so many successes or more."""
    if probability <= 0.0:
        return 0.0
    if probability >= 1.0:
        return 1.0
    if successes <= trials * probability:
        return 1.0  # at least about a half: nothing to be surprised of
    odds = probability / (1 - probability)
    choices = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
    term = exp(choices + successes * log(probability) + (trials - successes) * log1p(-probability))
    total = term
    for number in range(successes, trials):  # beyond the middle each is smaller than the one before
        term *= (trials - number) / (number + 1) * odds
        total += term
        if term < total * 1e-12:
            break
    return min(1.0, total)
