"""What a peer's process is told to do, and how its figures are taken and told."""

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

TITLE, BODY, URL = "Hello Ada", "Something new is here.", "https://shop.example/"


def task() -> dict[str, Any]:
    """The task, from the file that the first argument names."""
    told: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    return told


class Watch:
    """From when it is made: the CPU of this process, all its threads included."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        self._began, self._used = time.perf_counter(), time.process_time()

    def tell(self, sent: int, wanted: int) -> None:
        """Print the figures. Raises AssertionError unless everything was sent."""
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._used
        if sent != wanted:
            raise AssertionError(f"{sent} of {wanted} were taken")
        print(json.dumps({"cpu_us": cpu / wanted * 1e6, "per_s": wanted / seconds}))
