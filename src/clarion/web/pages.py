"""Pages and files of a folder, read once, under a policy that lets in nothing from elsewhere."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minijinja import Environment

from clarion.web.http import Answer, Request

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = (
    ("content-security-policy", _POLICY),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
)


class Asset(NamedTuple):
    """A file as served: browsers ask each time and mostly hear that theirs is still good."""

    body: bytes
    type: str
    etag: str

    def answer(self, request: Request) -> Answer:
        """The file, or 304 for a browser that has it."""
        headers = (("etag", self.etag), ("cache-control", "no-cache"), ("x-content-type-options", "nosniff"))
        if self.etag in request.headers.get("if-none-match", ""):
            return Answer(304, b"", self.type, headers)
        return Answer(200, self.body, self.type, headers)


def assets(folder: Path) -> dict[str, Asset]:
    """By file name; nothing else can be asked for."""
    return {path.name: _asset(path) for path in sorted(folder.iterdir()) if path.suffix in _TYPES}


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')


class Pages:
    """Renders templates; every value is escaped."""

    def __init__(
        self, folder: Path, common: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        """`common`: values for every page; `filters`: by the name that templates know them by."""
        sources = {path.name: path.read_text("utf-8") for path in folder.glob("*.html")}
        self._env = Environment(loader=sources.get, undefined_behavior="strict", trim_blocks=True, lstrip_blocks=True)
        for name, filter in (filters or {}).items():
            self._env.add_filter(name, filter)
        self._common = common

    def show(self, name: str, *, status: int = 200, headers: tuple[tuple[str, str], ...] = (), **values: Any) -> Answer:
        """The page `name` as an answer, with a policy that lets in nothing from elsewhere."""
        html = self._env.render_template(f"{name}.html", **self._common, **values)
        return Answer(status, html.encode(), "text/html; charset=utf-8", (*_PAGE_HEADERS, *headers))
