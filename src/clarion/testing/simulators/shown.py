"""What devices would have shown: every accepted message counted, by the key under which a device replaces it."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from clarion.testing.simulators.journal import Journal

KEEP: Final = 1_000
"""Messages whose headers and payload are kept, the newest ones."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted message.

    `key` is under what a device shows one notification only (APNs collapse id, Android tag); None stands alone.
    `visible` is false for what a device shows nothing of. `slot` is under what the service keeps one message for a
    device that is off; None: it keeps none. `at` is in milliseconds since the epoch.
    """

    token: str
    id: str
    key: str | None
    visible: bool
    slot: str | None
    at: int
    headers: dict[str, str] = {}
    payload: Any = None


Waiting: TypeAlias = dict[str, Message]
Keep: TypeAlias = Callable[[Waiting, Message], None]


class Device:
    """What one device got. `screen` is how often each key was shown; `plain` counts notifications without a key."""

    __slots__ = ("accepted", "ids", "plain", "screen", "silent", "waiting")

    def __init__(self) -> None:
        self.accepted = 0
        self.ids: Counter[str] = Counter()
        self.screen: Counter[str] = Counter()
        self.plain = 0
        self.silent = 0
        self.waiting: Waiting | None = None

    @property
    def notifications(self) -> int:
        """How many there would be on the screen, if nobody ever touched it."""
        return len(self.screen) + self.plain

    @property
    def duplicates(self) -> int:
        """How many were accepted again under an id that was accepted before."""
        return self.accepted - len(self.ids)

    def show(self, message: Message) -> None:
        """It has arrived."""
        if not message.visible:
            self.silent += 1
        elif message.key is None:
            self.plain += 1
        else:
            self.screen[message.key] += 1

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "accepted": self.accepted,
            "notifications": self.notifications,
            "duplicates": self.duplicates,
            "by_key": dict(self.screen),
            "without_key": self.plain,
            "silent": self.silent,
            "off": self.waiting is not None,
            "waiting": len(self.waiting or ()),
        }


class Shown:
    """All devices, and the newest messages in full. With a journal, counts outlive the process.

    `keep` says what the service keeps of messages for a device that is off.
    """

    def __init__(self, keep: Keep, journal: Journal | None = None, last: int = KEEP) -> None:
        self.accepted = 0
        self.notifications = 0
        """How many there are on all screens together."""
        self.duplicates = 0
        """How many messages were accepted again under an id that the same device had before."""
        self.messages: deque[Message] = deque(maxlen=last)
        self._devices: dict[str, Device] = {}
        self._keep = keep
        self._journal = journal
        if journal is not None:
            for entry in journal.read():
                self._replay(entry)

    @property
    def tokens(self) -> list[str]:
        """Whoever got something, or was switched off."""
        return list(self._devices)

    def on(self, token: str) -> Device:
        """What this device got, which may be nothing."""
        return self._devices.get(token) or Device()

    def accept(self, message: Message) -> None:
        """Count a message. It is in the journal's file only after `write`."""
        self._count(message)
        self.messages.append(message)
        if self._journal is not None:
            row = (message.token, message.id, message.key, message.visible, message.slot, message.at)
            self._journal.add(["accepted", *row])

    def switch_off(self, token: str) -> None:
        """The device is out of reach: messages are accepted, and wait as far as the service keeps them."""
        self._note(["off", token])
        self._device(token).waiting = {}

    def switch_on(self, token: str) -> None:
        """The device is back and shows what was kept."""
        self._note(["on", token])
        device = self._device(token)
        waiting, device.waiting = device.waiting or {}, None
        for message in waiting.values():
            self._arrive(device, message)

    def forget(self) -> None:
        """Begin at zero."""
        self._note(["forgotten"])
        self._devices.clear()
        self.messages.clear()
        self.accepted = self.notifications = self.duplicates = 0

    def write(self) -> None:
        """Hand the journal to the system, so that it outlives this process."""
        if self._journal is not None:
            self._journal.write()

    def _note(self, entry: list[Any]) -> None:
        if self._journal is not None:
            self._journal.add(entry)
            self._journal.write()

    def _count(self, message: Message) -> None:
        device = self._device(message.token)
        self.accepted += 1
        device.accepted += 1
        device.ids[message.id] += 1
        self.duplicates += device.ids[message.id] > 1
        if device.waiting is None:
            self._arrive(device, message)
        elif message.slot is not None:
            self._keep(device.waiting, message)

    def _arrive(self, device: Device, message: Message) -> None:
        before = device.notifications
        device.show(message)
        self.notifications += device.notifications - before

    def _device(self, token: str) -> Device:
        return self._devices.setdefault(token, Device())

    def _replay(self, entry: list[Any]) -> None:
        journal, self._journal = self._journal, None
        match entry:
            case ["accepted", token, id_, key, visible, slot, at]:
                self._count(Message(token=token, id=id_, key=key, visible=visible, slot=slot, at=at))
            case ["off", token]:
                self.switch_off(token)
            case ["on", token]:
                self.switch_on(token)
            case _:
                self.forget()
        self._journal = journal
