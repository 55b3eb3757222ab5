"""An agent at a real server: who it is, that it stays the same device, and the words of the command line."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest

from clarion.agent.state import State
from clarion.errors import Unauthenticated
from contract.support_agent import RecordingScreen, running
from processes.ledger import Api
from processes.server import Keys, Server
from processes.waiting import until

pytestmark = pytest.mark.process

SECRET = "an identity secret of thirty-two bytes or more"


class Place:
    """A server with one project that vouches for its users."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.server, self.keys = server, keys

    @property
    def api(self) -> Api:
        return Api(self.server.url, self.keys.server)

    @asynccontextmanager
    async def agent(self, folder: Path, **who: Any) -> AsyncIterator[State]:
        """Registered."""
        screen = who.pop("screen", RecordingScreen())
        options = {"server": self.server.url, "key": self.keys.public, **who}
        async with running(folder, screen, **options) as (_, state, task):
            await until(lambda: task.done() or state.kept.told is not None, "registered")
            if task.done():
                task.result()
            yield state


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    server = Server(tmp_path_factory.mktemp("server"), {"RATE_LIMITS": "off"})
    keys = server.create_project("Shop")
    asyncio.run(server.start())
    place = Place(server, keys)

    async def vouch() -> None:
        async with place.api as api:
            await api.call("PUT", "/v1/project", {"identity": "token", "identity_secret": SECRET})

    asyncio.run(vouch())
    yield place
    server.kill()


def token(user: str, seconds: int = 600) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + seconds}, SECRET, "HS256")


async def devices(place: Place, user: str) -> list[dict[str, Any]]:
    """As they are known, whether an agent is connected at this moment or has just gone."""
    async with place.api as api:
        items: list[dict[str, Any]] = (await api.call("GET", f"/v1/users/{user}/devices"))["items"]
    for item in items:
        del item["connected"]
    return items


async def test_a_plain_user_is_not_believed(place: Place, tmp_path: Path) -> None:
    with pytest.raises(Unauthenticated, match="signed user token"):
        async with place.agent(tmp_path, user="ada"):
            pass


async def test_a_signed_user_gets_messages_and_needs_no_token_later(place: Place, tmp_path: Path) -> None:
    screen = RecordingScreen()
    told = token("grace", seconds=4)
    async with place.agent(tmp_path, token=told, screen=screen):
        [device] = await devices(place, "grace")
    assert (device["kind"], device["permission"], device["state"]) == ("webpush", "granted", "active")
    await asyncio.to_thread(expire, told)
    async with place.api as api:
        await api.call("POST", "/v1/notifications", {"to": {"users": ["grace"]}, "title": "Hello"})
    async with place.agent(tmp_path, token=told, screen=screen):
        await until(lambda: screen.titles == ["Hello"], "shown")
    assert await devices(place, "grace") == [device]


def expire(told: str) -> None:
    """Until the token is over, as its own clock tells."""
    while time.time() <= jwt.decode(told, options={"verify_signature": False})["exp"]:
        time.sleep(0.05)


async def test_an_anonymous_desktop_becomes_somebodys_and_stays_one_device(place: Place, tmp_path: Path) -> None:
    async with place.agent(tmp_path) as state:
        anonymous = state.kept
    assert anonymous.user_token
    async with place.agent(tmp_path, token=token("hedy")) as state:
        await until(lambda: state.kept.user_id == "hedy", "known")
        assert state.kept.user_token is None
    [device] = await devices(place, "hedy")
    assert device["id"] == anonymous.device_id


async def test_a_lost_push_service_name_keeps_the_device(place: Place, tmp_path: Path) -> None:
    async with place.agent(tmp_path, token=token("ida")) as state:
        device_id, endpoint = state.kept.device_id, state.kept.endpoint
    state = State(tmp_path / "agent.db")
    state.keep(uaid="0" * 32)  # one that the push service has never given
    state.close()
    async with place.agent(tmp_path, token=token("ida")) as state:
        await until(lambda: state.kept.told_endpoint not in (None, endpoint), "a new address")
        assert state.kept.device_id == device_id
    [device] = await devices(place, "ida")
    assert (device["id"], device["address"]) == (device_id, state.kept.endpoint)


# --- the command line ------------------------------------------------------------------------------------------------


def clarion(home: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLARION_", "XDG_", "DBUS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "clarion", "agent", *words],
        env=kept | {"HOME": str(home), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_wrong_key(place: Place, tmp_path: Path) -> None:
    done = clarion(tmp_path, "--server", place.server.url, "--key", "pk_unknown", "--user", "ada")
    assert (done.returncode, "the key is not known" in done.stderr) == (1, True)


def test_a_user_who_needs_a_token(place: Place, tmp_path: Path) -> None:
    done = clarion(tmp_path, "--server", place.server.url, "--key", place.keys.public, "--user", "ada")
    assert (done.returncode, "signed user token" in done.stderr) == (1, True)


def test_nobody_at_that_address(tmp_path: Path) -> None:
    done = clarion(tmp_path, "--server", "http://127.0.0.1:1", "--key", "pk_x", "--user", "ada")
    assert (done.returncode, "Connection refused. Does it run" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--key", "sk_x"], "--key: this is a server key"),
        ([], "--key: takes the project's public key"),
        (["--key", "pk_x", "install"], "behind `install`"),
        (["install", "--key", "sk_x"], "--key: this is a server key"),
        (["--settings", "/nowhere/agent.json"], "/nowhere/agent.json cannot be read"),
        (["--key", "pk_x", "--port", "1"], "No such option"),
    ],
)
def test_commands_that_are_wrong(tmp_path: Path, words: list[str], says: str) -> None:
    done = clarion(tmp_path, *words)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_nothing_is_installed_for_a_server_that_refuses(place: Place, tmp_path: Path) -> None:
    done = clarion(tmp_path, "install", "--server", place.server.url, "--key", "pk_unknown")
    assert (done.returncode, list(tmp_path.rglob("*agent*"))) == (1, [])


@pytest.mark.skipif(sys.platform != "linux", reason="a systemd user unit")
def test_install_and_uninstall(place: Place, tmp_path: Path) -> None:
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/told.txt"\n')
    (bin / "systemctl").chmod(0o755)
    path = f"{bin}:{os.environ['PATH']}"
    done = clarion(tmp_path, "install", "--server", place.server.url, CLARION_KEY=place.keys.public, PATH=path)
    assert done.returncode == 0, done.stderr
    unit = tmp_path / ".config" / "systemd" / "user" / "clarion-agent.service"
    settings = tmp_path / ".config" / "clarion" / "agent.json"
    assert str(settings) in unit.read_text()
    assert place.keys.public not in unit.read_text() + done.stdout + done.stderr
    assert place.keys.public in settings.read_text()
    assert settings.stat().st_mode & 0o077 == 0
    assert "restart clarion-agent.service" in (tmp_path / "told.txt").read_text()
    assert clarion(tmp_path, "uninstall", PATH=path).returncode == 0
    assert not unit.exists()
    assert not settings.exists()
    assert "There was no service" in clarion(tmp_path, "uninstall", PATH=path).stdout


def test_status_before_there_is_anything(tmp_path: Path) -> None:
    done = clarion(tmp_path, "status")
    assert (done.returncode, "not running" in done.stdout) == (0, True)
    assert not (tmp_path / ".local").exists(), "asking changes nothing"
