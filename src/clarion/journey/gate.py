"""The gate of one lane: how much may be on its way to a push service at once, and whether anything may leave at all.

Limiter: a window of messages grows while all goes well and halves when the service asks for less. Breaker: when the
service fails altogether, or refuses our credentials, the gate stops, and a probe of a few messages decides when it
opens again. A pure machine: the time comes in as an argument.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from clarion.model import Millis
from clarion.ports import Accepted, BadCredentials, ProviderOutcome, RetryAfter, StopReason

FIRST_WINDOW = 1_000
LARGEST_WINDOW = 8_000
GROWTH = 250
"""Messages that the window grows by each time that a whole window went well; a small one by a tenth of itself."""
REOPENED_WINDOW = 100
PROBE = 10
PROBE_MS = 60_000
"""A probe of which nothing is heard for so long was lost: the next one may go."""
OPENS_AFTER = 5
"""So many failures of the service in a row, with nothing else among them, are all that there is of late."""
FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 60_000
LONGEST_ASKED_MS = 3_600_000
"""What a service asks for is respected up to here: a mistyped header does not close a lane for a year."""
_CRUMB = 4
_SLOW_SHARE = 100

_GOOD = {Accepted}


class Stop(msgspec.Struct, frozen=True):
    """The gate is closed until `again_at`, when a probe may go. `failures`: how often in a row it was tried."""

    reason: StopReason
    detail: str
    since: Millis
    again_at: Millis
    failures: int


class Pass(msgspec.Struct, frozen=True, gc=False):
    """Leave for `count` messages; to be handed in again with what came of them.

    `slowed` and `credentials` say what had changed when it left.
    """

    count: int
    probe: bool
    slowed: int
    credentials: int


class Change(StrEnum):
    """What a pass that came back did to the gate."""

    STOPPED = "stopped"
    STILL_STOPPED = "still stopped"
    BACK = "back"


class Gate:
    """One (project, kind, lane) in one process. Not for several threads.

    `shared`: strangers' services share the lane. Then what one of them answers, and anybody may run one, neither slows
    nor stops the others: only the window bounds what is on its way.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.shared = shared
        self.window: float = FIRST_WINDOW
        self.in_flight = 0
        self.stop: Stop | None = None
        self._paused_until: Millis = 0
        # In a row, with nothing else among them: failures of the service, and answers that ask for a wait.
        self._failed = 0
        self._asked = 0
        # Passes remember these: what left before a change proves nothing about the time after it.
        self._slowed = 0
        self._credentials = 0

    # --- out ----------------------------------------------------------------------------------------------------------

    def closed_until(self, now: Millis) -> Millis | None:
        """When to come again; None: something may leave, as soon as there is room."""
        until = max(self._paused_until, self.stop.again_at if self.stop is not None else 0)
        return until if until > now else None

    def take(self, wanted: int, now: Millis) -> Pass | None:
        """Leave for some of `wanted` (at least 1) messages; None while the gate is closed, or its window full."""
        if self.closed_until(now) is not None:
            return None
        room = int(self.window) - self.in_flight
        probe = self.stop is not None
        count = min(wanted, room, PROBE) if probe else min(wanted, room)
        # Crumbs are not worth a request each: rather wait until more of the window is free.
        if count < 1 or (count < wanted and not probe and room < int(self.window) // _CRUMB):
            return None
        if self.stop is not None:
            self.stop = msgspec.structs.replace(self.stop, again_at=now + PROBE_MS)
        self.in_flight += count
        return Pass(count, probe, self._slowed, self._credentials)

    def give_back(self, passed: Pass) -> None:
        """Nothing was sent with it, or nothing is known of it."""
        self.in_flight -= passed.count

    # --- back ---------------------------------------------------------------------------------------------------------

    def back(self, passed: Pass, outcomes: Sequence[ProviderOutcome], now: Millis) -> Change | None:
        """What came of a pass; the gate's own state if that changed it."""
        self.in_flight -= passed.count
        kinds = set(map(type, outcomes))
        if self.shared or (self.stop is None and kinds <= _GOOD):
            self._failed = self._asked = 0
            self._grow(passed.count)
            return None
        refused = BadCredentials in kinds and Accepted not in kinds
        if refused:
            return self._refused(passed, outcomes, now)
        return self._judge(passed, outcomes, now)

    def _refused(self, passed: Pass, outcomes: Sequence[ProviderOutcome], now: Millis) -> Change | None:
        """Our credentials are; unless they are others by now."""
        if self.outdated(passed):
            return None
        detail = next(each.detail for each in outcomes if isinstance(each, BadCredentials))
        if self.stop is not None and not passed.probe and self.stop.reason is StopReason.BAD_CREDENTIALS:
            return None  # known already
        return self._close(StopReason.BAD_CREDENTIALS, detail, LONGEST_PAUSE_MS, now)

    def _judge(self, passed: Pass, outcomes: Sequence[ProviderOutcome], now: Millis) -> Change | None:
        again = [each for each in outcomes if isinstance(each, RetryAfter) and each.blames != "device"]
        failures = [each for each in again if each.blames == "service"]
        asked = _asked_by_many(again, len(outcomes))
        self._asked = self._asked + len(again) if asked else 0
        if self._asked >= OPENS_AFTER:
            self._paused_until = max(self._paused_until, now + asked)
        self._steer(passed, len(again), len(outcomes))
        if failures and len(failures) == len(outcomes):
            return self._all_failed(passed, failures, asked, now)
        self._failed = 0
        if self.stop is None or not passed.probe:
            return None
        self._reopen(self.stop)
        return Change.BACK

    def _all_failed(self, passed: Pass, failures: Sequence[RetryAfter], asked: Millis, now: Millis) -> Change | None:
        self._failed += len(failures)
        if self.stop is None and self._failed < OPENS_AFTER:
            return None
        if self.stop is not None and not passed.probe:
            return None  # it left before the gate stopped
        tried = self.stop.failures if self.stop is not None else 0
        pause = asked or min(FIRST_PAUSE_MS << min(tried, 10), LONGEST_PAUSE_MS)
        return self._close(StopReason.PROVIDER_ERROR, failures[-1].detail, pause, now)

    def _close(self, reason: StopReason, detail: str, pause: Millis, now: Millis) -> Change:
        known = self.stop
        since, failures = (known.since, known.failures) if known is not None else (now, 0)
        self.stop = Stop(reason, detail, since, now + pause, failures + 1)
        return Change.STOPPED if known is None or known.reason is not reason else Change.STILL_STOPPED

    def _steer(self, passed: Pass, slow: int, total: int) -> None:
        """Once for all that was on its way together. One device that is too chatty does not slow the others."""
        if slow == 0:
            self._grow(passed.count)
        elif slow * _SLOW_SHARE >= total and passed.slowed == self._slowed:
            self.window = max(1.0, self.window / 2)
            self._slowed += 1

    def _grow(self, count: int) -> None:
        if self.window < LARGEST_WINDOW:
            step = min(max(self.window / 10, 1.0), GROWTH)
            self.window = min(LARGEST_WINDOW, self.window + step * count / self.window)

    def outdated(self, passed: Pass) -> bool:
        """Whether it left with credentials that may be others by now."""
        return passed.credentials != self._credentials

    # --- word from others ---------------------------------------------------------------------------------------------

    def told(self, stop: Stop | None) -> None:
        """What another process found out: it stopped, or its probe passed."""
        if stop is None and self.stop is not None:
            self._reopen(self.stop)
        self.stop = stop

    def renewed(self) -> None:
        """There may be other credentials: what is said of those before does not count any more."""
        self._credentials += 1

    def _reopen(self, stop: Stop) -> None:
        if stop.reason is StopReason.PROVIDER_ERROR:
            self.window = min(self.window, REOPENED_WINDOW)  # it has just come up: not everything at once
        self.stop = None
        self._failed = 0


def _asked_by_many(again: Sequence[RetryAfter], total: int) -> Millis:
    """The wait that at least half of all answers ask for, if they do; 0: they do not."""
    waits = sorted((each.seconds or 0.0 for each in again), reverse=True)
    half = (total + 1) // 2
    if len(waits) < half:
        return 0
    return min(int(waits[half - 1] * 1000), LONGEST_ASKED_MS)
