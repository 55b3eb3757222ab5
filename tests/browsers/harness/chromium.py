"""A real, headless Chromium, told by three switches that Clarion is its push service.

Driven over the Chrome DevTools Protocol itself: one WebSocket, a dozen commands, no driver to install.
"""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from harness.browser import Browser, BrowserError, Permission

_START_TIMEOUT_S = 60
_QUIT_TIMEOUT_S = 30
_COMMAND_TIMEOUT_S = 60
_BLANK = "about:blank"

_SWITCHES = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--password-store=basic",
    "--enable-logging=stderr",
    "--remote-debugging-port=0",
    # Nothing leaves the machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)

_SETTINGS = {"granted": 1, "denied": 2}

# Where to press to hit an element, if it can be pressed. Arguments: the hosts of shadow trees, and the element.
_PLACE = """
const [hosts, css] = arguments;
const root = hosts.reduce((scope, host) => scope.querySelector(host).shadowRoot, document);
const element = root.querySelector(css);
element.scrollIntoView({ block: "center", behavior: "instant" });
const { x, y, width, height } = element.getBoundingClientRect();
if (!width || element.disabled) return null;
const place = [x + width / 2, y + height / 2];
const hit = root.elementFromPoint(...place);
return element === hit || element.contains(hit) ? place : null;
"""


def gcm_switches(http_url: str, mcs_url: str) -> tuple[str, ...]:
    """What makes an unmodified Chromium a device of the Clarion behind these ports."""
    return (
        f"--gcm-checkin-url={http_url}/gcm/checkin",
        f"--gcm-registration-url={http_url}/gcm/register3",
        f"--gcm-mcs-endpoint={mcs_url}",
    )


