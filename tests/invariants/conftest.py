"""The same stories on every engine, on a clock that begins where the story does."""

import pytest

from invariants.platform import AnyClock


@pytest.fixture
def clock() -> AnyClock:
    return AnyClock()
