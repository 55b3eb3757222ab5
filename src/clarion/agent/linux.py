"""desktop-notifier on Linux, with what it leaves out: a newer notification in the place of an older one, quick answers.

This class reaches into its base class, so the version of desktop-notifier is bounded in pyproject.toml.
"""

import asyncio
from typing import Any

from desktop_notifier import Notification
from desktop_notifier.backends.dbus import DBusDesktopNotifier


class LinuxNotifier(DBusDesktopNotifier):
    """One connection to the notification service (Desktop Notifications Specification 1.2)."""

    _replaces = 0

    async def _send(self, notification: Notification) -> None:
        """With `replaces_id`, so that there is no moment with both or none on the screen."""
        self._replaces = self._platform_to_interface_notification_identifier.inverse.get(notification.identifier, 0)
        await super()._send(notification)

    async def _init_dbus(self) -> Any:
        try:
            interface: Any = await super()._init_dbus()
        except BaseException:
            self.close()
            raise
        notify = interface.call_notify

        async def notify_in_place(app_name: str, _none: int, *rest: Any) -> int:
            return int(await notify(app_name, self._replaces, *rest))

        interface.call_notify = notify_in_place
        return interface

    def close(self) -> None:
        """Leave the bus, if we are on it."""
        bus = getattr(self, "bus", None)
        if bus is not None:
            bus.disconnect()

    # An answer may stand right behind the reply to `Notify`, in the same read. A turn later the reply is known.

    def _on_action(self, nid: int, action_key: str) -> None:
        asyncio.get_running_loop().call_soon(super()._on_action, nid, action_key)

    def _on_closed(self, nid: int, reason: int) -> None:
        asyncio.get_running_loop().call_soon(super()._on_closed, nid, reason)
