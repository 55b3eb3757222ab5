"""The garbage collector and many sessions: what stays is not walked over again."""

import gc
from collections.abc import Iterator

import pytest

from clarion.gateway.collector import Collector

STEP, SHARE = 1_000, 16


@pytest.fixture(autouse=True)
def thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def frozen_after(collector: Collector, more: int, connections: int) -> bool:
    before = gc.get_freeze_count()
    for _ in range(more):
        collector.connected(connections)
    return gc.get_freeze_count() > before


def test_a_thousand_new_sessions_are_frozen_at_once() -> None:
    collector = Collector()
    assert not frozen_after(collector, STEP - 1, STEP)
    assert frozen_after(collector, 1, STEP)


def test_where_there_are_many_sessions_a_few_that_come_and_go_freeze_nothing() -> None:
    collector = Collector()
    many = 10 * STEP * SHARE
    assert not frozen_after(collector, 10 * STEP - 1, many)
    assert frozen_after(collector, 1, many)
