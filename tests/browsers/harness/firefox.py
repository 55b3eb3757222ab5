"""A real, headless Firefox: the device at the far end of the journey, which asks, subscribes, shows and is tapped."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from marionette_driver.by import By  # type: ignore[import-untyped]  # ships no types
from marionette_driver.errors import MarionetteException  # type: ignore[import-untyped]  # ships no types
from marionette_driver.marionette import Marionette  # type: ignore[import-untyped]  # ships no types

from harness.browser import Browser, BrowserError, Permission

T = TypeVar("T")
Pref = bool | int | str

_START_TIMEOUT_S = 60
_QUIT_TIMEOUT_S = 30
_COMMAND_TIMEOUT_S = 120

_PREFS: dict[str, Pref] = {
    # Marionette on a port of the system's choice; its own defaults would turn `dom.push.connection.enabled` off.
    "marionette.port": 0,
    "remote.prefs.recommended": False,
    # When the push service was away, come back soon.
    "dom.push.retryBaseInterval": 200,
    # A prompt takes its answer as soon as it shows: the delay guards people, not tests.
    "security.notification_enable_delay": 0,
    # A worker may open a page after a tap: within a second, as it is, which a busy machine may need for itself.
    "dom.webnotifications.disable_open_click_delay": 60_000,
    # What pages and workers log and throw goes to the browser's output.
    "browser.dom.window.dump.enabled": True,
    "devtools.console.stdout.content": True,
    # One empty window at every start, also after a kill.
    "browser.startup.page": 0,
    "browser.startup.homepage": "about:blank",
    "browser.newtabpage.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.tabs.warnOnClose": False,
    "toolkit.startup.max_resumed_crashes": -1,
    # Nothing leaves the machine: every other host is behind a proxy that does not exist. Loopback goes past it.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.failover_direct": False,
    "network.proxy.allow_bypass": False,
    # No processor time for what is not under test.
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.newtabpage.activity-stream.feeds.system.topsites": False,
    "browser.newtabpage.activity-stream.feeds.system.topstories": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
}

# Turns the given statements into the body of an async function, and its end into an answer that JSON can carry.
_AS_ANSWER = """
const answer = arguments[arguments.length - 1];
(async function () {
%s
}).apply(null, Array.prototype.slice.call(arguments, 0, -1)).then(
  value => answer({ value: value === undefined ? null : value }),
  error => answer({ error: String(error), stack: String((error && error.stack) || "") }),
);
"""

_PREFER_COLOURS = "Services.prefs.setIntPref('layout.css.prefers-color-scheme.content-override', arguments[0]);"

_TAB_URLS = """
return [...Services.wm.getEnumerator("navigator:browser")]
  .flatMap(window => window.gBrowser.tabs.map(tab => tab.linkedBrowser.currentURI.spec));
"""

_STOP_WORKERS = """
const manager = Cc["@mozilla.org/serviceworkers/manager;1"].getService(Ci.nsIServiceWorkerManager);
const all = manager.getAllRegistrations();
const workers = [];
for (let place = 0; place < all.length; place++) {
  workers.push(all.queryElementAt(place, Ci.nsIServiceWorkerRegistrationInfo).activeWorker);
}
return Promise.all(workers.map(worker => worker && worker.terminateWorker())).then(() => null);
"""

_SET_PERMISSION = """
const [origin, state] = arguments;
const principal = Services.scriptSecurityManager.createContentPrincipalFromOrigin(origin);
const { ALLOW_ACTION, DENY_ACTION } = Services.perms;
if (state === "default") Services.perms.removeFromPrincipal(principal, "desktop-notification");
else Services.perms.addFromPrincipal(
  principal, "desktop-notification", state === "granted" ? ALLOW_ACTION : DENY_ACTION);
