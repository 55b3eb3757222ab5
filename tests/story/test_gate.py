"""The gate of a lane as a pure machine: what holds whatever the service answers and whenever it does."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clarion.journey.gate import (
    FIRST_PAUSE_MS,
    FIRST_WINDOW,
    LARGEST_WINDOW,
    LONGEST_ASKED_MS,
    LONGEST_PAUSE_MS,
    OPENS_AFTER,
    PROBE,
    PROBE_MS,
    Change,
    Gate,
    Pass,
)
from clarion.ports import Accepted, BadCredentials, Gone, ProviderOutcome, Rejected, RetryAfter, StopReason

GOOD, DOWN, BUSY = Accepted(), RetryAfter(detail="503"), RetryAfter(detail="429", blames="load")
CHATTY, REFUSED = RetryAfter(60.0, "429 TooManyRequests", blames="device"), BadCredentials("403 InvalidProviderToken")

answers = st.sampled_from(
    [GOOD, GOOD, DOWN, BUSY, CHATTY, REFUSED, Gone(), Rejected(), RetryAfter(5.0), RetryAfter(90.0, blames="load")]
)


class AnyService(RuleBasedStateMachine):
    """Passes go out and come back in any order, late or never, with any answers; other processes have their word."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.now = 1_000_000
        self.out: list[Pass] = []
        self.closed_at_least_until = 0

    @rule(wanted=st.integers(1, 12_000))
    def take(self, wanted: int) -> None:
        closed, stopped = self.gate.closed_until(self.now), self.gate.stop is not None
        before = self.gate.in_flight
        passed = self.gate.take(wanted, self.now)
        if passed is None:
            # Nobody is turned away from an open gate with nothing in flight.
            assert closed is not None or before > 0
            return
        assert closed is None
        assert self.now >= self.closed_at_least_until
        assert 1 <= passed.count <= wanted
        assert passed.probe == stopped
        assert not passed.probe or passed.count <= PROBE
        assert self.gate.in_flight <= self.gate.window
        self.out.append(passed)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), some=st.lists(answers, min_size=1, max_size=4))
    def back(self, data: st.DataObject, some: list[ProviderOutcome]) -> None:
        passed = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        outcomes = (some * passed.count)[: passed.count]
        change = self.gate.back(passed, outcomes, self.now)
        if change in (Change.STOPPED, Change.STILL_STOPPED):
            assert self.gate.closed_until(self.now) is not None
        elif change is Change.BACK:
            assert passed.probe
            assert self.gate.stop is None
        self._remember(passed, outcomes)

    def _remember(self, passed: Pass, outcomes: Sequence[ProviderOutcome]) -> None:
        """What the service asked for: if all of enough answers say a wait, nothing leaves earlier than the shortest."""
        waits = [each.seconds for each in outcomes if isinstance(each, RetryAfter) and each.blames != "device"]
        asked = [wait for wait in waits if wait]
        if len(asked) == passed.count >= OPENS_AFTER:
            self.closed_at_least_until = max(self.closed_at_least_until, self.now + int(min(asked) * 1000))

    @precondition(lambda self: self.out)
    @rule()
    def nothing_came_of_it(self) -> None:
        self.gate.give_back(self.out.pop())

    @rule(ms=st.integers(1, 200_000))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule()
    def credentials_are_renewed(self) -> None:
        self.gate.renewed()
        self.gate.told(None)

    @rule()
    def another_process_was_let_through(self) -> None:
        self.gate.told(None)

    @invariant()
    def bounded(self) -> None:
        assert 1 <= self.gate.window <= LARGEST_WINDOW
        assert self.gate.in_flight == sum(passed.count for passed in self.out)

    @invariant()
    def it_never_stays_closed(self) -> None:
        """A probe may go after an hour at most, whatever was said; and a lost probe does not keep the next one."""
        until = self.gate.closed_until(self.now)
        assert until is None or until <= self.now + LONGEST_ASKED_MS


TestAnyService = AnyService.TestCase
TestAnyService.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def send(gate: Gate, now: int, count: int, *outcomes: ProviderOutcome) -> Change | None:
    """One pass, answered at once with these outcomes over and over."""
    passed = gate.take(count, now)
    assert passed is not None
    return gate.back(passed, (list(outcomes) * passed.count)[: passed.count], now)


def test_a_healthy_batch_of_a_thousand_is_one_pass() -> None:
    passed = Gate().take(1_000, 0)
    assert passed is not None
    assert passed.count == 1_000


def test_the_window_grows_while_all_goes_well_and_has_an_end() -> None:
    gate = Gate()
    for now in range(500):
        send(gate, now, 8_000, GOOD)
    assert gate.window == LARGEST_WINDOW


@pytest.mark.parametrize("slow", [BUSY, DOWN])
def test_the_window_halves_when_some_ask_for_less_and_grows_again(slow: RetryAfter) -> None:
    gate = Gate()
    assert send(gate, 0, 1_000, slow, GOOD) is None
    assert gate.window == FIRST_WINDOW / 2
    while gate.window >= 2:
        send(gate, 0, 1_000, GOOD, slow)
    for now in range(80):
        send(gate, now, 1_000, GOOD)
    assert gate.window >= FIRST_WINDOW


