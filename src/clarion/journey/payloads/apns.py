"""APNs: the `aps` dictionary that iOS shows by itself, and ours, `clarion`, for the app and its extension.

Facts are in Apple's "Generating a remote notification" and "Sending notification requests to APNs".
"""

from collections.abc import Iterator
from typing import Any, Final

from clarion.errors import FieldError
from clarion.journey.payloads.written import CRITICAL, QUIET, SILENT, Draft, Written, given, merged
from clarion.model import DeviceKind, Json, LockScreen
from clarion.wire.apns import PUSH_TYPE, TOPIC_SUFFIX, collapse_id
from clarion.wire.payload import MAX_PAYLOAD, MAX_VOIP_PAYLOAD

HEADERS: Final = "headers"
"""The name in a caller's `apns` under which request headers are, not a part of the payload."""
_ALERT = "alert"
_CRITICAL_SOUND: Final = {"critical": 1, "name": "default", "volume": 1.0}
_CHOICES: Final = {
    PUSH_TYPE: ("must be one of " + ", ".join(TOPIC_SUFFIX), frozenset(TOPIC_SUFFIX)),
    "apns-priority": ("must be 10, 5 or 1, as text", frozenset({"10", "5", "1"})),
    "apns-topic": ("must be a text", None),
}


def draft(written: Written) -> Draft:
    """An alert, unless the caller's `apns.headers.apns-push-type` says that the app itself is to show it."""
    theirs = dict(written.message.apns)
    headers = theirs.pop(HEADERS, None) or None
    if written.withdraws:
        return _withdrawal(written, headers)
    push_type = _ALERT if headers is None else headers.get(PUSH_TYPE, _ALERT)
    if push_type == _ALERT:
        payload = {"aps": _alert(written), "clarion": _own(written)}
    else:
        words = written.words
        aps = {"content-available": 1} if push_type == "background" else {}
        payload = {"aps": aps, "clarion": given(title=words.title, body=words.body) | _own(written)}
    limit = MAX_VOIP_PAYLOAD if push_type == "voip" else MAX_PAYLOAD[DeviceKind.APNS]
    return Draft(merged(payload, theirs), limit, headers)


def _withdrawal(written: Written, headers: dict[str, str] | None) -> Draft:
    """Wakes the app, which removes what is shown: nothing but the app can. One that waits at Apple's it replaces."""
    own = given(id=written.id, receipt=written.receipt, receipts_url=written.receipts_url, withdraw=_name(written))
    own_topic = {name: value for name, value in (headers or {}).items() if name == "apns-topic"}
    payload = {"aps": {"content-available": 1}, "clarion": own}
    return Draft(payload, MAX_PAYLOAD[DeviceKind.APNS], own_topic | {PUSH_TYPE: "background"})


def _name(written: Written) -> str:
    """What iOS calls the notification: the identifier of its request is its `apns-collapse-id`."""
    return collapse_id(written.message.collapse_key) if written.message.collapse_key is not None else written.tag


def _alert(written: Written) -> Json:
    message = written.message
    sound: Any = message.sound or "default"
    if sound == CRITICAL:
        sound = _CRITICAL_SOUND
    if written.quietly:
        sound = SILENT
    return given(
        alert=_on_the_lock_screen(written),
        sound=None if sound == SILENT else sound,
        category=message.category,
        **{
            "thread-id": message.category,
            "interruption-level": "passive" if written.quietly or message.urgency in QUIET else "active",
            # Wakes the app's extension, which tells that it arrived, fetches the image and names the actions.
            "mutable-content": 1,
        },
    )


def _on_the_lock_screen(written: Written) -> Json:
    """What anybody may read who holds the phone: iOS has no such choice of its own for one notification."""
    words = written.words
    match written.message.lock_screen:
        case LockScreen.SHOW:
            return given(title=words.title, body=words.body)
        case LockScreen.HIDE_CONTENT:
            return given(title=words.title)
        case LockScreen.HIDE:
            return given(title=written.project)


def _own(written: Written) -> Json:
    """For the app's own code: who it was, where a tap leads, and how to send receipts."""
    message, words = written.message, written.words
    hidden = given(title=words.title, body=words.body) if message.lock_screen is not LockScreen.SHOW else {}
    return given(
        id=written.id,
        receipt=written.receipt,
        receipts_url=written.receipts_url,
        url=words.url,
        image=words.image,
        actions=[given(id=each.id, title=each.title, url=each.url) for each in words.actions],
        data=message.data,
        replaces=_name(written) if written.update is not None else None,
        lock_screen=None if message.lock_screen is LockScreen.SHOW else message.lock_screen.value,
        **{"class": written.category.class_.value},
        **hidden,
    )


def problems(theirs: Json) -> Iterator[FieldError]:
    """What APNs would refuse every message for."""
    if not isinstance(theirs.get("aps", {}), dict | None):
        yield FieldError("apns.aps", "must be an object")
    headers = theirs.get(HEADERS) or {}
    if not isinstance(headers, dict):
        yield FieldError("apns.headers", "must be an object")
        return
    for name, value in headers.items():
        words, choices = _CHOICES.get(name, ("is not a header that can be chosen: " + ", ".join(_CHOICES), ()))
        if not isinstance(value, str) or (choices is not None and value not in choices):
            yield FieldError(f"apns.headers.{name}", words)
