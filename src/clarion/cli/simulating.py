"""Running a simulated push service: its banner, a line a second while something happens, and the counts at the end."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from clarion.cli.problem import Misuse, Problem
from clarion.testing.simulators import ApnsSimulator, FcmSimulator, Script
from clarion.testing.simulators.apns import TOPIC
from clarion.testing.simulators.certificates import Environment
from clarion.testing.simulators.control import counts
from clarion.testing.simulators.fcm import PROJECT
from clarion.testing.simulators.simulator import Common, Simulator

FOLDER = Path(".clarion/simulate")
_EVERY_S = 1.0
_BESIDE = ("answers", "connections")
_GOOD = ("200", "200 token")


class Options(NamedTuple):
    """What both commands take; None where it was not given."""

    host: str
    port: int
    data: Path | None
    state: Path | None
    script: Path | None
    quota: int | None
    as_json: bool


def apns(options: Options, topics: Sequence[str], *, sandbox: bool, renewal_s: int) -> None:
    """Simulate APNs until told to end. Raises Problem when it cannot begin."""
    environment: Environment = "sandbox" if sandbox else "production"
    with _checked():
        simulator = ApnsSimulator(
            topics=topics or (TOPIC,), environment=environment, renewal_s=renewal_s, **_common(options, "apns")
        )
    told = {
        "key_file": str(simulator.key_file),
        "key_id": simulator.credential.key_id,
        "team_id": simulator.credential.team_id,
        "topic": ", ".join(simulator.topics),
        "environment": environment,
    }
    asyncio.run(_run(simulator, "apns", told, options))


def fcm(options: Options, project: str | None) -> None:
    """Simulate FCM until told to end. Raises Problem when it cannot begin."""
    with _checked():
        simulator = FcmSimulator(project=project or PROJECT, **_common(options, "fcm"))
    told = {"service_account": str(simulator.account.file), "project": simulator.project}
    asyncio.run(_run(simulator, "fcm", told, options))


@contextmanager
def _checked() -> Iterator[None]:
    """Turns what is wrong with the options and their files into a Problem."""
    try:
        yield
    except ValueError as error:
        raise Misuse("That cannot be simulated", str(error)) from None
    except OSError as error:
        raise Problem("A file cannot be used", f"{error.filename}: {error.strerror}") from None


def _common(options: Options, service: str) -> Common:
    script = Script()
    if options.script is not None:
        script = Script(Script.read(options.script.read_bytes()))
    return {
        "folder": (options.data or FOLDER / service).absolute(),
        "host": options.host,
        "port": options.port,
        "state": options.state,
        "script": script,
        "quota": options.quota,
    }


async def _run(simulator: Simulator, service: str, credential: dict[str, str], options: Options) -> None:
    told_to_end = _told_to_end()
    output = _JsonOutput() if options.as_json else _Output()
    try:
        async with simulator:
            about = {"service": service, "url": simulator.url, "ca_file": str(simulator.ca_file), **credential}
            output.begin(about)
            await _watch(simulator, output, told_to_end)
            output.end(counts(simulator))
    except OSError as error:
        words = os.strerror(error.errno) if error.errno else str(error)
        raise Problem(f"Cannot listen on {options.host} port {options.port}", f"{words} (--host, --port)") from None


def _told_to_end() -> asyncio.Event:
    """Set by SIGINT or SIGTERM. As an exception it would hit whatever runs, and a connection would swallow it."""
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows Ctrl+C cancels
            asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


async def _watch(simulator: Simulator, output: "_Output | _JsonOutput", told_to_end: asyncio.Event) -> None:
    before = counts(simulator)
    while not told_to_end.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(told_to_end.wait(), _EVERY_S)
        now = counts(simulator)
        if now["requests"] != before["requests"]:
            output.second(now, before)
        before = now


class _JsonOutput:
    """For programs: what it is, then counts, each a line of JSON."""

    def begin(self, about: dict[str, str]) -> None:
        self._print(about)

    def second(self, now: dict[str, Any], _before: dict[str, Any]) -> None:
        self._print(now)

    def end(self, now: dict[str, Any]) -> None:
        self._print(now)

    def _print(self, value: Any) -> None:
        print(msgspec.json.encode(value).decode(), flush=True)  # noqa: T201 - that is the output


class _Output:
    """For people."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def begin(self, about: dict[str, str]) -> None:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column(overflow="fold")
        for name, value in about.items():
            if name != "service":
                style = f"bold cyan link {value}" if name == "url" else "yellow" if name.endswith("_id") else ""
                rows.add_row(_LABELS.get(name, name.capitalize()), Text(value, style))
        rows.add_row("Counts", Text(f"curl --cacert {about['ca_file']} {about['url']}/simulator", "dim"))
        rows.add_row("", Text("Ctrl+C stops", "dim"))
        title = Text.assemble(
            (" Clarion ", "bold white on blue_violet"), (f"  simulated {_SERVICES[about['service']]} ", "bold")
        )
        self._console.print(
            Panel(rows, title=title, title_align="left", border_style="blue_violet", padding=(1, 2), expand=False)
        )

    def second(self, now: dict[str, Any], before: dict[str, Any]) -> None:
        line = Text.assemble(
            (f"{now['requests'] - before['requests']:>8,}/s", "bold"),
            ("  accepted ", "dim"),
            f"{now['accepted']:,}",
            ("  shown ", "dim"),
            f"{now['notifications']:,}",
        )
        new = Counter(now["answers"])
        new.subtract(before["answers"])
        for answer, number in sorted(new.items()):
            if number > 0:
                style = "green" if answer in _GOOD else "red"
                line.append(f"  {answer}", style).append(f" {number:,}", "dim")
        self._console.print(line, soft_wrap=True)

    def end(self, now: dict[str, Any]) -> None:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("")
        table.add_column("Number", justify="right")
        for name, number in now.items():
            if name not in _BESIDE:
                table.add_row(name.capitalize(), f"{number:,}")
        for answer, number in sorted(now["answers"].items()):
            table.add_row(Text(f"  answered {answer}", "green" if answer in _GOOD else "red"), f"{number:,}")
        self._console.print()
        self._console.print(table)


_SERVICES = {"apns": "APNs", "fcm": "FCM"}
_LABELS = {
    "url": "URL",
    "ca_file": "Trust",
    "key_file": "Key",
    "key_id": "Key id",
    "team_id": "Team id",
    "service_account": "Credential",
}
