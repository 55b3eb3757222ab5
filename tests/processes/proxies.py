"""Reverse proxies as the guide configures them: its own blocks, but for the ports and the certificate."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from certificates import Pair
from processes.waiting import until

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "behind-a-proxy.md"
_NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{blocks}
}}
"""
_CADDY = """
{{
	admin off
	auto_https disable_redirects
	storage file_system {folder}/caddy
}}
{blocks}
"""


def blocks_of(language: str) -> str:
    """All blocks of that language in the guide."""
    found = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"the guide has no {language}"
    return "\n".join(found)


class Proxy:
    """One process. `ports`: what stands in the guide for Clarion's two → what a test gave them."""

    def __init__(self, kind: str, folder: Path, port: int, pair: Pair, ports: Mapping[str, int]) -> None:
        self.port = port
        self.log = folder / f"{kind}.log"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._command = self._nginx(pair, ports) if kind == "nginx" else self._caddy(pair, ports)

    async def listening(self) -> None:
        """Start it; returns when it listens."""
        process = self._spawn()
        while not await self._listens():
            assert process.poll() is None, self.log.read_text()
            await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            environment = {**os.environ, "HOME": str(self._folder)}
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment)
        return self._process

    async def stop(self) -> None:
        """In order."""
        process = self._process
        assert process is not None
        process.terminate()
        await until(lambda: process.poll() is not None, "the proxy to end")

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def _nginx(self, pair: Pair, ports: Mapping[str, int]) -> list[str]:
        changes = _to_clarion(ports) | {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "server_name push.example": "server_name localhost",
            "server_name devices.example": "server_name 127.0.0.1",
        }
        blocks = _changed(blocks_of("nginx"), changes)
        blocks = re.sub(r"ssl_certificate /.*;", f"ssl_certificate {pair.cert};", blocks)
        blocks = re.sub(r"ssl_certificate_key /.*;", f"ssl_certificate_key {pair.key};", blocks)
        user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not enter our folder
        config = self._folder / "nginx.conf"
        config.write_text(_NGINX.format(user=user, folder=self._folder, blocks=blocks))
        return [_program("nginx"), "-p", str(self._folder), "-c", str(config)]

    def _caddy(self, pair: Pair, ports: Mapping[str, int]) -> list[str]:
        changes = _to_clarion(ports) | {
            "push.example {\n": f"https://localhost:{self.port} {{\n\tbind 127.0.0.1\n\ttls {pair.cert} {pair.key}\n"
        }
        config = self._folder / "Caddyfile"
        config.write_text(_CADDY.format(folder=self._folder, blocks=_changed(blocks_of("caddyfile"), changes)))
        return [_program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]


def _to_clarion(ports: Mapping[str, int]) -> dict[str, str]:
    return {f"127.0.0.1:{port}": f"127.0.0.1:{given}" for port, given in ports.items()}


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the guide has no {old!r} any more"
        text = text.replace(old, new)
    return text


def _program(name: str) -> str:
    """Skips the test where it is missing; fails it in CI, which promises to leave nothing out."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"not installed: {name}")
    return str(found)
