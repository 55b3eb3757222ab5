"""The libraries of others, each told to send the same text to devices of its kind, in a process of its own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from clarion.crypto.base64url import encode
from clarion.crypto.p256 import KeyPair
from common.nghttpd import FarSide, free_port, wait_for
from sending_parts import services

HERE = Path(__file__).parent
TOOLS = HERE.parents[1] / ".tools"
FEWEST = 1_000


class Peer(NamedTuple):
    """A library. `needs`: a module of Python, or a package of npm with its version; `messages`: about two seconds."""

    key: str
    label: str
    service: str
    needs: str
    messages: int
    plain: bool = False

    @property
    def is_node(self) -> bool:
        return "@" in self.needs

    def missing(self) -> str | None:
        """Why it cannot take part."""
        if not self.is_node:
            found = importlib.util.find_spec(self.needs)
            return None if found else f"{self.needs} is not installed; it comes with clarion[bench]"
        return _npm_problem(self.needs)


PEERS = (
    Peer("aioapns", "aioapns", "apns", "aioapns", 10_000),
    Peer("node_apn", "@parse/node-apn", "apns", "@parse/node-apn@8.1.0", 20_000),
    Peer("firebase_admin", "firebase-admin", "fcm", "firebase_admin", 2_000, plain=True),
    Peer("pywebpush", "pywebpush", "webpush", "pywebpush", 2_000, plain=True),
    Peer("web_push", "web-push (npm)", "webpush", "web-push@3.6.7", 4_000, plain=True),
)


def measure(peer: Peer, far: FarSide, plain: int, scale: float) -> dict[str, float]:
    """Microseconds of CPU a message and messages a second. `plain`: the port of the service that speaks HTTP/1.1."""
    task = _task(
        peer, far._replace(port=plain) if peer.plain else far, max(FEWEST, round(peer.messages * min(1, scale)))
    )
    environ = {**os.environ, "PYTHONPATH": str(HERE.parent), "REQUESTS_CA_BUNDLE": str(far.authority)}
    if peer.is_node:
        environ |= {"NODE_PATH": str(_home(peer.needs) / "node_modules"), "NODE_EXTRA_CA_CERTS": str(far.authority)}
        command = [shutil.which("node") or "node", str(HERE / f"{peer.key}_peer.cjs")]
    else:
        command = [sys.executable, "-m", f"sending_parts.{peer.key}_peer"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(task, file)
        file.flush()
        done = subprocess.run(
            [*command, file.name], env=environ, capture_output=True, text=True, check=False, timeout=300
        )
    if done.returncode:
        raise SystemExit(f"{peer.label} failed:\n{done.stderr[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {"cpu_us": round(told["cpu_us"], 1), "per_s": round(told["per_s"])}


@contextmanager
def plain_service(far: FarSide) -> Iterator[int]:
    """A running one, known by the same authority as the far side: its port."""
    port = free_port()
    files = [str(far.authority.with_name(name)) for name in ("cert.pem", "key.pem")]
    command = [sys.executable, str(HERE / "plain_service.py"), str(port), *files]
    process = subprocess.Popen(command)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _task(peer: Peer, far: FarSide, count: int) -> dict[str, Any]:
    """What the process is told."""
    numbers, task = range(count), {"port": far.port, "authority": str(far.authority)}
    if peer.service == "apns":
        task |= {"tokens": [services.apns_token(number) for number in numbers], "topic": services.BUNDLE_ID}
        key = services.pem(ec.generate_private_key(ec.SECP256R1()))
        return task | {"key": key, "key_id": services.KEY_ID, "team_id": services.TEAM_ID}
    if peer.service == "fcm":
        return task | {"tokens": [services.fcm_token(number) for number in numbers], "project": services.FCM_PROJECT}
    pair = KeyPair.generate()
    task["subscriptions"] = [
        {"endpoint": services.endpoint(far, number), "keys": services.subscription_keys()} for number in numbers
    ]
    return task | {"public": pair.public_text, "private": encode(pair.private)}


def _home(package: str) -> Path:
    return TOOLS / package.strip("@").replace("@", "-").replace("/", "-")


@lru_cache
def _npm_problem(package: str) -> str | None:
    """Installs it on first use, beside the sources; why that cannot be done."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return "there is no node with npm in PATH"
    home = _home(package)
    if (home / "node_modules" / package.rpartition("@")[0]).exists():
        return None
    home.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(home), "--no-save", "--no-audit", "--no-fund", package]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "PATH": path})
    return f"npm cannot install it: {done.stderr.strip()[-200:]}" if done.returncode else None
