"""Web Push senders that others wrote, behind one face: pywebpush in Python, web-push in node."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
import pywebpush

from clarion.crypto import base64url
from clarion.crypto.p256 import KeyPair

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("web_push_sender.cjs")
WEB_PUSH = "web-push@3.6.7"
SUBJECT = "mailto:ops@example.com"


class Told(NamedTuple):
    """What the library tells its caller. `error`: by exception or rejection."""

    status: int
    headers: Mapping[str, str]
    body: str
    error: bool

    @property
    def errno(self) -> int:
        """The push service's own number for a refusal."""
        return int(json.loads(self.body)["errno"])


class Message(NamedTuple):
    """`ttl`, `topic` and `urgency` None: what the library does when it is not told."""

    text: bytes
    encoding: str = "aes128gcm"
    ttl: int | None = 60
    topic: str | None = None
    urgency: str | None = None


class Sender(Protocol):
    """Somebody's library, with somebody's VAPID key."""

    async def send(self, subscription: Mapping[str, Any], message: Message, key: KeyPair) -> Told: ...


class PyWebPush:
    """PyPI `pywebpush`."""

    async def send(self, subscription: Mapping[str, Any], message: Message, key: KeyPair) -> Told:
        return await asyncio.to_thread(self._send, subscription, message, key)

    def _send(self, subscription: Mapping[str, Any], message: Message, key: KeyPair) -> Told:
        headers = {"Topic": message.topic, "Urgency": message.urgency}
        try:
            response = pywebpush.webpush(
                subscription,
                data=message.text,
                content_encoding=message.encoding,
                vapid_private_key=base64url.encode(key.private),
                vapid_claims={"sub": SUBJECT},
                headers={name: value for name, value in headers.items() if value is not None},
                **({"ttl": message.ttl} if message.ttl is not None else {}),
            )
        except pywebpush.WebPushException as refused:
            return Told(refused.status_code or 0, refused.response.headers, refused.response.text, error=True)
        return Told(response.status_code, response.headers, response.text, error=False)


class NodeWebPush:
    """npm `web-push`. `home` has it in `node_modules`."""

    def __init__(self, node: str, home: Path) -> None:
        self._node = node
        self._home = home

    async def send(self, subscription: Mapping[str, Any], message: Message, key: KeyPair) -> Told:
        options = {
            "contentEncoding": message.encoding,
            "TTL": message.ttl,
            "topic": message.topic,
            "urgency": message.urgency,
            "vapidDetails": {
                "subject": SUBJECT,
                "publicKey": key.public_text,
                "privateKey": base64url.encode(key.private),
            },
        }
        asked = {
            "subscription": subscription,
            "text": base64.b64encode(message.text).decode(),
            "options": {name: value for name, value in options.items() if value is not None},
        }
        process = await asyncio.create_subprocess_exec(
            self._node,
            str(SCRIPT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(self._home / "node_modules")},
        )
        answer, _ = await process.communicate(json.dumps(asked).encode())
        told = json.loads(answer)
        return Told(told["status"], told["headers"], told["body"], told["error"])


def node_web_push() -> NodeWebPush:
    """Installed on first use, beside the sources. Without node it is left out, but not in CI."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up("there is no node with npm in PATH, so npm's web-push is left out")
    home = ROOT / ".tools" / WEB_PUSH.replace("@", "-")
    if not (home / "node_modules" / "web-push").exists():
        home.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--prefix", str(home), "--no-save", "--no-audit", "--no-fund", WEB_PUSH]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})
    return NodeWebPush(node, home)
