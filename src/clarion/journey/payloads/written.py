"""What all payloads are made of, and how a caller's own part is merged into them."""

from typing import Any, NamedTuple

from clarion.journey.words import Words
from clarion.model import Category, Json, Message, Urgency

SILENT = "none"
"""The `sound` of a notification that makes none."""
CRITICAL = "critical"
"""The `sound` that iOS makes even when it is muted, for apps that Apple allows it; elsewhere the usual one."""
QUIET = (Urgency.VERY_LOW, Urgency.LOW)
"""RFC 8030 section 5.3: these wait for power or Wi-Fi, as advertisements and news do."""


class Written(NamedTuple):
    """A notification in one language. `id`, `receipt` and words may be blanks that are filled in for each device."""

    message: Message
    words: Words
    category: Category
    project: str
    id: str
    receipt: str
    receipts_url: str

    @property
    def tag(self) -> str:
        """Under what a screen shows one notification only."""
        return self.message.collapse_key or self.id


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
