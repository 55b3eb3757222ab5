"""`clarion serve --gcm` in a process of its own."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from processes.server import Server, free_port


class PushServer(Server):
    """A push service for both browsers."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.gcm_port = free_port()
        super().__init__(folder, {"GCM": "on", "GCM_PORT": str(self.gcm_port), **(settings or {})})

    @property
    def gcm_url(self) -> str:
        """Of the port that Chromium holds its connection to."""
        return f"https://localhost:{self.gcm_port}"


class TlsServer(PushServer):
    """The same, with a certificate of the company's own authority on every port."""

    def __init__(self, folder: Path, authority: Path, certificate: Path, key: Path) -> None:
        self.trust = ssl.create_default_context(cafile=str(authority))
        super().__init__(folder, {"TLS_CERT": str(certificate), "TLS_KEY": str(key)})
        self._settings |= {
            "PUBLIC_URL": self.url,
            "PUBLIC_PUSH_URL": self.push_url,
            "PUBLIC_GCM_URL": self.gcm_url,
        }

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def push_url(self) -> str:
        return f"wss://localhost:{self.push_port}/"

    async def _healthy(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}/healthz", ssl=self.trust) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False
