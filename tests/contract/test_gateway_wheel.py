"""The wheel of timers: nobody is late, nobody is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from clarion.gateway.wheel import TimerWheel

SIZE = 16


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-1, 60)), max_size=30))
def test_each_is_due_once_and_on_time(adds: list[tuple[int, int]]) -> None:
    wheel: TimerWheel[int] = TimerWheel(SIZE)
    due: dict[int, int] = {}
    for tick in range(60):
        for number, (at, wait) in enumerate(adds):
            if at == tick:
                wheel.add(number, wait)
        assert set(wheel) == {number for number, (at, _) in enumerate(adds) if at <= tick and number not in due}
        for number in wheel.advance():
            assert number not in due
            due[number] = wheel.now
    for number, (at, wait) in enumerate(adds):
        assert due[number] == at + min(max(wait, 1), SIZE - 1)