"""

_PRESS_PROMPT = """
const { panel } = Services.wm.getMostRecentWindow("navigator:browser").PopupNotifications;
const prompt = panel.firstElementChild;
if (panel.state !== "open" || !prompt || prompt.getAttribute("popupid") !== "web-notifications") return false;
(arguments[0] ? prompt.button : prompt.secondaryButton).click();
return true;
"""


class Firefox(Browser):
    """`async with Firefox(profile, push_url, desktop.address) as firefox`; see `Browser`.

    What a service worker throws in an event is not in the log, only what it logs: Firefox tells the push service alone,
    with nack 301 (exception) or 302 (rejection).
    """

    def __init__(
        self,
        profile_dir: Path,
        push_url: str,
        dbus_address: str | None = None,
        prefs: Mapping[str, Pref] | None = None,
        authority: Path | None = None,
        policies: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe the browser; `start` starts it.

        Args:
            profile_dir: what it remembers from one start to the next, and its log; made if missing.
            push_url: the device side of the push service, `ws://…/` or `wss://…/`.
            dbus_address: the session bus of a `Desktop`; without one Firefox draws notifications itself, unseen.
            prefs: beside, or in place of, the harness's own.
            authority: a certificate in PEM whose signatures it trusts; needs certutil.
            policies: what an administrator decided for this browser (`policies.json`).
        """
        self._policies = policies
        self._profile = profile_dir
        self._dbus_address = dbus_address
        self._authority = authority
        self._prefs = _PREFS | {
            "dom.push.serverURL": push_url,
            # For testing only: a Firefox of everyday takes wss alone, also on loopback.
            "dom.push.testing.allowInsecureServerURL": push_url.startswith("ws://"),
            "alerts.useSystemBackend": dbus_address is not None,
            **(prefs or {}),
        }
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._marionette: Any = None
        # Marionette has one connection and blocks: a thread of its own keeps calls in order and the test's loop free.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="marionette")

    # Its life

    async def start(self) -> None:
        if self._process:
            raise BrowserError("Firefox runs already")
        try:
            self._launch()
            port = await self._until(self._marionette_port, "Firefox to listen for commands", _START_TIMEOUT_S)
            self._marionette = Marionette(port=port, socket_timeout=_COMMAND_TIMEOUT_S, startup_timeout=10)
            await self._call(lambda marionette: marionette.start_session())
        except BaseException as error:
            await self.kill()
            error.add_note(self.log_tail())
            raise

    async def stop(self) -> None:
        process = self._running()
        try:
            # Marionette's own quit() serves only a process that it started.
            await self._call(lambda marionette: marionette._request_in_app_shutdown())
            await asyncio.to_thread(process.wait, _QUIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise BrowserError(f"Firefox had not quit after {_QUIT_TIMEOUT_S} s") from None
        finally:
            await self.kill()

    async def kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)
        if self._marionette:  # through its thread: a command that waits there fails first
            await asyncio.wrap_future(self._thread.submit(self._marionette.delete_session, send_request=False))
        if self._home:
            self._home.cleanup()
        self._process = self._marionette = self._home = None

    def log(self) -> str:
        """What the browser, its pages and its workers printed in all starts on this profile."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    # Its tabs

    async def goto(self, url: str) -> None:
        await self._call(lambda marionette: marionette.navigate(url))

    async def windows(self) -> list[str]:
        """The addresses of all open tabs, in the order of the tab bar."""
        urls: list[str] = await self._run_as_browser(_TAB_URLS)
        return urls

    async def new_tab(self, url: str = "about:blank") -> None:
        """Open a page in a new tab and make that the current one."""
        await self._call(lambda marionette: marionette.switch_to_window(marionette.open(type="tab")["handle"]))
        await self.goto(url)

    async def close_tab(self) -> None:
        def close(marionette: Marionette) -> None:
            current = marionette.current_window_handle
            others = [handle for handle in marionette.window_handles if handle != current]
            other = others[0] if others else marionette.open(type="tab")["handle"]
            marionette.close()
            marionette.switch_to_window(other)

        await self._call(close)

    async def switch_to(self, url_part: str, within: float = 30) -> str:
        def find(marionette: Marionette) -> str | None:
            for handle in marionette.window_handles:
                marionette.switch_to_window(handle, focus=False)  # looking must not change what pages see
                if url_part in (url := str(marionette.get_url())):
                    marionette.switch_to_window(handle)
                    return url
            return None

        return await self._until(partial(self._call, find), f"a tab at {url_part}", within)

    async def screenshot(self, path: Path) -> None:
        """Write the current page in its full length as PNG."""
        await self._call(lambda marionette: path.write_bytes(marionette.screenshot(format="binary")))

    # Its pages

    async def run(self, script: str, *arguments: Any, within: float = 30) -> Any:
        # Sandbox None: the page's own globals instead of a clean view of them.
        answer = await self._call(
            lambda marionette: marionette.execute_async_script(
                _AS_ANSWER % script, script_args=arguments, sandbox=None, script_timeout=round(within * 1000)
            )
        )
        if answer is None:  # the page went away meanwhile: nothing is known of it yet
            return None
        if "error" in answer:
            raise BrowserError(f"{answer['error']}\nin {script.strip()}\n{answer['stack']}")
        return answer["value"]

    async def click(self, css: str, within: float = 30) -> None:
        *hosts, target = css.split(" >>> ")

        def click(marionette: Marionette) -> bool:
            scope = marionette
            for host in hosts:
                scope = scope.find_element(By.CSS_SELECTOR, host).shadow_root
            scope.find_element(By.CSS_SELECTOR, target).click()
            return True

        await self._until(partial(self._call, click), f"{css} to be clickable", within)

    async def press(self, css: str, keys: str) -> None:
        """Put the focus on an element, as the keyboard would, and press keys there."""
        await self._call(lambda marionette: marionette.find_element(By.CSS_SELECTOR, css).send_keys(keys))

    async def look(self, *, dark: bool, width: int, height: int) -> None:
        """The window's size, as near as the browser allows, and the colours that the person's system asks for."""
        await self._call(lambda marionette: marionette.set_window_rect(width=width, height=height))
        await self._run_as_browser(_PREFER_COLOURS, 0 if dark else 1)

    # What its person answers

    async def answer_prompt(self, *, allow: bool, within: float = 30) -> None:
        """Wait for the browser's own question about notifications and press Allow or Block."""
        press = partial(self._run_as_browser, _PRESS_PROMPT, allow)
        await self._until(press, "the browser's permission prompt", within)

    async def stop_workers(self) -> None:
        await self._run_as_browser(_STOP_WORKERS)

    async def permission(self, origin: str, state: Permission) -> None:
        await self._run_as_browser(_SET_PERMISSION, origin, state)

    async def revoke_permission(self, origin: str) -> None:
        """Take the permission back: Firefox ends the subscription and unregisters it with code 202."""
        await self.permission(origin, "default")

    # How it is done

    @property
    def _log_path(self) -> Path:
        return self._profile / "browser.log"

    def _launch(self) -> None:
        self._profile.mkdir(parents=True, exist_ok=True)
        (self._profile / "MarionetteActivePort").unlink(missing_ok=True)  # of an earlier start
        if self._authority:
            self._trust(self._authority)
        prefs = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in self._prefs.items())
        (self._profile / "user.js").write_text("".join(prefs))
        self._home = tempfile.TemporaryDirectory(prefix="clarion-firefox-", ignore_cleanup_errors=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self._home.name,
            "TMPDIR": self._home.name,
            "XDG_RUNTIME_DIR": self._home.name,
            "LANG": "C.UTF-8",
            "DBUS_SESSION_BUS_ADDRESS": self._dbus_address or "disabled:",
            "MOZ_CRASHREPORTER_DISABLE": "1",
            "MOZ_DISABLE_NONLOCAL_CONNECTIONS": "1",  # only so does Firefox take a dummy as its settings server
        }
        arguments = ("--headless", "--no-remote", "--marionette", "-remote-allow-system-access", "--profile")
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                (self._program(), *arguments, self._profile),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a process group of its own, for kill
            )

    def _trust(self, authority: Path) -> None:
        """Into the profile's NSS database, which is made if missing."""
        add = ("certutil", "-d", f"sql:{self._profile}", "-A", "-n", "test authority", "-t", "C,,", "-i", authority)
        subprocess.run(add, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    def _program(self) -> str | Path:
        """With policies an installation of its own: they are read beside the program, or for the whole machine."""
        installed = shutil.which("firefox-esr")
        if self._policies is None or installed is None:
            return "firefox-esr"
        program, folder = Path(installed).resolve(), self._profile.with_suffix(".installation")
        if not folder.exists():
            folder.mkdir()
            for part in program.parent.iterdir():
                (folder / part.name).symlink_to(part)
            for own in (program.name, "distribution"):
                (folder / own).unlink(missing_ok=True)
            shutil.copy(program, folder)  # it finds everything else where it is itself
            (folder / "distribution").mkdir()
        (folder / "distribution" / "policies.json").write_text(json.dumps({"policies": self._policies}))
        return folder / program.name

    async def _marionette_port(self) -> int | None:
        with suppress(FileNotFoundError, ValueError):  # ValueError: the file is made, but not written yet
            return int((self._profile / "MarionetteActivePort").read_text())
        return None

    def _running(self) -> subprocess.Popen[bytes]:
        if not self._process:
            raise BrowserError("Firefox does not run: call start() first")
        if self._process.poll() is not None:
            raise BrowserError(f"Firefox ended by itself with code {self._process.returncode}")
        return self._process

    async def _call(self, command: Callable[[Any], T]) -> T:
        """Let a blocking command run on Marionette, in its thread."""
        self._running()
        try:
            return await asyncio.wrap_future(self._thread.submit(command, self._marionette))
        except MarionetteException as error:
            raise BrowserError(f"{type(error).__name__}: {error.message}") from None
        except OSError as error:
            raise BrowserError(f"the connection to Firefox broke: {error}") from error

    async def _run_as_browser(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function with the browser's own rights, in its window instead of a page."""

        def run(marionette: Marionette) -> Any:
            with marionette.using_context("chrome"):
                return marionette.execute_script(script, script_args=arguments, sandbox="system")

        return await self._call(run)
