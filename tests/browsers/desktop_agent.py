"""`clarion agent` in a process of its own, on the harness's desktop, with a browser that only notes what it opens."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from clarion_server import Demo, Json, eventually
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool
from dbus_fast.service import ServiceInterface, dbus_method
from harness import Desktop

_PATIENCE_S = 30.0
_POLL_S = 0.02


class ScreenSaver(ServiceInterface):
    """What tells whether a desktop is locked, as KDE and others have it."""

    def __init__(self) -> None:
        super().__init__("org.freedesktop.ScreenSaver")
        self.active = False

    @dbus_method("GetActive")
    def get_active(self) -> DBusBool:
        return self.active


@asynccontextmanager
async def screen_saver(desktop: Desktop) -> AsyncIterator[ScreenSaver]:
    """One on that desktop."""
    bus = await MessageBus(desktop.address).connect()
    saver = ScreenSaver()
    bus.export("/org/freedesktop/ScreenSaver", saver)
    await bus.request_name(saver.name)
    try:
        yield saver
    finally:
        bus.disconnect()


class Ended(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class DesktopAgent:
    """Starts, dies and comes back with the same home folder."""

    def __init__(
        self, demo: Demo, desktop: Desktop, home: Path, user: str, key: str, settings: Mapping[str, str] | None = None
    ) -> None:
        """`settings`: more of its environment."""
        home.mkdir(parents=True, exist_ok=True)
        self.user = user
        self.home = home
        self.state = home / ".local" / "state" / "clarion" / "agent.db"
        self.log = home / "agent.log"
        self._said = home / "agent.out"
        self._opened = home / "opened.txt"
        self._demo = demo
        self._key = key
        self._settings = dict(settings or {})
        self._desktop = desktop
        self._process: subprocess.Popen[bytes] | None = None
        self._browser = home / "browser"
        self._browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> "{self._opened}"\n')
        self._browser.chmod(0o700)

    @property
    def environment(self) -> dict[str, str]:
        """A person's own: no setting of the tests, no desktop but the harness's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLARION_", "XDG_"))}
        return kept | {
            "HOME": str(self.home),
            "DBUS_SESSION_BUS_ADDRESS": self._desktop.address,
            "BROWSER": str(self._browser),
            "LANG": "de_AT.UTF-8",
            "TZ": "Europe/Vienna",
            **self._settings,
        }

    @property
    def options(self) -> tuple[str, ...]:
        """As the documentation has it."""
        return "--server", self._demo.url, "--user", self.user, "--key", self._key

    def spawn(self) -> None:
        """Begin without waiting."""
        words = [sys.executable, "-m", "clarion", "agent", *self.options]
        with self.log.open("ab") as log, self._said.open("ab") as said:
            self._process = subprocess.Popen(words, env=self.environment, stdout=said, stderr=log)

    async def start(self) -> Json:
        """Begin; returns the device once it is one and has said so."""
        lines = len(self.lines("connected"))
        self.spawn()
        await self.until_said("This desktop is a device", "the greeting")
        await self.until_logged("connected", lines + 1)
        [device] = await eventually(
            lambda: self._demo.devices(self.user), lambda devices: len(devices) == 1, "one device"
        )
        return device

    async def until_logged(self, event: str, count: int = 1) -> None:
        """Wait for the nth line of that event."""
        await self._until(lambda: len(self.lines(event)) >= count, f"{count} lines {event!r}")

    async def until_said(self, words: str, what: str) -> None:
        await self._until(lambda: words in self.said, what)

    async def until_opened(self, *urls: str) -> None:
        """Wait until the browser was given exactly these, in this order."""
        await self._until(lambda: self.opened == list(urls), f"{urls} opened")

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"not within {_PATIENCE_S:g} s: {what}; the agent's log:\n{self.logged}"
            assert self.running, f"the agent ended before {what}:\n{self.logged}"
            await asyncio.sleep(_POLL_S)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        return self._said.read_text() if self._said.exists() else ""

    @property
    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def lines(self, event: str) -> list[str]:
        """Of the log, those of that event."""
        return [line for line in self.logged.splitlines() if f"] {event}" in line]

    @property
    def opened(self) -> list[str]:
        return self._opened.read_text().splitlines() if self._opened.exists() else []

    def kill(self) -> None:
        """SIGKILL: nothing more runs in it when this returns."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> int:
        """SIGTERM; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_PATIENCE_S)

    async def run(self, *words: str) -> Ended:
        """Another `clarion agent` of the same person, to its end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "clarion", "agent", *words),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
        return Ended(process.returncode or 0, out.decode(), err.decode())
