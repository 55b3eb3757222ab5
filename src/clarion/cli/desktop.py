"""What `clarion agent` does: runs until told to end, installs itself, tells how it is."""

import asyncio
import contextlib
import importlib.util
import signal
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.text import Text

from clarion.agent import agent, lock, paths, service
from clarion.agent.options import Options
from clarion.agent.outbox import Outbox
from clarion.agent.screen import DesktopScreen, Screen
from clarion.agent.server import Server
from clarion.agent.state import Kept, State
from clarion.cli import logs
from clarion.cli.problem import Problem
from clarion.cli.settings import load
from clarion.errors import ConfigurationError, Unavailable


def run(options: Options) -> None:
    """In the foreground, until SIGINT or SIGTERM. Raises Problem and ClarionError."""
    logs.configure(load())
    _check_extra()
    _run(lambda: agent.run(options, _screen, _Greeting()))


def install(options: Options) -> None:
    """As a service, when the server takes the key. Raises Problem and ClarionError."""
    _check_extra()
    target = service.of_this_system()
    _run(lambda: _try_server(options))
    service.write_settings(options, paths.settings_file())
    target.install(paths.settings_file())
    _say(("✓ ", "green"), "The agent runs, and will at every login.")
    _row("service", str(target.file))
    _row("settings", f"{paths.settings_file()}, with the key")


def uninstall() -> None:
    """Stop and remove the service. The device's own memory stays."""
    target = service.of_this_system()
    was = target.file.exists()
    target.uninstall()
    paths.settings_file().unlink(missing_ok=True)
    _say(("✓ ", "green"), "The agent's service is gone." if was else "There was no service.")


def status(path: Path) -> None:
    """Whether an agent with this state runs, and as which device."""
    running = path.exists() and lock.held(path)
    _say(("● ", "green" if running else "red"), "running" if running else "not running")
    with contextlib.suppress(ConfigurationError):
        installed = service.of_this_system().file
        _row("service", str(installed) if installed.exists() else "not installed")
    if not path.exists():
        return
    state = State(path)
    try:
        _tell(state.kept)
        _row("user", state.kept.user_id or "not registered yet")
        _row("receipts", f"{len(Outbox(state.db))} not reported yet")
    finally:
        state.close()


class _Greeting:
    """Who, where and that it works, the first time that all is well."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, kept: Kept) -> None:
        if self._said:
            return
        self._said = True
        _say(("✓ ", "green"), "This desktop is a device of ", (kept.user_id or "nobody", "bold"))
        _tell(kept)
        if sys.stdout.isatty():
            _say(("  Ctrl+C ends it; `clarion agent install` keeps it running.", "dim"))


def _tell(kept: Kept) -> None:
    for label, value in (
        ("project", kept.project),
        ("server", kept.server),
        ("push", kept.push_url),
        ("device", kept.device_id),
    ):
        if value:
            _row(label, value)


def _row(label: str, value: str) -> None:
    _say((f"  {label:<9}", "dim"), value)


def _say(*parts: str | tuple[str, str]) -> None:
    Console(highlight=False, soft_wrap=True).print(Text.assemble(*parts))


def _check_extra() -> None:
    if importlib.util.find_spec("desktop_notifier") is None:
        raise Problem("A part is missing", "Showing notifications needs desktop-notifier: pip install 'clarion[agent]'")


async def _try_server(options: Options) -> None:
    """Before anything is installed. Raises ClarionError."""
    async with aiohttp.ClientSession() as http:
        await Server(http, options.origin, options.key).config()


def _screen(state: State) -> Screen:
    return DesktopScreen(lambda: state.kept.project or "Clarion")


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """To its end, or until SIGINT or SIGTERM asks for one."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_told(work))
    except Unavailable as error:
        raise Problem("The server is not there", f"{error.detail}. Does it run, and is this its address?") from None
    except sqlite3.Error as error:  # a full disk; what was not kept was not acknowledged either, and comes again
        raise Problem("The agent cannot keep what it must (--state)", str(error)) from None
    except KeyboardInterrupt:
        pass


async def _until_told(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.create_task(work())
    with contextlib.suppress(NotImplementedError):  # Windows has no signals; there Ctrl+C is KeyboardInterrupt
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """On macOS taps come through the system's own loop, which desktop-notifier's bridge to it joins with asyncio's."""
    if sys.platform == "darwin":
        from rubicon.objc.eventloop import RubiconEventLoop  # noqa: PLC0415 - comes with desktop-notifier, on macOS only

        factory: Callable[[], asyncio.AbstractEventLoop] = RubiconEventLoop
        return factory
    return None
