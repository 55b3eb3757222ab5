"""What all payloads are made of, and how a caller's own part is merged into them."""

from typing import Any, NamedTuple

from clarion.journey.texts.words import Words
from clarion.model import Category, Json, Message, Update, UpdateKind, Urgency

SILENT = "none"
"""The `sound` of a notification that makes none."""
CRITICAL = "critical"
"""The `sound` that iOS makes even when it is muted, for apps that Apple allows it; elsewhere the usual one."""
QUIET = (Urgency.VERY_LOW, Urgency.LOW)
"""RFC 8030 section 5.3: these wait for power or Wi-Fi, as advertisements and news do."""


class Written(NamedTuple):
    """A notification in one language. `id`, `receipt` and words may be blanks that are filled in for each device.

    `place`: under what the first one stands on the screen, if this one came of an update of it. `update`: that first
    one may be on the screen now.
    """

    message: Message
    words: Words
    category: Category
    project: str
    id: str
    receipt: str
    receipts_url: str
    place: str | None = None
    update: Update | None = None

    @property
    def tag(self) -> str:
        """Under what a screen shows one notification only."""
        return self.message.collapse_key or self.place or self.id

    @property
    def withdraws(self) -> bool:
        """Whether it shows nothing, and only takes away."""
        return self.update is not None and self.update.kind is UpdateKind.WITHDRAW

    @property
    def quietly(self) -> bool:
        """Whether it makes no sound: it takes the place of what is shown, and nobody asked for another one."""
        return self.update is not None and not self.update.renotify


class Draft(NamedTuple):
    """A payload to be encoded; `limit` is how many bytes it may then have, `headers` go beside it.

    `overhead`: bytes that encryption adds.
    """

    payload: Any
    limit: int
    headers: dict[str, str] | None = None
    overhead: int = 0


def merged(ours: Json, theirs: Json) -> Json:
    """The caller's part has the last word: objects are merged name by name, null takes away (RFC 7396)."""
    result = dict(ours)
    for name, value in theirs.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[name] = value
    return result


def given(**values: Any) -> Json:
    """An object without what is empty: bytes are dear."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
