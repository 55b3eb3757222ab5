"""HTTP/2 servers that others wrote, each answering a request with something that only that request can have."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from certificates import Pair
from clarion.ports import BatchRequest
from free_ports import free_port

_NODE = """
const http2 = require("http2"), fs = require("fs");
const [port, cert, key, log] = process.argv.slice(1);
const server = http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
const sessions = new Set();
let ending = false;
server.on("session", (session) => {
  if (ending) session.close();
  sessions.add(session);
  session.on("close", () => sessions.delete(session));
});
server.on("stream", (stream, headers) => {
  const parts = [];
  stream.on("error", () => {});
  stream.on("data", (part) => parts.push(part));
  stream.on("end", () => {
    fs.appendFileSync(log, headers[":path"] + "\\n");
    if (stream.destroyed) return;
    stream.respond({ ":status": 201, location: headers[":path"] });
    stream.end(Buffer.concat([Buffer.from(headers[":path"] + "\\n"), ...parts]));
  });
});
process.on("SIGTERM", () => {
  ending = true;
  server.close(() => process.exit(0));
  for (const session of sessions) session.close();
});
server.listen(port, "127.0.0.1");
"""

_NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    log_format path $request_uri;
    access_log {log} path;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        location / {{ add_header location $request_uri; return 201 $request_uri; }}
    }}
}}
"""

_HYPERCORN = """
import pathlib, sys
LOG = pathlib.Path({log!r}).open("a", buffering=1)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body, more = body + message.get("body", b""), message.get("more_body", False)
    LOG.write(scope["path"] + "\\n")
    path = scope["path"].encode()
    await send({{"type": "http.response.start", "status": 201, "headers": [(b"location", path)]}})
    await send({{"type": "http.response.body", "body": path + b"\\n" + body}})
"""


def need(program: str, package: str) -> str:
    """Where the program is. Without it the test is left out; with CI=true, which leaves nothing out, it fails."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:{Path(sys.executable).parent}")
    if found is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"{program} is not in PATH (Debian: apt install {package})")
    return found


class RealServer:
    """One process.

    `names_requests`: its log holds the path of each request that it processed. `names_them_first`: before the answer,
    so that nobody who was answered is missing in it, even when it is killed.
    """

    kind: ClassVar[str]
    names_requests: ClassVar[bool] = True
    names_them_first: ClassVar[bool] = True
    ends_gracefully: ClassVar[bool] = True

    def __init__(self, folder: Path, pair: Pair) -> None:
        self.folder = folder
        self.pair = pair
        self.log = folder / "seen.log"
        self.log.touch()
        self.port = free_port()
        self.process: subprocess.Popen[bytes]

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def command(self) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def expected(self, request: BatchRequest) -> bytes:
        """The body of the answer to this request."""
        return request.path.encode() + b"\n" + request.body

    async def start(self) -> None:
        """Returns when it listens."""
        with (self.folder / "server.log").open("ab") as words:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment
                self.command(), stdout=words, stderr=words, cwd=self.folder, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while not await self._listens():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            await asyncio.sleep(0.02)

    def end(self) -> None:
        """In order: what has come is answered."""
        self.process.send_signal(signal.SIGTERM)

    async def kill(self) -> None:
        """At once, with all its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)

    def seen(self) -> list[str]:
        """Paths of the requests that it processed."""
        return self.log.read_text().split()

    async def until_seen(self, condition: Callable[[int], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition(len(self.seen())):  # noqa: ASYNC110 - the log is another process's
                await asyncio.sleep(0.005)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


class Nghttpd(RealServer):
    """nghttp2's own server; echoes bodies, and says nothing about paths."""

    kind = "nghttpd"
    names_requests = False
    ends_gracefully = False

    def command(self) -> list[str]:
        files = [str(self.pair.key), str(self.pair.cert)]
        return [need("nghttpd", "nghttp2-server"), "--address=127.0.0.1", "--echo-upload", str(self.port), *files]

    def expected(self, request: BatchRequest) -> bytes:
        return request.body


class Node(RealServer):
    """node's module http2."""

    kind = "node"

    def command(self) -> list[str]:
        return [
            need("node", "nodejs"),
            "-e",
            _NODE,
            str(self.port),
            str(self.pair.cert),
            str(self.pair.key),
            str(self.log),
        ]


class Nginx(RealServer):
    """Says GOAWAY after a thousand requests of a connection."""

    kind = "nginx"
    names_them_first = False

    def command(self) -> list[str]:
        config = self.folder / "nginx.conf"
        config.write_text(
            _NGINX.format(
                user="user root;" if os.geteuid() == 0 else "",
                folder=self.folder, port=self.port, cert=self.pair.cert, key=self.pair.key, log=self.log,
            )
        )  # fmt: skip
        return [need("nginx", "nginx"), "-p", str(self.folder), "-c", str(config)]

    def expected(self, request: BatchRequest) -> bytes:
        return request.path.encode()

    def end(self) -> None:
        self.process.send_signal(signal.SIGQUIT)


class Hypercorn(RealServer):
    """The library h2 behind an ASGI application. At its end it answers what is under way with 500."""

    kind = "hypercorn"
    ends_gracefully = False

    def command(self) -> list[str]:
        (self.folder / "echo.py").write_text(_HYPERCORN.format(log=str(self.log)))
        # Unless told otherwise it ends each connection after a thousand requests, and loses those on their way.
        settings = {
            "bind": [f"127.0.0.1:{self.port}"],
            "certfile": str(self.pair.cert),
            "keyfile": str(self.pair.key),
            "keep_alive_max_requests": 1_000_000,
        }
        config = self.folder / "hypercorn.toml"
        config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
        return [need("hypercorn", "python3-hypercorn, or pip"), "--config", str(config), "echo:app"]


REAL = {each.kind: each for each in (Nghttpd, Node, Nginx, Hypercorn)}
