"""Icons and images, fetched and kept for a day. A picture that does not come costs only itself."""

import mimetypes
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import aiohttp
import structlog

log = structlog.get_logger(__name__)

PATIENCE_S = 5.0
LARGEST = 1024 * 1024
KEPT = 100
"""Files; past that the oldest go."""
_FRESH_S = 24 * 3600.0
_REDIRECTS = 3


class Pictures:
    """A folder of files named by their URL's digest."""

    def __init__(self, http: aiohttp.ClientSession, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._http = http
        self._folder = folder
        self._now = now

    async def fetch(self, url: str | None) -> Path | None:
        """The picture as a file; None when there is none, it is too large or slow, or it is no picture."""
        if url is None or not url.lower().startswith(("https://", "http://")):
            return None
        name = sha256(url.encode("utf-8", "replace")).hexdigest()
        found = self._fresh(name)
        if found is not None:
            return found
        try:
            return await self._download(url, name)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.info("picture_left_out", why=str(error) or type(error).__name__)
            return None

    def _fresh(self, name: str) -> Path | None:
        with suppress(OSError):
            for path in self._folder.glob(f"{name}.*"):
                if self._now() - path.stat().st_mtime < _FRESH_S:
                    return path
        return None

    async def _download(self, url: str, name: str) -> Path:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with self._http.get(url, timeout=timeout, max_redirects=_REDIRECTS) as response:
            response.raise_for_status()
            kind = response.content_type
            if not kind.startswith("image/"):
                raise ValueError(f"not a picture but {kind}")
            content = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                content += chunk
                if len(content) > LARGEST:
                    raise ValueError(f"larger than {LARGEST} bytes")
        return self._store(name + (mimetypes.guess_extension(kind) or ".img"), bytes(content))

    def _store(self, name: str, content: bytes) -> Path:
        """Under a name of its own first: a reader sees the whole picture or none."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, unfinished = tempfile.mkstemp(dir=self._folder, prefix=".")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        path = self._folder / name
        Path(unfinished).replace(path)
        self._trim()
        return path

    def _trim(self) -> None:
        with suppress(OSError):
            files = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in files[:-KEPT]:
                path.unlink()
