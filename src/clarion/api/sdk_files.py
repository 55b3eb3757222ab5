"""The web SDK's files at `/sdk/`, for pages and workers of any site; revalidated, so that a fix arrives at once."""

import hashlib
import mimetypes
from pathlib import Path

import clarion
from clarion.api.cors import ANY_ORIGIN
from clarion.api.http import Answer, Header, MethodNotAllowed, Scope, header
from clarion.errors import NotFound

PREFIX = "/sdk/"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
}
_PRIVATE = frozenset({"package.json", "tsconfig.json", "test", "node_modules"})
_HEADERS: tuple[Header, ...] = (
    ANY_ORIGIN,
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"service-worker-allowed", b"/"),
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
)


def folder() -> Path:
    """Where the files are: in the wheel beside our modules, in a checkout under `clients/web`."""
    package = Path(clarion.__file__).parent
    packaged = package / "_web"
    return packaged if packaged.is_dir() else package.parents[1] / "clients" / "web"


class SdkFiles:
    """Reads each file once and again when it changed; the folder's list is the only list of what there is."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._kept: dict[Path, tuple[float, bytes, bytes]] = {}

    def answer(self, scope: Scope) -> Answer:
        """The file, or 304 when the caller has it.

        Raises:
            NotFound, MethodNotAllowed.
        """
        if scope["method"] == "OPTIONS":
            return Answer(204, b"", (*_HEADERS, (b"allow", b"GET, HEAD, OPTIONS")))
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("GET, HEAD")
        path = self._find(scope["path"].removeprefix(PREFIX))
        body, tag = self._read(path)
        told = header(scope, b"if-none-match") or b""
        headers = (*_HEADERS, (b"etag", tag))
        if tag in [one.strip().removeprefix(b"W/") for one in told.split(b",")]:
            return Answer(304, b"", headers)
        return Answer(200, body, ((b"content-type", _type_of(path)), *headers))

    def _find(self, name: str) -> Path:
        parts = name.split("/")
        if any(not part or part.startswith(".") or part in _PRIVATE or "\\" in part or "\0" in part for part in parts):
            raise NotFound("there is no such file of the SDK")
        path = self._root.joinpath(*parts).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            raise NotFound("there is no such file of the SDK")
        return path

    def _read(self, path: Path) -> tuple[bytes, bytes]:
        changed = path.stat().st_mtime
        kept = self._kept.get(path)
        if kept is None or kept[0] != changed:
            body = path.read_bytes()
            kept = self._kept[path] = (changed, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode())
        return kept[1], kept[2]


def _type_of(path: Path) -> bytes:
    known = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return (known or "application/octet-stream").encode()
