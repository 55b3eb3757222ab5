"""When an agent comes back: after waits that are spread and bounded, and at once when the machine wakes up or moves."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.agent import surroundings
from clarion.agent.backoff import CAP_S, FLOOR_S, Backoff
from clarion.agent.server import retry_after
from clarion.agent.surroundings import Surroundings


@given(st.integers(0, 2**32), st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=1, max_size=40))
def test_waits_are_spread_bounded_and_never_none(seed: int, told: list[int | None]) -> None:
    backoff = Backoff(random.Random(seed), base_s=2.0)
    for number, retry_after_s in enumerate(told):
        wait = backoff.next(retry_after_s)
        asked = min(retry_after_s or 0, 3600)
        assert asked + FLOOR_S <= wait <= asked + min(CAP_S, 2.0 * 2**number)
    backoff.reset()
    assert backoff.next() <= 2.0


def test_a_crowd_spreads_over_the_whole_wait() -> None:
    waits = []
    for seed in range(300):
        backoff = Backoff(random.Random(seed))
        for _ in range(6):
            wait = backoff.next()
        waits.append(wait)
    assert min(waits) < 8
    assert max(waits) > 56


class Machine:
    """Clocks and addresses in a test's hands."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1000.0, 50.0
        self.addresses: tuple[str | None, ...] = ("192.168.0.7", None)
        self.changes = 0
        self.surroundings = Surroundings(
            self._changed,
            wall=lambda: self.wall,
            monotonic=lambda: self.monotonic,
            addresses=lambda: self.addresses,
        )

    def _changed(self) -> None:
        self.changes += 1

    def tick(self, wall: float = surroundings.TICK_S, monotonic: float = surroundings.TICK_S) -> int:
        self.wall += wall
        self.monotonic += monotonic
        self.surroundings.look()
        return self.changes


def test_sleep_is_noticed_by_either_clock() -> None:
    machine = Machine()
    assert machine.tick() == 0
    assert machine.tick(wall=3600) == 1, "Linux, macOS: the monotonic clock stood still"
    assert machine.tick() == 1
    assert machine.tick(wall=3600, monotonic=3600) == 2, "Windows: it went on"
    assert machine.tick(wall=8) == 2, "a busy machine"
    assert machine.tick(wall=-7200) == 2, "the clock was set back"


def test_another_network_is_noticed() -> None:
    machine = Machine()
    for addresses in (("10.0.0.2", None), (None, None), ("10.0.0.2", "2001:db8::7")):
        machine.addresses = addresses
        before = machine.changes
        assert machine.tick() == before + 1
        assert machine.tick() == before + 1


def test_the_addresses_of_this_machine_can_be_asked_for() -> None:
    assert len(surroundings.local_addresses()) == 2


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("7", 7), ("0", 0), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("Fri, 01 Jan 2021 00:00:00 GMT", 0)],
)
def test_retry_after(told: str, seconds: int | None) -> None:
    assert retry_after({"Retry-After": told}) == seconds


def test_retry_after_as_a_date() -> None:
    assert (retry_after({"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}) or 0) > 10**6
