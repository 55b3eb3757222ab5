"""What a Linux desktop tells over D-Bus, beyond showing notifications: what it draws, and whether it is locked."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.constants import BusType

_PATIENCE_S = 3.0


async def capabilities() -> list[str] | None:
    """What the notification service can do (Desktop Notifications Specification, "GetCapabilities"); None without one.

    With `body-markup`, `<` and `&` in a body must be escaped.
    """
    name = "org.freedesktop.Notifications"
    told = await _ask("SESSION", name, "/org/freedesktop/Notifications", name, "GetCapabilities", start=True)
    return told if isinstance(told, list) else None


async def locked() -> bool | None:
    """What the screen saver says, KDE's or GNOME's, else systemd-logind; None when none of them answers."""
    for name, path in (
        ("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"),
        ("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"),
    ):
        told = await _ask("SESSION", name, path, name, "GetActive")
        if isinstance(told, bool):
            return told
    return await _hinted()


async def _hinted() -> bool | None:
    """`LockedHint` of this session (org.freedesktop.login1(5)); desktops that set none leave it false for ever."""
    session = os.environ.get("XDG_SESSION_ID")
    if session is None:
        return None
    name, path = "org.freedesktop.login1", "/org/freedesktop/login1"
    found = await _ask("SYSTEM", name, path, f"{name}.Manager", "GetSession", "s", [session])
    if not isinstance(found, str):
        return None
    arguments = [f"{name}.Session", "LockedHint"]
    told = await _ask("SYSTEM", name, found, "org.freedesktop.DBus.Properties", "Get", "ss", arguments)
    # Only a yes is proof: a desktop that does not tell logind looks like one that is not locked.
    return True if told is not None and told.value is True else None


async def _ask(
    bus: str,
    name: str,
    path: str,
    interface: str,
    member: str,
    signature: str = "",
    body: list[Any] | None = None,
    *,
    start: bool = False,
) -> Any:
    """The first value of the answer; None without one. `start`: whether the service may be started for it."""
    from dbus_fast import BusType, Message, MessageFlag  # noqa: PLC0415 - an extra, and on Linux only

    message = Message(
        destination=name,
        path=path,
        interface=interface,
        member=member,
        signature=signature,
        body=body or [],
        flags=MessageFlag.NONE if start else MessageFlag.NO_AUTOSTART,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await _call(BusType[bus], message)
    except Exception:  # noqa: BLE001 - a bus that is not there fails in many ways, and all of them mean: unknown
        return None


async def _call(bus_type: BusType, message: Message) -> Any:
    from dbus_fast import MessageType  # noqa: PLC0415 - as above
    from dbus_fast.aio import MessageBus  # noqa: PLC0415 - as above

    bus = await MessageBus(bus_type=bus_type).connect()
    try:
        answer = await bus.call(message)
    finally:
        bus.disconnect()
    if answer is None or answer.message_type is not MessageType.METHOD_RETURN or not answer.body:
        return None
    return answer.body[0]
