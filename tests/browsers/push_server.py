"""`clarion serve --gcm` in a process of its own."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from free_ports import HOST, free_port
from processes.server import Server


class PushServer(Server):
    """A push service for both browsers. With `trust` every port has the certificate that the settings name."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, trust: ssl.SSLContext | None = None
    ) -> None:
        self.gcm_port = free_port()
        super().__init__(folder, {"GCM": "on", "GCM_PORT": str(self.gcm_port), **(settings or {})}, trust=trust)

    @property
    def gcm_url(self) -> str:
        """Of the port that Chromium holds its connection to."""
        return f"https://{HOST}:{self.gcm_port}"

    async def counted(self, name: str) -> dict[str, float]:
        """A counter of `/metrics` by the value of its one label."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            found = re.findall(rf'^{name}{{\w+="([^"]*)"}} (\S+)$', await answer.text(), re.MULTILINE)
        return {label: float(value) for label, value in found}
