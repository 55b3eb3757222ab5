"""desktop-notifier on Linux, with what it leaves out: replacing in place, quick answers, and taps after a restart.

This class reaches into its base class, so the version of desktop-notifier is bounded in pyproject.toml.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from dbus_fast.aio import MessageBus
from desktop_notifier import Notification
from desktop_notifier.backends.dbus import DEFAULT_ACTION_KEY, NOTIFICATION_CLOSED_DISMISSED, DBusDesktopNotifier

_SERVICE = "org.freedesktop.Notifications"
_BUS = "org.freedesktop.DBus"


class LinuxNotifier(DBusDesktopNotifier):
    """One connection to the notification service (Desktop Notifications Specification 1.2).

    The service numbers notifications, anew each time it starts. A handle is that number with the name of the bus and of
    the service on it, which never come again: so a tap on somebody else's notification is never taken for one on ours.
    """

    def __init__(self, app_name: str, earlier: Mapping[str, str]) -> None:
        """`earlier`: handles, by identifier, of what an earlier process showed."""
        super().__init__(app_name)
        self._earlier = earlier
        self._service = ""
        self._replaces = 0

    def handle(self, identifier: str) -> str | None:
        """What an on-screen notification can be found again by."""
        number = self._platform_to_interface_notification_identifier.inverse.get(identifier)
        return None if number is None else f"{self._service} {number}"

    async def _send(self, notification: Notification) -> None:
        """With `replaces_id`, so that there is no moment with both or none on the screen."""
        self._replaces = self._platform_to_interface_notification_identifier.inverse.get(notification.identifier, 0)
        await super()._send(notification)

    async def _clear(self, identifier: str) -> None:
        """What is not there any more needs no closing."""
        if identifier in self._platform_to_interface_notification_identifier.inverse:
            await super()._clear(identifier)

    async def _init_dbus(self) -> Any:
        try:
            interface: Any = await super()._init_dbus()
            await self._know_the_service(self.bus)
        except BaseException:
            self.interface = None
            self._leave()
            raise
        notify = interface.call_notify

        async def notify_in_place(app_name: str, _none: int, *rest: Any) -> int:
            return int(await notify(app_name, self._replaces, *rest))

        interface.call_notify = notify_in_place
        return interface

    async def _know_the_service(self, bus: MessageBus) -> None:
        daemon: Any = bus.get_proxy_object(_BUS, "/org/freedesktop/DBus", await bus.introspect(_BUS, "/"))
        daemon = daemon.get_interface(_BUS)
        daemon.on_name_owner_changed(self._on_owner)
        guid = await daemon.call_get_id()

        def name(owner: str) -> str:
            return f"{guid} {owner}"

        self._name = name
        self._service = name(await daemon.call_get_name_owner(_SERVICE))
        for identifier, handle in self._earlier.items():
            service, _, number = handle.rpartition(" ")
            if service == self._service:
                self._platform_to_interface_notification_identifier.forceput(int(number), identifier)

    def _on_owner(self, name: str, _old: str, new: str) -> None:
        """Another service does not know our notifications, and will use their numbers for others."""
        if name == _SERVICE:
            self._service = self._name(new)
            self._platform_to_interface_notification_identifier.clear()

    def _leave(self) -> None:
        bus = getattr(self, "bus", None)
        if bus is not None:
            bus.disconnect()

    # An answer may stand right behind the reply to `Notify`, in the same read. A turn later the reply is known.

    def _on_action(self, nid: int, action_key: str) -> None:
        asyncio.get_running_loop().call_soon(self._acted, nid, action_key)

    def _on_closed(self, nid: int, reason: int) -> None:
        asyncio.get_running_loop().call_soon(self._closed, nid, reason)

    def _acted(self, nid: int, action_key: str) -> None:
        identifier = self._gone(nid)
        if identifier is None:
            return
        if action_key == DEFAULT_ACTION_KEY:
            self.handle_clicked(identifier)
        else:
            self.handle_button(identifier, action_key)

    def _closed(self, nid: int, reason: int) -> None:
        identifier = self._gone(nid)
        if identifier is not None and reason == NOTIFICATION_CLOSED_DISMISSED:
            self.handle_dismissed(identifier)

    def _gone(self, nid: int) -> str | None:
        """Whose number it was; None when it was not ours."""
        identifier = self._platform_to_interface_notification_identifier.pop(nid, None)
        if identifier is not None:
            self._clear_notification_from_cache(identifier)
        return identifier