def test_what_was_on_its_way_together_halves_the_window_once() -> None:
    gate = Gate()
    passes = [gate.take(250, 0) for _ in range(4)]
    for passed in passes:
        assert passed is not None
        gate.back(passed, [BUSY, GOOD] * 125, 0)
    assert gate.window == FIRST_WINDOW / 2


def test_one_chatty_device_slows_nobody() -> None:
    gate = Gate()
    for now in range(50):
        assert send(gate, now, 1, CHATTY) is None
    assert gate.window >= FIRST_WINDOW
    assert gate.closed_until(50) is None


def test_a_service_that_fails_altogether_is_left_alone_longer_each_time() -> None:
    gate, now, pauses = Gate(), 0, []
    assert send(gate, now, 100, DOWN) is Change.STOPPED
    for _ in range(9):
        until = gate.closed_until(now)
        assert until is not None
        pauses.append(until - now)
        assert gate.take(100, until - 1) is None
        now = until
        assert send(gate, now, 100, DOWN) is Change.STILL_STOPPED
    assert pauses == [FIRST_PAUSE_MS << n if n < 6 else LONGEST_PAUSE_MS for n in range(9)]
    assert gate.stop is not None
    assert (gate.stop.reason, gate.stop.since, gate.stop.failures) == (StopReason.PROVIDER_ERROR, 0, 10)


def test_failures_one_by_one_add_up_unless_something_else_comes_between() -> None:
    gate = Gate()
    for now in range(OPENS_AFTER - 1):
        assert send(gate, now, 1, DOWN) is None
    assert send(gate, 10, 1, Gone()) is None
    for now in range(OPENS_AFTER - 1):
        assert send(gate, now, 1, DOWN) is None
    assert send(gate, 20, 1, DOWN) is Change.STOPPED


def test_too_many_requests_never_stop_a_lane() -> None:
    gate = Gate()
    for now in range(100):
        assert send(gate, now, 1_000, BUSY) is None
    assert gate.stop is None


def test_a_wait_that_many_ask_for_is_kept_and_is_no_alert() -> None:
    gate = Gate()
    assert send(gate, 0, 100, RetryAfter(30.0, blames="load"), RetryAfter(90.0, blames="load"), GOOD) is None
    assert gate.stop is None
    assert gate.closed_until(0) == 30_000
    assert gate.take(1, 29_999) is None
    assert gate.take(1, 30_000) is not None


def test_the_wait_of_a_service_that_is_down_wins_over_ours() -> None:
    gate = Gate()
    assert send(gate, 0, 100, RetryAfter(17.0)) is Change.STOPPED
    assert gate.closed_until(0) == 17_000


def test_refused_credentials_stop_at_once_whatever_else_there_is_but_a_success() -> None:
    gate = Gate()
    assert send(gate, 0, 10, Gone(), REFUSED) is Change.STOPPED
    assert gate.stop is not None
    assert (gate.stop.reason, gate.stop.detail) == (StopReason.BAD_CREDENTIALS, REFUSED.detail)
    assert gate.closed_until(0) == LONGEST_PAUSE_MS


def test_a_message_that_is_refused_among_others_that_pass_stops_nobody() -> None:
    gate = Gate()
    assert send(gate, 0, 10, GOOD, REFUSED) is None
    assert gate.stop is None


@pytest.mark.parametrize("answer", [DOWN, BUSY, RetryAfter(600.0), REFUSED])
def test_in_a_lane_of_strangers_nobody_stops_or_slows_the_others(answer: ProviderOutcome) -> None:
    gate = Gate(shared=True)
    for now in range(50):
        assert send(gate, now, 1_000, answer) is None
        assert gate.closed_until(now) is None
    assert gate.window >= FIRST_WINDOW


def test_a_probe_that_passes_opens_the_gate_and_the_window_begins_small_after_a_failure() -> None:
    gate = Gate()
    send(gate, 0, 1_000, DOWN)
    probe = gate.take(1_000, FIRST_PAUSE_MS)
    assert probe is not None
    assert (probe.probe, probe.count) == (True, PROBE)
    assert gate.take(1_000, FIRST_PAUSE_MS) is None, "one probe at a time"
    assert gate.back(probe, [GOOD] + [DOWN] * 9, FIRST_PAUSE_MS) is Change.BACK
    assert 1 <= gate.window < FIRST_WINDOW
    assert gate.take(1, FIRST_PAUSE_MS) is not None


def test_a_probe_of_which_nothing_is_heard_does_not_keep_the_next_one() -> None:
    gate = Gate()
    send(gate, 0, 1_000, DOWN)
    assert gate.take(1, FIRST_PAUSE_MS) is not None
    assert gate.take(1, FIRST_PAUSE_MS + PROBE_MS - 1) is None
    assert gate.take(1, FIRST_PAUSE_MS + PROBE_MS) is not None


def test_what_left_before_says_nothing_about_what_came_after() -> None:
    """With the old key: the new one is not to blame. Before the stop: no second failure."""
    gate = Gate()
    first, second, third = gate.take(10, 0), gate.take(10, 0), gate.take(10, 0)
    assert first is not None
    assert second is not None
    assert third is not None
    assert gate.back(first, [DOWN] * 10, 0) is Change.STOPPED
    assert gate.back(second, [DOWN] * 10, 0) is None
    gate.renewed()
    gate.told(None)
    assert gate.back(third, [REFUSED] * 10, 0) is None
    assert gate.stop is None
