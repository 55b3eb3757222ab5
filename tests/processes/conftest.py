"""What tests of processes share: a voice that is heard although pytest keeps quiet."""

import pytest

from processes.world import Tell


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Print, also when the test passes: seeds and counts."""

    def words(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="", flush=True)  # noqa: T201 - what it is for

    return words
