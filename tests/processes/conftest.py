"""What tests of processes share: a voice that is heard although pytest keeps quiet."""

import sys

import pytest

from processes.world import Tell


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Tell:
    """Print, also when the test passes: seeds and counts. To stderr, which a worker of pytest-xdist leaves open."""
    begin = f"\n{request.node.name}: "

    def words(text: str) -> None:
        with capsys.disabled():
            print(begin + text, end="", flush=True, file=sys.stderr)  # noqa: T201 - what it is for

    return words
