"""FCM: the message that Android shows by itself, with texts for the app beside it (HTTP v1, `projects.messages`)."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from clarion.errors import FieldError
from clarion.journey.payloads.written import CRITICAL, QUIET, SILENT, Draft, Written, given, merged
from clarion.model import Action, DeviceKind, Json, LockScreen
from clarion.wire.payload import MAX_PAYLOAD

_VISIBILITY: Final = {LockScreen.SHOW: "PUBLIC", LockScreen.HIDE_CONTENT: "PRIVATE", LockScreen.HIDE: "SECRET"}
_RESERVED: Final = re.compile(r"from|message_type|google\..*|gcm\.notification\..*")
_FREE: Final = frozenset({"data", "apns", "webpush"})
"""Parts whose names are not FCM's."""
_TARGETS: Final = ("token", "fid", "topic", "condition")
_encode = msgspec.json.Encoder().encode


def draft(written: Written) -> Draft:
    """A notification message; only data, words included, where the caller's `fcm.notification` is null.

    TTL and target are the provider's to add: they are known when it is sent.
    """
    message = written.message
    theirs = _in_camel_case(message.fcm)
    # TTL null, at this place, is what the provider fills in.
    android: Json = {"ttl": None, "priority": "NORMAL" if message.urgency in QUIET else "HIGH"} | given(
        collapseKey=message.collapse_key
    )
    if written.withdraws:
        payload: Json = {"android": android, "data": _withdrawal(written)}  # only the app can take it away
        return Draft(payload, MAX_PAYLOAD[DeviceKind.FCM] + _uncounted(payload))
    words = written.words
    shown = given(title=words.title, body=words.body, image=words.image)
    ours: Json = {"android": android}
    if "notification" in theirs and theirs["notification"] is None:
        ours["data"] = _data(written) | {f"clarion.{name}": text for name, text in shown.items()}
    else:
        android["notification"] = _notification(written)
        ours |= {"notification": shown, "data": _data(written)}
    payload = merged(ours, theirs)
    return Draft(payload, MAX_PAYLOAD[DeviceKind.FCM] + _uncounted(payload))


def _notification(written: Written) -> Json:
    message = written.message
    # The first number is how long it waits before it begins.
    pattern = [f"{ms / 1000:g}s" for ms in (0, *(message.vibrate or ()))] if message.vibrate else None
    sound = "default" if message.sound in (None, CRITICAL) else message.sound
    if written.quietly:
        sound = SILENT
    return given(
        tag=written.tag,
        channelId=message.category,
        sound=None if sound == SILENT else sound,
        vibrateTimings=None if sound == SILENT else pattern,
        notificationPriority="PRIORITY_LOW" if written.quietly else None,
        visibility=_VISIBILITY[message.lock_screen],
    )


def _data(written: Written) -> dict[str, str]:
    """FCM's data is texts by name. Ours begin with `clarion.`; the caller's are there under their own names."""
    message, words = written.message, written.words
    data = {_name(name): value if isinstance(value, str) else _text(value) for name, value in message.data.items()}
    own = given(
        id=written.id,
        receipt=written.receipt,
        receipts_url=written.receipts_url,
        url=words.url,
        category=message.category,
        replaces=written.tag if written.update is not None else None,
        **{"class": written.category.class_.value},
    )
    for at, action in enumerate(words.actions):
        own |= {f"actions.{at}.{name}": text for name, text in _texts(action).items()}
    return data | {f"clarion.{name}": text for name, text in own.items()}


def _withdrawal(written: Written) -> dict[str, str]:
    """For the app: under which tag Android shows what is to go."""
    own = {"id": written.id, "receipt": written.receipt, "receipts_url": written.receipts_url, "withdraw": written.tag}
    return {f"clarion.{name}": text for name, text in own.items()}


def _texts(action: Action) -> Json:
    return given(id=action.id, title=action.title, url=action.url)


def _name(name: str) -> str:
    """FCM keeps some names for itself, and refuses the whole message for one of them."""
    return f"data.{name}" if _RESERVED.fullmatch(name) else name


def _text(value: Any) -> str:
    return _encode(value).decode()


def _uncounted(payload: Json) -> int:
    """Bytes of the encoded payload that are neither texts of `data` nor the notification; Google counts those only."""
    data = payload.get("data", {})
    shown = merged(payload.get("notification", {}), payload.get("android", {}).get("notification", {}))
    counted = sum(len(_encode(name)) + len(_encode(text)) - 4 for name, text in data.items())
    return len(_encode(payload)) - counted - (len(_encode(shown)) if shown else 0)


def _in_camel_case(theirs: Json) -> Json:
    """Google reads `channel_id` and `channelId` as one name, but not both in one message."""
    return {
        _camel(name): value if name in _FREE or not isinstance(value, dict) else _in_camel_case(value)
        for name, value in theirs.items()
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def problems(theirs: Json) -> Iterator[FieldError]:
    """What FCM would refuse every message for."""
    for name in ("notification", "data", "android"):
        if not isinstance(theirs.get(name, {}), dict | None):
            yield FieldError(f"fcm.{name}", "must be an object")
    data = theirs.get("data")
    if isinstance(data, dict):
        for name, value in data.items():
            if _RESERVED.fullmatch(name):
                yield FieldError(f"fcm.data.{name}", "is a name that FCM keeps for itself")
            elif not isinstance(value, str | None):
                yield FieldError(f"fcm.data.{name}", "must be a text: FCM takes no other values")
    for name in _TARGETS:
        if name in theirs:
            yield FieldError(f"fcm.{name}", "is the device's own; leave it out")