class Chromium(Browser):
    """`async with Chromium(profile, gcm_switches(…), desktop.address) as chromium`; see `Browser`."""

    def __init__(
        self,
        profile_dir: Path,
        switches: Sequence[str],
        dbus_address: str | None = None,
        *,
        trusts_anyone: bool = True,
        home: Path | None = None,
    ) -> None:
        """Describe the browser; `start` starts it.

        Args:
            profile_dir: what it remembers from one start to the next, and its log; made if missing.
            switches: beside the harness's own.
            dbus_address: the session bus of a `Desktop`.
            trusts_anyone: whether it takes any certificate.
            home: the home folder, for what the browser looks up there (`.pki/nssdb`); else an empty one.
        """
        self._profile = profile_dir
        self._switches = (*_SWITCHES, *switches, *(["--ignore-certificate-errors"] if trusts_anyone else []))
        self._dbus_address = dbus_address
        self._home = home
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._devtools: _DevTools | None = None
        self._current = ""
        self._permissions: dict[str, Permission] = {}

    # Its life

    async def start(self) -> None:
        if self._process:
            raise BrowserError("Chromium runs already")
        try:
            self._launch()
            address = await self._until(self._address, "Chromium to listen for commands", _START_TIMEOUT_S)
            self._devtools = await _DevTools.connect(address)
            self._current = (await self._until(self._pages, "a first tab", _START_TIMEOUT_S))[0]["targetId"]
        except BaseException as error:
            await self.kill()
            error.add_note(self.log_tail())
            raise

    async def stop(self) -> None:
        process = self._running()
        try:
            await self._browser("Browser.close")
            await asyncio.to_thread(process.wait, _QUIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise BrowserError(f"Chromium had not quit after {_QUIT_TIMEOUT_S} s") from None
        finally:
            await self.kill()

    async def kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)
        if self._devtools:
            await self._devtools.close()
        if self._temporary:
            self._temporary.cleanup()
        self._process = self._devtools = self._temporary = None

    def log(self) -> str:
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    # Its tabs

    async def goto(self, url: str) -> None:
        told = await self._page("Page.navigate", url=url)
        if "errorText" in told:
            raise BrowserError(f"{url}: {told['errorText']}")
        await self.wait_for("document.readyState === 'complete'")

    async def windows(self) -> list[str]:
        return [page["url"] for page in await self._pages()]

    async def close_tab(self) -> None:
        others = [page["targetId"] for page in await self._pages() if page["targetId"] != self._current]
        old = self._current
        self._current = others[0] if others else (await self._browser("Target.createTarget", url=_BLANK))["targetId"]
        await self._browser("Target.closeTarget", targetId=old)

        async def closed() -> bool:
            return old not in [page["targetId"] for page in await self._pages()]

        await self._until(closed, "the tab to close", _COMMAND_TIMEOUT_S)

    async def switch_to(self, url_part: str, within: float = 30) -> str:
        async def find() -> str | None:
            for page in await self._pages():
                if url_part in page["url"]:
                    self._current = page["targetId"]
                    return str(page["url"])
            return None

        return await self._until(find, f"a tab at {url_part}", within)

    # Its pages

    async def run(self, script: str, *arguments: Any, within: float = 30) -> Any:
        expression = f"(async function () {{\n{script}\n}}).apply(null, {json.dumps(arguments)})"
        evaluated = self._page(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        try:
            answer = await asyncio.wait_for(evaluated, within)
        except TimeoutError:
            raise BrowserError(f"not done within {within} s: {script.strip()}") from None
        if thrown := answer.get("exceptionDetails"):
            told = thrown.get("exception", {}).get("description") or thrown["text"]
            raise BrowserError(f"{told}\nin {script.strip()}")
        return answer["result"].get("value")

    async def click(self, css: str, within: float = 30) -> None:
        *hosts, target = css.split(" >>> ")
        x, y = await self._until(partial(self.run, _PLACE, hosts, target), f"{css} to be clickable", within)
        for kind in ("mousePressed", "mouseReleased"):
            await self._page("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def stop_workers(self) -> None:
        await self._page("ServiceWorker.enable")
        await self._page("ServiceWorker.stopAllWorkers")
        await self._page("ServiceWorker.disable")

    async def permission(self, origin: str, state: Permission) -> None:
        """As `Browser`; what DevTools set is forgotten at the end, so it is written into the profile for each start."""
        self._permissions[origin] = state
        setting = "prompt" if state == "default" else state
        await self._browser(
            "Browser.setPermission", permission={"name": "notifications"}, setting=setting, origin=origin
        )

    # How it is done

    @property
    def _log_path(self) -> Path:
        return self._profile / "browser.log"

    def _launch(self) -> None:
        self._profile.mkdir(parents=True, exist_ok=True)
        (self._profile / "DevToolsActivePort").unlink(missing_ok=True)  # of an earlier start
        self._keep_permissions()
        self._temporary = tempfile.TemporaryDirectory(prefix="clarion-chromium-", ignore_cleanup_errors=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home or self._temporary.name),
            "TMPDIR": self._temporary.name,
            "XDG_RUNTIME_DIR": self._temporary.name,
            "LANG": "C.UTF-8",
            "DBUS_SESSION_BUS_ADDRESS": self._dbus_address or "disabled:",
        }
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                ("chromium", *self._switches, f"--user-data-dir={self._profile}", _BLANK),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own, for kill
            )

    def _keep_permissions(self) -> None:
        path = self._profile / "Default" / "Preferences"
        path.parent.mkdir(exist_ok=True)
        preferences = json.loads(path.read_text()) if path.exists() else {}
        scope = preferences
        for name in ("profile", "content_settings", "exceptions", "notifications"):
            scope = scope.setdefault(name, {})
        for origin, state in self._permissions.items():
            scope.pop(f"{origin},*", None)
            if state in _SETTINGS:
                scope[f"{origin},*"] = {"setting": _SETTINGS[state]}
        path.write_text(json.dumps(preferences))

    async def _address(self) -> str | None:
        with suppress(FileNotFoundError, ValueError):  # ValueError: the file is made, but not written yet
            port, path = (self._profile / "DevToolsActivePort").read_text().split("\n")
            return f"ws://127.0.0.1:{port}{path}"
        return None

    def _running(self) -> "subprocess.Popen[bytes]":
        if not self._process:
            raise BrowserError("Chromium does not run: call start() first")
        if self._process.poll() is not None:
            raise BrowserError(f"Chromium ended by itself with code {self._process.returncode}")
        return self._process

    async def _pages(self) -> list[dict[str, Any]]:
        targets = (await self._browser("Target.getTargets"))["targetInfos"]
        return [target for target in targets if target["type"] == "page"]

    async def _browser(self, method: str, **parameters: Any) -> Any:
        self._running()
        assert self._devtools
        return await self._devtools.ask(method, parameters)

    async def _page(self, method: str, **parameters: Any) -> Any:
        self._running()
        assert self._devtools
        return await self._devtools.ask(method, parameters, self._current)


class _DevTools:
    """A connection of the Chrome DevTools Protocol to the browser, with a session for each tab that is asked."""

    def __init__(self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._http = http
        self._socket = socket
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._sessions: dict[str, str] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, address: str) -> "_DevTools":
        http = aiohttp.ClientSession()
        return cls(http, await http.ws_connect(address, max_msg_size=0))

    async def ask(self, method: str, parameters: dict[str, Any], target: str | None = None) -> Any:
        """The result. Raises BrowserError for an error, also when the browser goes."""
        message = {"id": next(self._ids), "method": method, "params": parameters}
        if target is not None:
            message["sessionId"] = await self._session(target)
        answer = self._waiting[message["id"]] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json(message)
            return await asyncio.wait_for(answer, _COMMAND_TIMEOUT_S)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise BrowserError(f"{method}: {error!r}") from error
        finally:
            del self._waiting[message["id"]]

    async def close(self) -> None:
        self._reading.cancel()
        await self._socket.close()
        await self._http.close()

    async def _session(self, target: str) -> str:
        if target not in self._sessions:
            attached = await self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})
            self._sessions[target] = attached["sessionId"]
        return self._sessions[target]

    async def _read(self) -> None:
        async for frame in self._socket:
            message = json.loads(frame.data)
            waiting = self._waiting.get(message.get("id"))
            if waiting is None or waiting.done():
                continue
            if "error" in message:
                waiting.set_exception(BrowserError(str(message["error"])))
            else:
                waiting.set_result(message["result"])
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BrowserError("Chromium has gone"))
