"""The harness proves itself: a real Firefox, a push service of a few lines, a worker, a notification, a tap."""

import asyncio
import json
import os
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import http_ece  # type: ignore[import-untyped]  # ships no types
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec
from harness import BrowserError, Desktop, Firefox, require

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>Shop</title>
<button onclick="Notification.requestPermission().then(answer => { window.answer = answer; })">Ask</button>
<script>
  window.subscribe = async () => {
    await navigator.serviceWorker.register("/worker.js");
    const { pushManager } = await navigator.serviceWorker.ready;
    return (await pushManager.subscribe({ userVisibleOnly: true })).toJSON();
  };
</script>"""

WORKER = """
self.addEventListener("push", event => {
  const { title, ...options } = event.data.json();
  event.waitUntil(self.registration.showNotification(title, options));
});
self.addEventListener("notificationclick", event => {
  event.waitUntil(clients.openWindow(`/opened/${event.action || "body"}`));
});
self.addEventListener("notificationclose", event => {
  event.waitUntil(fetch(`/closed/${event.notification.title}`));
});
"""


class Shop:
    """A page, its worker, and the push service that Firefox is told to use (protocols.md §1, as far as needed)."""

    def __init__(self) -> None:
        self.origin = ""
        self.push_url = ""
        self._device: web.WebSocketResponse | None = None
        self._heard: dict[str, asyncio.Queue[dict[str, Any]]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        self._queue(request.path).put_nowait({})
        if request.path == "/worker.js":
            return web.Response(text=WORKER, content_type="text/javascript")
        return web.Response(text=PAGE, content_type="text/html")

    async def device(self, request: web.Request) -> web.WebSocketResponse:
        self._device = socket = web.WebSocketResponse(protocols=["push-notification"])
        await socket.prepare(request)
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                message = json.loads(frame.data)
                await self._reply(socket, message)
                self._queue(message.get("messageType", "ping")).put_nowait(message)
        return socket

    async def hears(self, kind: str) -> dict[str, Any]:
        """Wait for the device's next message of a kind, or its next request for a path."""
        return await asyncio.wait_for(self._queue(kind).get(), 20)

    async def push(self, subscription: dict[str, Any], message: dict[str, Any]) -> None:
        keys = {name: urlsafe_b64decode(value + "==") for name, value in subscription["keys"].items()}
        body = http_ece.encrypt(
            json.dumps(message).encode(),
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=keys["p256dh"],
            auth_secret=keys["auth"],
        )
        assert self._device
        await self._device.send_json(
            {
                "messageType": "notification",
                "channelID": subscription["endpoint"].rpartition("/")[2],
                "version": uuid.uuid4().hex,
                "data": urlsafe_b64encode(body).decode().rstrip("="),
                "headers": {"encoding": "aes128gcm"},
            }
        )

    async def _reply(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        match message:
            case {"messageType": "hello"}:
                uaid = message.get("uaid") or uuid.uuid4().hex
                await socket.send_json(
                    {"messageType": "hello", "status": 200, "uaid": uaid, "use_webpush": True, "broadcasts": {}}
                )
            case {"messageType": "register" | "unregister" as kind, "channelID": channel}:
                endpoint = f"{self.origin}/wpush/{channel}"
                await socket.send_json(
                    {"messageType": kind, "status": 200, "channelID": channel, "pushEndpoint": endpoint}
                )

    def _queue(self, kind: str) -> asyncio.Queue[dict[str, Any]]:
        return self._heard.setdefault(kind, asyncio.Queue())


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_get("/push", shop.device)
    app.router.add_get("/{page:.*}", shop.answer)
    async with TestServer(app) as server:
        shop.origin = str(server.make_url("")).rstrip("/")
        shop.push_url = str(server.make_url("/push").with_scheme("ws"))
        yield shop


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    require("dbus-daemon")
    async with Desktop() as desktop:
        yield desktop


@pytest.fixture
async def firefox(shop: Shop, desktop: Desktop, tmp_path: Path) -> AsyncIterator[Firefox]:
    require("firefox-esr", "libnotify")
    async with Firefox(tmp_path / "profile", shop.push_url, desktop.address) as firefox:
        yield firefox


async def test_a_push_is_shown_with_the_page_closed_and_its_tap_comes_back(
    shop: Shop, desktop: Desktop, firefox: Firefox
) -> None:
    await firefox.goto(shop.origin)
    await firefox.click("button")
    await firefox.answer_prompt(allow=True)
    assert await firefox.wait_for("window.answer") == "granted"
    subscription = await firefox.run("return await subscribe()")
    await firefox.close_tab()
    assert await firefox.windows() == ["about:blank"]

    track = {"action": "track", "title": "Track"}
    await shop.push(subscription, {"title": "On its way", "body": "Order 1", "tag": "order-1", "actions": [track]})
    shown = await desktop.next_notification()
    assert (shown.summary, shown.body) == ("On its way", "Order 1")
    assert (await shop.hears("ack"))["updates"][0]["code"] == 100
    desktop.click(shown, "track")
    assert await firefox.switch_to("/opened/track") == f"{shop.origin}/opened/track"
    assert not desktop.on_screen

    greeted = await shop.hears("hello")
    assert "uaid" not in greeted
    await firefox.restart()
    assert (await shop.hears("hello"))["uaid"]
    await shop.push(subscription, {"title": "Delivered", "body": "Order 1"})
    desktop.click(await desktop.next_notification())
    assert await firefox.switch_to("/opened/body")


async def test_a_person_can_block_and_revoke(shop: Shop, firefox: Firefox) -> None:
    await firefox.goto(shop.origin)
    await firefox.click("button")
    await firefox.answer_prompt(allow=False)
    assert await firefox.wait_for("window.answer") == "denied"
    with pytest.raises(BrowserError, match="NotAllowedError"):
        await firefox.run("return await subscribe()")

    await firefox.permission(shop.origin, "granted")
    await firefox.run("return await subscribe()")
    await firefox.revoke_permission(shop.origin)
    assert (await shop.hears("unregister"))["code"] == 202
    assert await firefox.run("return Notification.permission") == "default"


async def test_what_leaves_the_screen_is_told_to_the_worker(shop: Shop, desktop: Desktop, firefox: Firefox) -> None:
    await firefox.goto(shop.origin)
    await firefox.permission(shop.origin, "granted")
    subscription = await firefox.run("return await subscribe()")
    await shop.push(subscription, {"title": "first", "tag": "order"})
    first = await desktop.next_notification()
    await shop.push(subscription, {"title": "second", "tag": "order"})
    second = await desktop.next_notification()
    assert list(desktop.on_screen.values()) == [second]
    with pytest.raises(AssertionError, match="no longer on the screen"):
        desktop.click(first)
    with pytest.raises(AssertionError, match="no action 'track'"):
        desktop.click(second, "track")
    desktop.dismiss(second)
    await shop.hears("/closed/second")
    with pytest.raises(AssertionError, match="no new notification"):
        await desktop.next_notification(within=0.1)


async def test_a_browser_that_does_not_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "firefox-esr"
    program.write_text("#!/bin/sh\necho no space on device >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BrowserError, match="ended by itself with code 3") as failure:
        await Firefox(tmp_path / "profile", "ws://127.0.0.1:1/").start()
    assert "no space on device" in failure.value.__notes__[0]


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_program_skips_on_a_laptop_and_fails_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="not installed: no-such-browser, libnosuch"):
        require("sh", "libc", "no-such-browser", "libnosuch")
