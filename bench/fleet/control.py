"""How the bench talks with its processes: JSON objects in lines. A command in, its progress and its reply out."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import psutil

BENCH = Path(__file__).parent.parent


class Child:
    """A process of this package, or, without a `module`, any Python program, which answers nothing."""

    def __init__(self, module: str | None, *arguments: str, environ: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", f"fleet.{module}"] if module else [sys.executable]
        self._process = Popen([*command, *arguments], cwd=BENCH, env=environ, stdin=PIPE, stdout=PIPE, text=True)
        self.measured = psutil.Process(self._process.pid)

    def tell(self, do: str, **arguments: Any) -> None:
        """Give a command and go on."""
        assert self._process.stdin is not None
        print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)

    def answer(self, progress: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
        """The reply to the command before. Raises SystemExit when the process ends instead."""
        for line in self._process.stdout or ():
            told: dict[str, Any] = json.loads(line)
            if "progress" not in told:
                return told
            progress(told["progress"])
        raise SystemExit(f"{self._process.args!r} ended with {self._process.wait()}")

    def ask(self, do: str, progress: Callable[[int], None] = lambda _: None, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its reply."""
        self.tell(do, **arguments)
        return self.answer(progress)

    def cpu(self) -> float:
        """Seconds that it computed so far, all threads."""
        times = self.measured.cpu_times()
        return float(times.user + times.system)

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        return int(self.measured.memory_info().rss)

    def end(self) -> None:
        """Kill it: what it stored is thrown away."""
        self._process.kill()
        self._process.wait()


def reply(**values: Any) -> None:
    """From a child: the answer to the last command, or its progress."""
    print(json.dumps(values), flush=True)


def percentile(sorted_values: list[float], share: float) -> float:
    """Of values in rising order; 0 when there are none."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] if sorted_values else 0.0
