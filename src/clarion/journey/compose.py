"""Compose: title, body and redirect in the person's language, as the very bytes that each device gets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from clarion.journey.candidate import Decided, dropped
from clarion.journey.words import TextError, Texts, Words, content
from clarion.model import (
    DAY_MS,
    Category,
    DeviceKind,
    Event,
    Json,
    Key,
    Message,
    Millis,
    Notification,
    Reason,
    Template,
    delivery_id,
)
from clarion.ports import Ready, Recipient, Target
from clarion.wire.payload import ENCRYPTION_OVERHEAD, MAX_PLAINTEXT, WebPayload

RECEIPT_LIFE_MS = 30 * DAY_MS

ReceiptsFor = Callable[[Key, Key, Millis], Callable[[Key, Key], str]]
"""(project, notification, expires_at) → ((user, device) → token): what a batch shares is bound once."""

_encode = msgspec.json.Encoder().encode
# Per-device values are put into the encoded payload afterwards. A text that holds these very marks, control characters
# included, only gets an id in their place.
_ID, _RECEIPT = "\x01id\x01", "\x01receipt\x01"
_ID_BYTES, _RECEIPT_BYTES = (_encode(mark)[1:-1] for mark in (_ID, _RECEIPT))


class Scene(NamedTuple):
    """What all messages of a batch share."""

    project: Key
    project_facts: Json
    categories: Mapping[str, Category]
    templates: Mapping[str, Template]
    events: Mapping[Key, Event]
    receipts_for: ReceiptsFor
    receipts_url: str
    now_text: str


class Composer:
    """Composes a batch slice by slice; what messages have in common is made once and kept for the whole batch."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._texts: dict[tuple[Key, str | None], Texts] = {}
        self._blanks: dict[tuple[Key, str | None], bytes] = {}
        self._receipts: dict[Key, Callable[[Key, Key], str]] = {}

    def compose(self, decided: Sequence[Decided]) -> tuple[list[Decided], list[tuple[DeviceKind, Ready]]]:
        """Decisions in order, those that cannot be composed turned into drops, and the messages of the others."""
        final: list[Decided] = []
        ready: list[tuple[DeviceKind, Ready]] = []
        for one in decided:
            if one.reason is not Reason.SEND:
                final.append(one)
                continue
            try:
                messages = [(target.kind, self._ready(one, target)) for target in one.targets]
            except TextError as error:
                final.append(dropped(one, "compose", Reason.TEMPLATE_ERROR, str(error)))
            except _TooLarge as error:
                final.append(dropped(one, "compose", Reason.TOO_LARGE, str(error)))
            else:
                final.append(one)
                ready += messages
        return final, ready

    def _ready(self, decided: Decided, target: Target) -> Ready:
        notification, recipient = decided.notification, decided.recipient
        id = delivery_id(notification.id, target.key)
        receipt = self._receipt_maker(notification)(recipient.key, target.key)
        payload = (
            self._blank(notification, recipient, target)
            .replace(_ID_BYTES, id.hex().encode())
            .replace(_RECEIPT_BYTES, receipt.encode())
        )
        _fits(payload, target.kind)
        message = notification.message
        return Ready(
            notification=notification.key,
            user=recipient.key,
            device=target.key,
            id=id,
            payload=payload,
            category=message.category,
            expires_at=notification.expires_at,
            urgency=message.urgency.value,
            collapse_key=message.collapse_key,
        )

    def _receipt_maker(self, notification: Notification) -> Callable[[Key, Key], str]:
        make = self._receipts.get(notification.key)
        if make is None:
            expires_at = notification.expires_at + RECEIPT_LIFE_MS
            make = self._receipts[notification.key] = self._scene.receipts_for(
                self._scene.project, notification.key, expires_at
            )
        return make

    def _blank(self, notification: Notification, recipient: Recipient, target: Target) -> bytes:
        """The payload without what belongs to one device; the same for everybody unless a text is personal."""
        locale = target.locale or recipient.locale
        key = (notification.key, locale)
        if (blank := self._blanks.get(key)) is not None:
            return blank
        texts = self._texts.get(key)
        if texts is None:
            template = self._template(notification.message)
            texts = self._texts[key] = Texts(notification.message, content(notification.message, template, locale))
        words = texts.render(self._context(notification, recipient, locale, texts))
        blank = self._encoded(notification.message, words)
        if not texts.personal:
            self._blanks[key] = blank
        return blank

    def _template(self, message: Message) -> Template | None:
        if message.template is None:
            return None
        template = self._scene.templates.get(message.template)
        if template is None:
            raise TextError("template", f"there is no template {message.template}")
        return template

    def _context(
        self, notification: Notification, recipient: Recipient, locale: str | None, texts: Texts
    ) -> dict[str, Any]:
        scene = self._scene
        context: dict[str, Any] = {
            "data": notification.message.data,
            "project": scene.project_facts,
            "now": scene.now_text,
        }
        if texts.personal:
            context["user"] = {
                **msgspec.json.decode(recipient.attributes),
                "user_id": recipient.user_id,
                "locale": locale,
                "timezone": recipient.timezone,
            }
        if texts.needs_event and notification.event is not None and notification.event in scene.events:
            context["event"] = event_facts(scene.events[notification.event])
        return context

    def _encoded(self, message: Message, words: Words) -> bytes:
        category = self._scene.categories[message.category]
        silent = message.sound == "none"
        payload = WebPayload(
            id=_ID,
            receipt=_RECEIPT,
            receipts_url=self._scene.receipts_url,
            title=words.title,
            body=words.body,
            url=words.url,
            icon=message.icon,
            image=message.image,
            badge=message.badge,
            tag=message.collapse_key or _ID,
            vibrate=[] if silent else (message.vibrate or []),
            silent=silent,
            require_interaction=message.require_interaction,
            actions=words.actions,
            lock_screen=message.lock_screen.value,
            data=message.data,
            category=message.category,
            class_=category.class_.value,
        )
        if message.webpush:
            return _encode(msgspec.to_builtins(payload) | message.webpush)
        return _encode(payload)


def event_facts(event: Event) -> Json:
    """An event as templates see it: its properties by name, and its own fields, which win."""
    return {**event.properties, "name": event.name, "properties": event.properties, "id": event.id}


class _TooLarge(Exception):
    """The payload is over its kind's limit."""


def _fits(payload: bytes, kind: DeviceKind) -> None:
    limit = MAX_PLAINTEXT[kind]
    if len(payload) > limit:
        raise _TooLarge(
            f"{len(payload) + ENCRYPTION_OVERHEAD} bytes after encryption, {limit + ENCRYPTION_OVERHEAD} fit: "
            "shorten body or data"
        )
