"""A simulated push service in a process of its own, as our users run it: `clarion simulate`."""

import asyncio
import json
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import aiohttp

from free_ports import free_port


class Simulator:
    """`clarion simulate SERVICE`; `about` is what it tells of itself, its credential included.

    It may be killed and started again: on the same port, with what it counted before.
    """

    def __init__(self, service: str, folder: Path, *flags: str) -> None:
        self._command = [sys.executable, "-m", "clarion", "simulate", service, "--json", "--data", str(folder)]
        self.state = folder / "state"
        self._command += ["--port", str(free_port()), "--state", str(self.state), *flags]
        self._process: subprocess.Popen[str] | None = None
        self.about: dict[str, Any] = {}

    async def start(self) -> None:
        """Begin a process; returns when it listens."""
        self._process = self._spawn()
        assert self._process.stdout is not None
        self.about = json.loads(await asyncio.to_thread(self._process.stdout.readline))
        threading.Thread(target=_hear_out, args=(self._process.stdout,), daemon=True).start()

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)

    def kill(self) -> None:
        """SIGKILL: nothing more runs in it when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def credential(self) -> dict[str, Any]:
        """As it is uploaded."""
        if "service_account" in self.about:
            account = json.loads(Path(self.about["service_account"]).read_text())
            return {"kind": "fcm", "name": "simulated fcm", "service_account": account}
        about = self.about
        return {
            "kind": "apns",
            "name": "simulated apns",
            "key_id": about["key_id"],
            "team_id": about["team_id"],
            "private_key": Path(about["key_file"]).read_text(),
            "bundle_id": about["topic"],
        }

    async def ask(self, method: str, path: str = "", body: Any = None) -> Any:
        """What `/simulator` answers."""
        trust = ssl.create_default_context(cafile=self.about["ca_file"])
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.about['url']}/simulator{path}", json=body, ssl=trust) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def device(self, token: str) -> dict[str, Any]:
        """What a device shows."""
        told: dict[str, Any] = await self.ask("GET", f"/devices/{token}")
        return told


def _hear_out(output: IO[str]) -> None:
    """Read what nobody wants to know, to the end: its counts every second. It would wait when the pipe is full."""
    with output:
        for _ in output:
            pass
