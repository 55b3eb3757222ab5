"""The agent as a service of the person who is logged in: a systemd user unit, or a launchd agent."""

import os
import plistlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from clarion.agent import paths
from clarion.agent.options import Options
from clarion.errors import ConfigurationError

UNIT = "clarion-agent.service"
LABEL = "clarion.agent"
_AGAIN_S = 30
_PATIENCE_S = 30

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def run_command(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """To its end, with what it said."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)  # noqa: S603 - our own words


class Service(Protocol):
    """How one system runs something for a person."""

    file: Path

    def install(self, settings: Path) -> None:
        """Write the service's file, start it, and have it started at every login. Raises ConfigurationError."""
        ...

    def uninstall(self) -> None:
        """Stop it and remove its file; nothing happens when there is none."""
        ...

    def running(self) -> bool:
        """Whether it runs now."""
        ...


def command(settings: Path) -> list[str]:
    """What the service runs: the key is in the file, not in the list of processes that everybody sees."""
    return [sys.executable, "-m", "clarion", "agent", "--settings", str(settings)]


def write_settings(options: Options, path: Path) -> None:
    """For its owner alone, in place of an older one at once. Raises ConfigurationError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        with suppress(FileNotFoundError):
            unfinished.unlink()
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(options, enc_hook=str), indent=2) + b"\n")
        unfinished.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error}") from None


def read_settings(path: Path) -> Options:
    """As `write_settings` wrote them. Raises ConfigurationError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Options, dec_hook=lambda kind, raw: kind(raw))
    except OSError as error:
        raise ConfigurationError(f"--settings {path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"--settings {path} is not what `clarion agent install` writes: {error}") from None


class Systemd:
    """A user unit (systemd.unit(5)), bound to the graphical session."""

    def __init__(self, file: Path | None = None, run: Run = run_command) -> None:
        self.file = file or paths.unit_file()
        self._run = run

    def install(self, settings: Path) -> None:
        _write(self.file, unit(command(settings)).encode())
        for words in (["daemon-reload"], ["enable", UNIT], ["restart", UNIT]):
            _check(self._run, ["systemctl", "--user", *words], self.file)

    def uninstall(self) -> None:
        if self.file.exists():
            _tried(self._run, ["systemctl", "--user", "disable", "--now", UNIT])
            self.file.unlink()
            _tried(self._run, ["systemctl", "--user", "daemon-reload"])

    def running(self) -> bool:
        return _tried(self._run, ["systemctl", "--user", "is-active", "--quiet", UNIT])


class Launchd:
    """A launch agent of the login session (launchd.plist(5))."""

    def __init__(self, file: Path | None = None, run: Run = run_command, uid: int | None = None) -> None:
        self.file = file or Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self._run = run
        self._domain = f"gui/{os.getuid() if uid is None else uid}"  # type: ignore[attr-defined,unused-ignore] # no Windows

    def install(self, settings: Path) -> None:
        _tried(self._run, ["launchctl", "bootout", f"{self._domain}/{LABEL}"])
        _write(self.file, plistlib.dumps(plist(command(settings))))
        _check(self._run, ["launchctl", "bootstrap", self._domain, str(self.file)], self.file)

    def uninstall(self) -> None:
        if self.file.exists():
            _tried(self._run, ["launchctl", "bootout", f"{self._domain}/{LABEL}"])
            self.file.unlink()

    def running(self) -> bool:
        return _tried(self._run, ["launchctl", "print", f"{self._domain}/{LABEL}"])


def of_this_system() -> Service:
    """Raises ConfigurationError where there is none."""
    if sys.platform == "darwin":
        return Launchd()
    if sys.platform == "linux":
        return Systemd()
    raise ConfigurationError(
        "services are installed on Linux (systemd) and macOS; here let the system start "
        f"`{' '.join(command(paths.settings_file()))}` at login"
    )


def unit(words: Sequence[str]) -> str:
    """The unit's text. A browser that a tap started is a child: ending the agent must not close it."""
    return f"""[Unit]
Description=Clarion: notifications on this desktop
After=graphical-session.target
PartOf=graphical-session.target
StartLimitIntervalSec=600
StartLimitBurst=10

[Service]
Type=exec
ExecStart={" ".join(map(_quoted, words))}
Restart=on-failure
RestartSec={_AGAIN_S}
KillMode=process

[Install]
WantedBy=graphical-session.target
"""


def plist(words: Sequence[str]) -> dict[str, Any]:
    """The launch agent's properties."""
    return {
        "Label": LABEL,
        "ProgramArguments": list(words),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": _AGAIN_S,
        "AbandonProcessGroup": True,
        "LimitLoadToSessionType": "Aqua",
        "StandardErrorPath": str(Path.home() / "Library" / "Logs" / "clarion-agent.log"),
    }


def _quoted(word: str) -> str:
    """One argument of ExecStart (systemd.service(5), "Command lines"; `%` is for specifiers)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error}") from None


def _tried(run: Run, words: Sequence[str]) -> bool:
    try:
        return run(words).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _check(run: Run, words: Sequence[str], file: Path) -> None:
    try:
        done = run(words)
        why = done.stderr.strip() if done.returncode else None
    except (OSError, subprocess.SubprocessError) as error:
        why = str(error)
    if why is not None:
        raise ConfigurationError(f"{file} is written, but `{' '.join(words)}` failed: {why}")
