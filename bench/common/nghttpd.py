"""nghttpd (nghttp2's own server) in place of a push service: it answers every POST with a file, faster than we ask."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import trustme


class FarSide(NamedTuple):
    """Where it is, whom to trust for it (PEM), and the folder whose files are its answers, by path."""

    port: int
    authority: Path
    folder: Path

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def answer(self, path: str, body: bytes = b"") -> Path:
        """From now on requests to this path get a 200 with this body; all others get a 404. The file."""
        file = self.folder / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return file


def certificates(folder: Path) -> None:
    """`ca.pem`, and `cert.pem` with `key.pem` for a server on this machine."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = ca.issue_cert("localhost", "127.0.0.1")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))


@contextmanager
def nghttpd() -> Iterator[FarSide]:
    """A running server without answers yet."""
    program = shutil.which("nghttpd")
    if program is None:
        raise SystemExit(
            "This measures against nghttpd, and there is none in PATH (Debian: apt install nghttp2-server)."
        )
    with tempfile.TemporaryDirectory(prefix="clarion-nghttpd-") as name:
        folder, port = Path(name), free_port()
        certificates(folder)
        answers = folder / "answers"
        answers.mkdir()
        # Windows as push services have them: no client is to wait for one.
        command = [program, "-a", "127.0.0.1", "-m", "1000", "-w", "20", "-W", "24", "-d", str(answers), str(port)]
        process = subprocess.Popen([*command, str(folder / "key.pem"), str(folder / "cert.pem")])
        try:
            wait_for(port)
            yield FarSide(port, folder / "ca.pem", answers)
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Until something listens there."""
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")
