"""What counts of people and successes say, however often and whenever somebody looks: confidence sequences.

A usual 95 % interval is right in 95 of 100 cases if it is looked at once, at a moment that was chosen ahead. Who looks
every hour and stops at what pleases finds a difference sooner or later where there is none. The intervals here hold at
all moments together: in at most `alpha` of all experiments does the truth ever leave them. They are wider for it, by
half or so.

Both rest on the same thought (Ville 1939, Robbins 1970): put up a bet against a value that is fair if that value is
the true one. A fair bet multiplies its stake by 20 or more, at any time at all, with a chance of at most 1 in 20. So
the values against which it never came so far are the interval.

**Rates.** Of a bet against p with stakes spread as Beta(½, ½), after S successes among n people this is left:

    M(p) = B(S + ½, n - S + ½) / B(½, ½) / (p^S (1 - p)^(n - S))

It is exact for any p and n. The interval is where M(p) < 1/alpha (Robbins 1970; see Howard, Ramdas, McAuliffe and
Sekhon, *Time-uniform, nonparametric, nonasymptotic confidence sequences*, 2021).

**Differences.** The difference of two rates, d, has the variance V = pa (1 - pa)/na + pb (1 - pb)/nb. With t = 1/V the
sum d·t moves like Brownian motion with the true difference as its drift. Bets against a drift δ, spread as a normal
distribution around it with a standard deviation of s, leave

    M(δ) = √(τ / (t + τ)) · exp((d·t - δ·t)² / (2 (t + τ))),    τ = 1 / s²

and M(δ) < 1/alpha is an interval again (Robbins' normal mixture; mSPRT of Johari, Koomen, Pekelis and Walsh, *Always
valid inference*, 2022). One s finds differences of about its size soonest, so that the stake is parted among several:
the mean of fair bets is a fair bet. M(0) is the e-value against "no difference": the interval leaves 0 out exactly when
it reaches 1/alpha. As V is estimated this holds for large numbers (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
*Time-uniform central limit theory and asymptotic confidence sequences*, 2024). Half a success and half a failure more
make V so large at the beginning that 13 successes against none are the least that is clear; the tests look from the
first people on, at rates from 0.5 to 90 percent.
"""

from collections.abc import Callable
from math import exp, lgamma, log, log1p
from typing import NamedTuple

_HALF = 0.5  # Jeffreys' prior: the least that is lost in the worst case
_SIZES = (0.003, 0.01, 0.03, 0.1)
"""How large differences of rates tend to be: each gets the same part of the stake."""
_PRIORS = tuple(size**-2 for size in _SIZES)
_LARGEST = 700.0
"""Of a logarithm whose number is still told; an e-value beyond says nothing more."""
_STEPS = 45


class Counts(NamedTuple):
    """How many people, and how many of them were a success."""

    people: int
    successes: int

    @property
    def rate(self) -> float:
        """0 for nobody."""
        return self.successes / self.people if self.people else 0.0


class Interval(NamedTuple):
    """From `low` to `high`, both included."""

    low: float
    high: float


class Difference(NamedTuple):
    """How much higher one rate is than another. `e_value`: how much a fair bet against "none" would have won by now."""

    estimate: float
    interval: Interval
    e_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out that there is none."""
        return self.interval.low > 0 or self.interval.high < 0


def rate_interval(counts: Counts, alpha: float = 0.05) -> Interval:
    """Where the true rate is; everywhere while nobody was counted."""
    if not counts.people:
        return Interval(0.0, 1.0)
    limit = -log(alpha)

    def is_outside(rate: float) -> bool:
        return _log_bet(counts, rate) >= limit

    low = _border(is_outside, 0.0, counts.rate) if counts.successes else 0.0
    high = _border(is_outside, 1.0, counts.rate) if counts.successes < counts.people else 1.0
    return Interval(low, high)


def _log_bet(counts: Counts, rate: float) -> float:
    """The logarithm of M(p), for 0 < p < 1."""
    won, lost = counts.successes, counts.people - counts.successes
    mixed = _log_beta(won + _HALF, lost + _HALF) - _log_beta(_HALF, _HALF)
    return mixed - won * log(rate) - lost * log1p(-rate)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _border(is_outside: Callable[[float], bool], outside: float, inside: float) -> float:
    """Where an interval ends, between a place outside and one inside of it; the outer one of two neighbours."""
    for _ in range(_STEPS):
        middle = (outside + inside) / 2
        if middle in (outside, inside):
            break
        if is_outside(middle):
            outside = middle
        else:
            inside = middle
    return outside


def difference(one: Counts, other: Counts, alpha: float = 0.05) -> Difference:
    """How much higher the rate of `one` is than that of `other`."""
    estimate = one.rate - other.rate
    if not one.people or not other.people:
        return Difference(estimate, Interval(-1.0, 1.0), 1.0)
    information, limit = 1 / (_variance(one) + _variance(other)), -log(alpha)
    e_value = exp(min(_LARGEST, _log_bet_against(estimate, information)))
    width = _border(lambda far: _log_bet_against(far, information) >= limit, 2.0, 0.0)
    interval = Interval(max(-1.0, estimate - width), min(1.0, estimate + width))
    return Difference(estimate, interval, e_value)


def _log_bet_against(far: float, information: float) -> float:
    """The logarithm of M, against what is so far from the estimate."""
    logs = [
        (far * information) ** 2 / (2 * (information + prior)) - log1p(information / prior) / 2 for prior in _PRIORS
    ]
    best = max(logs)
    return best + log(sum([exp(each - best) for each in logs]) / len(logs))


def _variance(counts: Counts) -> float:
    """Of a rate. Half a success and half a failure are added, so that it is never 0."""
    rate = (counts.successes + _HALF) / (counts.people + 1)
    return rate * (1 - rate) / counts.people
