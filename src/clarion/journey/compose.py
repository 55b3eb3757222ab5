"""Compose: title, body and redirect in the person's language, as the very bytes that each device gets."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from clarion.journey.candidate import Decided, dropped, noted
from clarion.journey.payloads import DRAFTS, Draft, Written
from clarion.journey.rules import is_quiet
from clarion.journey.texts.partials import NO_PARTIALS
from clarion.journey.texts.wordings import worded
from clarion.journey.texts.words import (
    Setting,
    TextError,
    Texts,
    Words,
    chosen,
    event_facts,
    template_of,
    titled,
    user_facts,
)
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
    Partial,
    Reason,
    Template,
    Update,
    UpdateKind,
    delivery_id,
)
from clarion.ports import Ready, Recipient, Target, uuid_of

RECEIPT_LIFE_MS = 30 * DAY_MS

ReceiptsFor = Callable[[Key, Key, Millis], Callable[[Key, Key], str]]
"""(project, notification, expires_at) → ((user, device) → token): what a batch shares is bound once."""

_encode = msgspec.json.Encoder().encode
_ID, _RECEIPT, _PLACE = "id", "receipt", "place"


class Scene(NamedTuple):
    """What all messages of a batch share. `zone`: of people who have none."""

    project: Key
    project_facts: Json
    categories: Mapping[str, Category]
    templates: Mapping[str, Template]
    events: Mapping[Key, Event]
    receipts_for: ReceiptsFor
    receipts_url: str
    now_text: str
    partials: Mapping[str, Partial] = NO_PARTIALS
    zone: str = "UTC"
    digests: Mapping[Key, Json] = {}  # by notification: what the texts of a digest see of what it stands for
    winners: Mapping[Key, str] = {}  # by notification: the variant that took over


class _Blanks:
    """Names places in a draft by strings that none of its own texts holds: a mark, which is longer than any in them."""

    def __init__(self, told: bytes) -> None:
        """`told`: all texts of the draft, encoded."""
        longest = max((len(run) for run in _MARKS.findall(told)), default=0) // len(_MARK)
        self._mark = "\x01" * (longest + 1)

    def place(self, name: str) -> str:
        """What stands for `name` in the draft, as a whole string."""
        return self._mark + name

    def split(self, draft: bytes) -> list[bytes]:
        """The draft's pieces, with the names of places between them."""
        return re.split(rb'(?<=")' + re.escape(_MARK) * len(self._mark) + rb'([a-z0-9.\[\]]+)(?=")', draft)


# As it stands in JSON, where a control character is always escaped.
_MARK = b"\\u0001"
_MARKS = re.compile(rb"(?:\\u0001)+")


class _Form:
    """An encoded payload with blanks: made once for a notification and a language, filled in for each device."""

    def __init__(self, pieces: list[bytes]) -> None:
        """`pieces`: every second one is the name of a blank."""
        self._pieces = pieces
        self.blanks = [name.decode() for name in pieces[1::2]]

    def fill(self, values: Mapping[str, bytes]) -> bytes:
        """The payload; values are JSON text without its quotes."""
        pieces = self._pieces
        pieces[1::2] = [values[name] for name in self.blanks]
        return b"".join(pieces)


class _Letter(NamedTuple):
    """One notification in one language on one kind of device, with what every message of it carries.

    `same`: the rendered texts if they are so for all; `context`: what others see beside the user.
    """

    texts: Texts
    form: _Form
    draft: Draft
    context: dict[str, Any]
    same: dict[str, bytes] | None
    make_receipt: Callable[[Key, Key], str]
    expires_at: Millis
    urgency: str


_About: TypeAlias = tuple[Key, str | None, str | None, DeviceKind, bool]
"""Notification, variant, language, kind of device, and whether it takes the place of what is shown there."""


