"""The agent as a service: files that systemd and launchd take, the key for its owner alone, and all gone again."""

import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clarion.agent.options import Options, check
from clarion.agent.service import (
    LABEL,
    UNIT,
    Launchd,
    Systemd,
    command,
    plist,
    read_settings,
    unit,
    write_settings,
)
from clarion.errors import ConfigurationError

KEY = "pk_" + "k" * 43
SETTINGS = Path('/home/ada/100% "mine" $HOME\\x/agent.json')


class Manager:
    """systemctl or launchctl: records what it is told, and fails as told."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        self.failing: str | None = None

    def __call__(self, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.told.append(list(words))
        fails = self.failing is not None and self.failing in words
        return subprocess.CompletedProcess(words, int(fails), "", "no bus here" if fails else "")


@pytest.fixture
def manager() -> Manager:
    return Manager()


def options(folder: Path, **more: str) -> Options:
    return Options(server="https://push.example", key=KEY, state=folder / "agent.db", **more)


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings_come_back_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "agent.json"
    told = options(tmp_path, token="eyJ.x.y", push_url="wss://push.example/")
    for _ in range(2):
        write_settings(told, path)
    assert read_settings(path) == told
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["agent.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"server": 5, "key": "pk_", "state": "x"}'])
def test_other_settings_are_refused_by_the_files_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agent.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"agent\.json"):
        read_settings(path)
    with pytest.raises(ConfigurationError, match="No such file"):
        read_settings(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("wrong", "flag", "says"),
    [
        ({"server": "push.example"}, "--server", "http://host:port"),
        ({"key": "sk_secret"}, "--key", "server key"),
        ({"key": ""}, "--key", "pk_"),
        ({"user": "ada", "token": "t"}, "--token", "one of them"),
        ({"user": ""}, "--user", "anonymous"),
        ({"user": "ada\nX-Evil: 1"}, "--user", "control characters"),
        ({"push_url": "https://push.example"}, "--push-url", "wss://"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, wrong: dict[str, str], flag: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        check(Options(**({"server": "https://a", "key": KEY, "state": tmp_path} | wrong)))  # type: ignore[arg-type]
    assert [error.field for error in caught.value.errors] == [flag]
    assert "secret" not in caught.value.detail.replace("a secret that", "")


# --- systemd ---------------------------------------------------------------------------------------------------------


def complaints(folder: Path, text: str) -> tuple[int, list[str]]:
    """What systemd says of a unit: its exit code, and its lines about this file."""
    if shutil.which("systemd-analyze") is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up("systemd-analyze is not installed (Debian: apt install systemd)")
    file = folder / UNIT
    file.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={"XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )
    return done.returncode, [line for line in done.stderr.splitlines() if UNIT in line]


@pytest.mark.parametrize("settings", [Path("/home/ada/.config/clarion/agent.json"), SETTINGS])
def test_systemd_takes_the_unit(tmp_path: Path, settings: Path) -> None:
    assert complaints(tmp_path, unit(command(settings))) == (0, [])


def test_systemd_would_see_a_mistake_in_it(tmp_path: Path) -> None:
    _, lines = complaints(tmp_path, unit(command(SETTINGS)).replace(sys.executable, "/nowhere/python"))
    assert "/nowhere/python" in lines[0]


def test_the_key_is_in_no_list_of_processes(tmp_path: Path, manager: Manager) -> None:
    write_settings(options(tmp_path), tmp_path / "agent.json")
    service = Systemd(tmp_path / UNIT, manager)
    service.install(tmp_path / "agent.json")
    assert KEY not in service.file.read_text()
    assert not any(KEY in word for words in manager.told for word in words)


def test_systemd_starts_it_now_and_at_every_login(tmp_path: Path, manager: Manager) -> None:
    service = Systemd(tmp_path / "user" / UNIT, manager)
    service.install(SETTINGS)
    assert manager.told == [
        ["systemctl", "--user", "daemon-reload"],
        ["systemctl", "--user", "enable", UNIT],
        ["systemctl", "--user", "restart", UNIT],
    ]
    manager.told.clear()
    service.uninstall()
    assert not service.file.exists()
    assert manager.told == [
        ["systemctl", "--user", "disable", "--now", UNIT],
        ["systemctl", "--user", "daemon-reload"],
    ]
    manager.told.clear()
    service.uninstall()
    assert manager.told == []


def test_a_systemd_that_fails_is_quoted(tmp_path: Path, manager: Manager) -> None:
    manager.failing = "daemon-reload"
    with pytest.raises(ConfigurationError, match="`systemctl --user daemon-reload` failed: no bus here"):
        Systemd(tmp_path / UNIT, manager).install(SETTINGS)


def test_a_machine_without_systemd(tmp_path: Path) -> None:
    def missing(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        raise FileNotFoundError(words[0])

    service = Systemd(tmp_path / UNIT, missing)
    with pytest.raises(ConfigurationError, match="systemctl"):
        service.install(SETTINGS)
    assert not service.running()
    service.uninstall()
    assert not service.file.exists()


# --- launchd ---------------------------------------------------------------------------------------------------------


def test_launchd_gets_a_property_list(tmp_path: Path, manager: Manager) -> None:
    service = Launchd(tmp_path / "LaunchAgents" / f"{LABEL}.plist", manager, uid=501)
    service.install(SETTINGS)
    read = plistlib.loads(service.file.read_bytes())
    assert read == plist(command(SETTINGS))
    assert read["ProgramArguments"] == [sys.executable, "-m", "clarion", "agent", "--settings", str(SETTINGS)]
    assert read["KeepAlive"] == {"SuccessfulExit": False}
    assert manager.told == [
        ["launchctl", "bootout", f"gui/501/{LABEL}"],
        ["launchctl", "bootstrap", "gui/501", str(service.file)],
    ]
    service.uninstall()
    assert not service.file.exists()
    assert manager.told[2:] == [["launchctl", "bootout", f"gui/501/{LABEL}"]]
