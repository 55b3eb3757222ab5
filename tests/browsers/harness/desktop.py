"""The desktop around the browser: a private session bus, and a daemon that records notifications and taps them.

Speaks the Desktop Notifications Specification 1.2 (`org.freedesktop.Notifications`, its methods and signals), so that
a browser cannot tell it from GNOME Shell or dunst.
"""

import asyncio
import itertools
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusDict, DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method, dbus_signal
from dbus_fast.unpack import unpack_variants

_NAME = "org.freedesktop.Notifications"
_PATH = "/org/freedesktop/Notifications"
_START_TIMEOUT_S = 10
_DISMISSED_BY_USER, _CLOSED_BY_CALL = 2, 3  # the reasons of NotificationClosed
_CAPABILITIES = ["actions", "body", "icon-static", "persistence"]

# Our own configuration: the distribution's session.conf would start real services (dconf, portals, at-spi) on demand.
_BUS_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

_Strings = Annotated[list[str], DBusSignature("as")]
_ServerInformation = Annotated[tuple[str, str, str, str], DBusSignature("ssss")]
_IdAndReason = Annotated[tuple[int, int], DBusSignature("uu")]
_IdAndKey = Annotated[tuple[int, str], DBusSignature("us")]


@dataclass(frozen=True, slots=True)
class Notification:
    """One `Notify` call, as the daemon received it."""

    id: int
    app_name: str
    replaces_id: int  # the notification whose place it took; 0 for none
    icon: str
    summary: str
    body: str
    actions: dict[str, str]  # key → label; Firefox's keys are `default` and `<action>-moz`
    hints: dict[str, Any] = field(repr=False)
    expire_ms: int  # -1: as the daemon likes; 0: never
    at: int  # when it came, in milliseconds since the epoch


class Desktop:
    """`async with Desktop() as desktop`: give `desktop.address` to the browser, then await what it shows.

    Lives in the running loop, outlives any number of browsers, and leaves no process and no file behind.
    """

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        """Every `Notify` ever received, oldest first."""
        self.on_screen: dict[int, Notification] = {}
        """By id, what a person would see now: not clicked, dismissed, withdrawn or replaced."""
        self.address = ""
        """The value for `DBUS_SESSION_BUS_ADDRESS`."""
        self._unread: asyncio.Queue[Notification] = asyncio.Queue()
        self._service = _NotificationService(self)
        self._cleanup = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the bus and take the daemon's name on it.

        Raises:
            RuntimeError: the bus did not come up; the text has what `dbus-daemon` said.
        """
        async with AsyncExitStack() as cleanup:
            folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="clarion-desktop-"))
            self.address = f"unix:path={folder}/bus"
            await self._start_bus(_write_config(Path(folder), self.address), cleanup)
            await self._take_name(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._cleanup.aclose()

    async def next_notification(self, within: float = 30) -> Notification:
        """Wait up to `within` seconds for the next notification that no earlier call has returned.

        Raises:
            AssertionError: none came; the text has those that came before.
        """
        try:
            return await asyncio.wait_for(self._unread.get(), within)
        except TimeoutError:
            earlier = "".join(f"\n  {notification}" for notification in self.notifications) or " none"
            raise AssertionError(f"no new notification within {within} s; earlier ones:{earlier}") from None

    def click(self, notification: Notification, action: str = "default") -> None:
        """Tap the notification, or its button of that name (the page's own name or the daemon's key)."""
        key = next((key for key in (action, f"{action}-moz") if key in notification.actions), None)
        # Chromium numbers its buttons: there a button is found by what is written on it.
        labels = {label.lower(): key for key, label in notification.actions.items()}
        key = key or labels.get(action.lower())
        if key is None:
            raise AssertionError(f"{notification} has no action {action!r}")
        self._expect_on_screen(notification)
        self._service.action_invoked(notification.id, key)
        if not notification.hints.get("resident"):  # as every daemon does
            self.take_away(notification.id, _DISMISSED_BY_USER)

    def dismiss(self, notification: Notification) -> None:
        """Swipe the notification away."""
        self._expect_on_screen(notification)
        self.take_away(notification.id, _DISMISSED_BY_USER)

    def show(self, notification: Notification) -> None:
        """Record what the browser asked to show."""
        self.notifications.append(notification)
        self.on_screen[notification.id] = notification
        self._unread.put_nowait(notification)

    def take_away(self, notification_id: int, reason: int) -> None:
        """Remove from the screen and tell the browser; nothing happens when it is not there."""
        if self.on_screen.pop(notification_id, None):
            self._service.notification_closed(notification_id, reason)

    def _expect_on_screen(self, notification: Notification) -> None:
        if self.on_screen.get(notification.id) is not notification:
            raise AssertionError(f"{notification} is no longer on the screen")

    async def _start_bus(self, config: Path, cleanup: AsyncExitStack) -> None:
        daemon = await asyncio.create_subprocess_exec(
            "dbus-daemon",
            *(f"--config-file={config}", "--print-address", "--nofork", "--nopidfile"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        cleanup.push_async_callback(_end, daemon)
        assert daemon.stdout
        assert daemon.stderr
        address = await asyncio.wait_for(daemon.stdout.readline(), _START_TIMEOUT_S)
        if not address:  # it prints its address once it listens, and ended instead
            raise RuntimeError(f"dbus-daemon did not start: {(await daemon.stderr.read()).decode().strip()}")

    async def _take_name(self, cleanup: AsyncExitStack) -> None:
        bus = await MessageBus(self.address).connect()
        cleanup.callback(bus.disconnect)
        bus.export(_PATH, self._service)
        await bus.request_name(_NAME)


def _write_config(folder: Path, address: str) -> Path:
    path = folder / "bus.conf"
    path.write_text(_BUS_CONFIG.format(address=address))
    return path


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


class _NotificationService(ServiceInterface):
    """The daemon's face on the bus."""

    def __init__(self, desktop: Desktop) -> None:
        super().__init__(_NAME)
        self._desktop = desktop
        self._ids = itertools.count(1)

    @dbus_method("Notify")
    def notify(
        self,
        app_name: DBusStr,
        replaces_id: DBusUInt32,
        app_icon: DBusStr,
        summary: DBusStr,
        body: DBusStr,
        actions: _Strings,
        hints: DBusDict,
        expire_timeout: DBusInt32,
    ) -> DBusUInt32:
        notification = Notification(
            id=replaces_id or next(self._ids),  # a replacement keeps the id
            app_name=app_name,
            replaces_id=replaces_id,
            icon=app_icon,
            summary=summary,
            body=body,
            actions=dict(zip(actions[::2], actions[1::2], strict=True)),
            hints=unpack_variants(hints),
            expire_ms=expire_timeout,
            at=time.time_ns() // 1_000_000,
        )
        self._desktop.show(notification)
        return notification.id

    @dbus_method("CloseNotification")
    def close_notification(self, notification_id: DBusUInt32) -> None:
        self._desktop.take_away(notification_id, _CLOSED_BY_CALL)

    @dbus_method("GetCapabilities")
    def get_capabilities(self) -> _Strings:
        return _CAPABILITIES

    @dbus_method("GetServerInformation")
    def get_server_information(self) -> _ServerInformation:
        return "clarion-test-desktop", "clarion", "1", "1.2"

    @dbus_signal("NotificationClosed")
    def notification_closed(self, notification_id: int, reason: int) -> _IdAndReason:
        return notification_id, reason

    @dbus_signal("ActionInvoked")
    def action_invoked(self, notification_id: int, key: str) -> _IdAndKey:
        return notification_id, key