class Composer:
    """Composes a batch slice by slice; what messages have in common is made once and kept for the whole batch."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._messages: dict[tuple[Key, str | None], Message] = {}
        self._letters: dict[_About, _Letter] = {}
        # By letter: an id and a receipt that are as long as every other, once one of its messages was composed.
        self._stand_ins: dict[_About, dict[str, bytes]] = {}

    def compose(self, decided: Sequence[Decided]) -> tuple[list[Decided], list[tuple[Target, Ready]]]:
        """Decisions in order, those that cannot be composed turned into drops, and the messages of the others."""
        final: list[Decided] = []
        ready: list[tuple[Target, Ready]] = []
        for one in decided:
            if one.reason is not Reason.SEND:
                final.append(one)
                continue
            try:
                messages = [(target, self._ready(one, target)) for target in one.targets]
            except TextError as error:
                final.append(dropped(one, "compose", Reason.TEMPLATE_ERROR, str(error)))
            except _TooLarge as error:
                final.append(dropped(one, "compose", Reason.TOO_LARGE, str(error)))
            else:
                final.append(self._told(one))
                ready += messages
        return final, ready

    def foresee(self, decided: Sequence[Decided]) -> list[Decided]:
        """The decisions as `compose` leaves them, without messages.

        Where nothing in the texts is personal, the first one tells for all: ids and receipts are equally long.
        """
        final = []
        for one in decided:
            if one.reason is Reason.SEND:
                for target in one.targets:
                    wrong = self._wrong(one, target)
                    if wrong is not None:
                        final.append(dropped(one, "compose", *wrong))
                        break
                else:
                    final.append(self._told(one))
            else:
                final.append(one)
        return final

    def _told(self, one: Decided) -> Decided:
        """The same, with the version of the template that it was composed from."""
        template = template_of(self._message(one.notification, one.variant), self._scene.templates)
        if template is None:
            return one
        return noted(one, "compose", f"{template.name}, version {template.version}")

    def _wrong(self, decided: Decided, target: Target) -> tuple[Reason, str] | None:
        """Why this device's message cannot be composed."""
        locale = target.locale or decided.recipient.locale
        about = decided.notification.key, decided.variant, locale, target.kind, bool(decided.shown)
        stand_ins = self._stand_ins.get(about)
        try:
            if stand_ins is None:
                self._ready(decided, target)
                letter = self._letters[about]
                id, receipt = delivery_id(decided.notification.id, target.key), letter.make_receipt(0, target.key)
                self._stand_ins[about] = {_ID: id.hex().encode(), _RECEIPT: receipt.encode()}
            elif (letter := self._letters[about]).same is None:
                values = _personal(letter, decided.recipient, locale) | stand_ins
                _payload(letter, values, decided.notification.message, target.kind)
        except TextError as error:
            return Reason.TEMPLATE_ERROR, str(error)
        except _TooLarge as error:
            return Reason.TOO_LARGE, str(error)
        return None

    def _ready(self, decided: Decided, target: Target) -> Ready:
        notification, recipient, device = decided.notification, decided.recipient, target.key
        locale = target.locale or recipient.locale
        about = notification.key, decided.variant, locale, target.kind, bool(decided.shown)
        letter = self._letters.get(about) or self._letter(notification, about)
        id, place, update = delivery_id(notification.id, device), None, notification.update
        values = letter.same if letter.same is not None else _personal(letter, recipient, locale)
        values[_ID] = id.hex().encode()
        values[_RECEIPT] = letter.make_receipt(recipient.key, device).encode()
        if update is not None:
            place = delivery_id(update.first_id, device)
            # What APNs calls a delivery is its id as a UUID.
            values[_PLACE] = (uuid_of(place) if target.kind is DeviceKind.APNS else place.hex()).encode()
        message = notification.message
        payload = _payload(letter, values, message, target.kind)
        return Ready(
            notification.key,
            recipient.key,
            device,
            id,
            payload,
            message.category,
            letter.expires_at if decided.expires_at is None else decided.expires_at,
            letter.urgency,
            message.collapse_key,
            0,
            letter.draft.headers,
            place,
            bool(decided.shown) and is_quiet(notification),
        )

    def _message(self, notification: Notification, variant: str | None) -> Message:
        """The message in one wording."""
        if variant is None:
            return notification.message
        found = self._messages.get((notification.key, variant))
        if found is None:
            found = self._messages[notification.key, variant] = worded(notification.message, variant)
        return found

    def _letter(self, notification: Notification, about: _About) -> _Letter:
        _, variant, locale, kind, shown = about
        message, scene = self._message(notification, variant), self._scene
        said, update = chosen(message, self._template(message), locale, kind), notification.update
        # What takes a notification back shows nothing, so it says nothing.
        message, words, text_locale = (
            said if update is not None and update.kind is UpdateKind.WITHDRAW else titled(said)
        )
        told = (message, words, scene.project_facts, scene.receipts_url)
        setting = Setting(locale, text_locale, scene.partials, scene.zone)
        texts, blanks = Texts(message, words, setting), _Blanks(_encode(told))
        draft = self._draft(message, kind, texts.with_blanks(blanks.place), blanks, update, shown=shown)
        encoded = _encode(draft.payload)
        form = _Form(blanks.split(encoded))
        context = self._context(notification, texts)
        same = None if texts.personal else _encoded(texts.render(context))
        expires_at = notification.expires_at
        make_receipt = scene.receipts_for(
            scene.project, notification.key, notification.expires_at_last + RECEIPT_LIFE_MS
        )
        letter = _Letter(texts, form, draft, context, same, make_receipt, expires_at, message.urgency.value)
        self._letters[about] = letter
        return letter

    def _draft(
        self,
        message: Message,
        kind: DeviceKind,
        words: Words,
        blanks: _Blanks,
        update: Update | None,
        *,
        shown: bool,
    ) -> Draft:
        return DRAFTS[kind](
            Written(
                message,
                words,
                self._scene.categories[message.category],
                self._scene.project_facts["name"],
                id=blanks.place(_ID),
                receipt=blanks.place(_RECEIPT),
                receipts_url=self._scene.receipts_url,
                place=None if update is None else blanks.place(_PLACE),
                update=update if shown else None,
            )
        )

    def _template(self, message: Message) -> Template | None:
        if message.template is None:
            return None
        template = template_of(message, self._scene.templates)
        if template is None:
            version = f" in version {message.template_version}" if message.template_version is not None else ""
            raise TextError("template", f"there is no template {message.template}{version}")
        return template

    def _context(self, notification: Notification, texts: Texts) -> dict[str, Any]:
        scene = self._scene
        context: dict[str, Any] = {
            "data": notification.message.data,
            "project": scene.project_facts,
            "now": scene.now_text,
            **scene.digests.get(notification.key, {}),
        }
        if "event" in texts.names and notification.event is not None and notification.event in scene.events:
            context["event"] = event_facts(scene.events[notification.event])
        # What no text looks at is not handed over for each person.
        return {name: value for name, value in context.items() if name in texts.names}


