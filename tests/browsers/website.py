"""A website with a service worker that tells what reaches it, and the site's own server that sends pushes to it.

Nothing here is Clarion's: encryption is http_ece's, signing PyJWT's, so that both ends are somebody else's.
"""

import asyncio
import ssl
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import http_ece  # type: ignore[import-untyped]  # ships no types
import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_PAGE = """<!doctype html><title>A website</title>
<script>
  window.subscribe = async key => {
    await navigator.serviceWorker.register("/worker.js");
    const { pushManager } = await navigator.serviceWorker.ready;
    return (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key })).toJSON();
  };
  window.unsubscribe = async () => {
    const { pushManager } = await navigator.serviceWorker.ready;
    return (await pushManager.getSubscription()).unsubscribe();
  };
</script>"""

_WORKER = """
const life = crypto.randomUUID();
const tell = (path, what) => fetch(path, { method: "POST", body: JSON.stringify(what) });
self.addEventListener("push", event => event.waitUntil((async () => {
  const text = event.data ? event.data.text() : null;
  const pages = await clients.matchAll({ includeUncontrolled: true });
  await self.registration.showNotification(text ? text.slice(0, 40) : "nothing", {
    data: text,
    actions: [{ action: "track", title: "Track" }],
  });
  await tell("/pushed", { text, life, pages: pages.length });
})()));
self.addEventListener("notificationclick", event => {
  event.waitUntil(clients.openWindow(`/opened/${event.action || "body"}`));
});
"""

_PATIENCE_S = 30.0


class Pushed(NamedTuple):
    """A push event of the worker. `life`: names the run of the worker; `pages`: of the site that were open."""

    text: str | None
    life: str
    pages: int


class Answer(NamedTuple):
    """Of the push service to a sender."""

    status: int
    body: str


class Site:
    """The website. `origin` is where; `server_url` is that of the Clarion behind it."""

    def __init__(self, server_url: str, trust: ssl.SSLContext | None = None) -> None:
        self.origin = ""
        self._trust = trust or True
        self._server_url = server_url
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._pushed: asyncio.Queue[Pushed] = asyncio.Queue()

    @property
    def public_key(self) -> str:
        """Its VAPID key, as `subscribe` takes it."""
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return urlsafe_b64encode(point).decode().rstrip("=")

    # --- what its worker tells ---

    async def pushed(self, within: float = _PATIENCE_S) -> Pushed:
        """Wait for the next push event."""
        return await asyncio.wait_for(self._pushed.get(), within)

    def quiet(self) -> bool:
        """Whether no push event came that nobody asked for."""
        return self._pushed.empty()

    async def after(self, seconds: float) -> None:
        """Let so much time pass: messages expire by the clock."""
        await asyncio.sleep(seconds)

    async def answer(self, request: web.Request) -> web.Response:
        """Any page, its worker, and what the worker posts."""
        if request.path == "/pushed":
            self._pushed.put_nowait(Pushed(**await request.json()))
            return web.Response()
        if request.path == "/worker.js":
            return web.Response(text=_WORKER, content_type="text/javascript")
        return web.Response(text=_PAGE, content_type="text/html")

    # --- what its server does ---

    async def send(
        self, subscription: dict[str, Any], text: str, *, ttl: int = 600, tamper: bool = False, **headers: str
    ) -> Answer:
        """Push a text to a subscriber; `tamper`: so that it cannot be decrypted."""
        body = self._encrypted(subscription, text.encode())
        if tamper:
            body = body[:-1] + bytes([body[-1] ^ 1])
        return await self._post(subscription["endpoint"], body, {"Content-Encoding": "aes128gcm"} | headers, ttl)

    async def send_nothing(self, subscription: dict[str, Any]) -> Answer:
        """Push without a payload."""
        return await self._post(subscription["endpoint"], b"", {}, 600)

    def _encrypted(self, subscription: dict[str, Any], plain: bytes) -> bytes:
        keys = {name: urlsafe_b64decode(value + "==") for name, value in subscription["keys"].items()}
        encrypted: bytes = http_ece.encrypt(
            plain, private_key=ec.generate_private_key(ec.SECP256R1()), dh=keys["p256dh"], auth_secret=keys["auth"]
        )
        return encrypted

    async def _post(self, endpoint: str, body: bytes, headers: dict[str, str], ttl: int) -> Answer:
        parts = urlsplit(endpoint)
        # A Chromium's address names Google's host, which this sender knows to mean the Clarion of its own network.
        url = self._server_url + parts.path
        headers = {"TTL": str(ttl), "Authorization": self._signed(f"{parts.scheme}://{parts.netloc}")} | headers
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=body, headers=headers, ssl=self._trust) as answer,
        ):
            return Answer(answer.status, await answer.text())

    def _signed(self, audience: str) -> str:
        claims = {"aud": audience, "exp": int(time.time()) + 3600, "sub": "mailto:site@example.com"}
        return f"vapid t={jwt.encode(claims, self._private, 'ES256')},k={self.public_key}"


@asynccontextmanager
async def open_site(server_url: str, trust: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """The website, on a port of its own of localhost, which browsers take for secure."""
    site = Site(server_url, trust)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    async with TestServer(app) as server:
        site.origin = f"http://localhost:{server.port}"
        yield site
