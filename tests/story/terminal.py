"""A person's terminal: commands that end, commands that run until told to end, and a shop to try them on."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from free_ports import free_port

LONGEST_S = 60


class Ended(NamedTuple):
    """What a command left behind."""

    code: int | str | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert not self.code, self.err
        return json.loads(self.out)


def process(*arguments: str | Path) -> Ended:
    """Run a command to its end in a process of its own."""
    command = [sys.executable, "-m", "clarion", *map(str, arguments)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
    return inherited | {f"CLARION_{name}": value for name, value in settings.items()}


class Running:
    """A command that runs until it is told to end, on ports of its own."""

    def __init__(self, command: str, data: Path, *flags: str, **settings: str) -> None:
        port, push_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._out, self._err = data.with_name(f"{port}.out"), data.with_name(f"{port}.err")
        told = ["--data", str(data), "--port", str(port), "--push-port", str(push_port), *flags]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "clarion", command, *told],
                env=environment(**settings),
                stdout=out,
                stderr=err,
            )
        try:
            self._wait()
        except BaseException:
            self._process.kill()
            raise

    def _wait(self) -> None:
        for _ in range(LONGEST_S * 20):
            assert self._process.poll() is None, self.logged
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz"):
                return
            time.sleep(0.05)
        pytest.fail(f"it is not healthy: {self.logged}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self._process.send_signal(number)
        return self._process.wait(LONGEST_S)

    @property
    def said(self) -> str:
        return self._out.read_text()

    @property
    def logged(self) -> str:
        return self._err.read_text()


class Shop(NamedTuple):
    """A running server with one project, and the flags that reach it in two ways."""

    url: str
    data: Path
    key: str

    @property
    def asking(self) -> tuple[str, ...]:
        return "--server", self.url, "--key", self.key

    @property
    def opening(self) -> tuple[str, ...]:
        return "--data", str(self.data)

    def answer(self, path: str, body: Any = None, method: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method)) as answer:
            return json.load(answer)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        for _ in range(LONGEST_S * 20):
            if holds():
                return
            time.sleep(0.05)
        pytest.fail("it did not come to that")

    def wait_until_alarmed(self) -> None:
        for _ in range(LONGEST_S * 20):
            if self.answer("/v1/alerts")["items"]:
                return
            time.sleep(0.05)
        pytest.fail("no alert came")

    def wait_until_decided(self, notification: str) -> None:
        for _ in range(LONGEST_S * 20):
            if self.answer(f"/v1/notifications/{notification}")["counts"]["decisions"]:
                return
            time.sleep(0.05)
        pytest.fail("no decision came")