def _payload(letter: _Letter, values: Mapping[str, bytes], message: Message, kind: DeviceKind) -> bytes:
    """Raises _TooLarge."""
    payload = letter.form.fill(values)
    if len(payload) > letter.draft.limit:
        raise _TooLarge(payload, letter, values, message, kind)
    return payload


def _personal(letter: _Letter, recipient: Recipient, locale: str | None) -> dict[str, bytes]:
    return _encoded(letter.texts.render({**letter.context, "user": user_facts(recipient, locale)}))


def _encoded(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {field: _encode(text)[1:-1] for field, text in texts.items()}


class _TooLarge(Exception):
    """The payload is over its kind's limit; says by how much, and which parts are the longest."""

    def __init__(
        self, payload: bytes, letter: _Letter, values: Mapping[str, bytes], message: Message, kind: DeviceKind
    ) -> None:
        sizes = letter.texts.sizes(values)
        sizes |= {part: len(_encode(told)) for part in ("data", kind.value) if (told := getattr(message, part))}
        longest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:2]
        parts = " or ".join(f"{part} ({sizes[part]} bytes)" for part in longest)
        draft = letter.draft
        size, fit = len(payload) + draft.overhead, draft.limit + draft.overhead
        super().__init__(
            f"{kind}: {size} bytes{' after encryption' * bool(draft.overhead)}, {fit} fit: shorten {parts}"
        )
