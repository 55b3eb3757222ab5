"""A real `clarion serve` in a process of its own: started, killed, and started again on the same ports and data."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from free_ports import HOST, free_port
from processes.waiting import PATIENCE_S

SECRET_KEY = "the secret of the servers that these tests kill"
_POLL_S = 0.01
_LOG_TAIL = 40


class Keys(NamedTuple):
    """What `clarion project create` tells."""

    id: str
    server: str
    public: str
    vapid: str


class Server:
    """One process, or none while it is dead. `settings` are `CLARION_…` names without the prefix."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        *,
        command: str = "serve",
        role: str = "",
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`folder`: where its log is written, and its data unless `settings` say `DATABASE_URL`.

        No `role`: all. `trust`: for its clients, when `settings` give it a certificate.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.push_port = free_port(), free_port()
        self.log = folder / f"server-{self.port}.log"
        self.data = folder / "data"
        self.trust = trust
        self.started_in: list[float] = []
        self._command = [command, "--role", role] if role else [command]
        self._settings: dict[str, str] = {"LOG_FORMAT": "json", "SECRET_KEY": SECRET_KEY, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of the HTTP port."""
        return f"http{self._s}://{HOST}:{self.port}"

    @property
    def push_url(self) -> str:
        """Of the device sockets."""
        return f"ws{self._s}://{HOST}:{self.push_port}/"

    @property
    def _s(self) -> str:
        return "s" if self.trust else ""

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def configure(self, settings: Mapping[str, str]) -> None:
        """More settings, from the next start on."""
        self._settings |= settings

    def create_project(self, name: str) -> Keys:
        """By the command, beside a running server or before it."""
        command = [sys.executable, "-m", "clarion", "project", "create", name, "--data", str(self.data), "--json"]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        return Keys(told["id"], told["server_key"], told["public_key"], told["vapid_public_key"])

    def spawn(self) -> subprocess.Popen[bytes]:
        """Begin a process without waiting until it serves."""
        assert not self.running
        command = [sys.executable, "-m", "clarion", *self._command, "--data", str(self.data)]
        command += ["--port", str(self.port), "--push-port", str(self.push_port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log)
        return self._process

    async def start(self) -> None:
        """Begin a process; returns when it is healthy."""
        begun = time.monotonic()
        process = self.spawn()
        async with aiohttp.ClientSession() as http:
            while missing := await self._missing(http):
                assert process.poll() is None, f"the server ended with {process.poll()}:\n{self.last_words()}"
                late = time.monotonic() - begun > PATIENCE_S
                assert not late, f"the server is not healthy: {missing}\n{self.last_words()}"
                await asyncio.sleep(_POLL_S)
        self.started_in.append(time.monotonic() - begun)

    async def _missing(self, http: aiohttp.ClientSession) -> str:
        """What keeps it from being healthy; nothing: it is."""
        try:
            async with http.get(f"{self.url}/healthz", ssl=self.trust or True) as answer:
                return "" if answer.status == 200 else f"{answer.status} {await answer.text()}"
        except aiohttp.ClientError as error:
            return repr(error)

    def kill(self) -> None:
        """SIGKILL: nothing more runs in it when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self, within_s: float = PATIENCE_S) -> float:
        """SIGTERM; returns after how many seconds it had ended cleanly."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        while self._process.poll() is None:
            assert time.monotonic() - begun < within_s, f"not ended {within_s:g} s after SIGTERM:\n{self.last_words()}"
            await asyncio.sleep(_POLL_S)
        assert self._process.returncode == 0, f"it ended with {self._process.returncode}:\n{self.last_words()}"
        return time.monotonic() - begun

    async def metric(self, name: str) -> float:
        """All samples of that name together."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.url}/metrics", ssl=self.trust or True) as answer,
        ):
            lines = (await answer.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition(" ")[0].partition("{")[0] == name)

    @property
    def start_times(self) -> str:
        """From the command to healthy."""
        times = sorted(self.started_in)
        return f"{times[len(times) // 2]:.2f} s (median of {len(times)}), at most {times[-1]:.2f} s"

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL:])

    def complaints(self) -> list[str]:
        """What it logged as an error, and whatever is not a line of its log, such as a traceback."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return [line for line in lines if _level(line) in ("error", "critical", None)]

    def _environment(self) -> dict[str, str]:
        # Without kept bytecode a start takes twice as long.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CLARION_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        return inherited | {f"CLARION_{name}": value for name, value in self._settings.items()}


def _level(line: str) -> Any:
    try:
        return json.loads(line).get("level")
    except ValueError:
        return None
