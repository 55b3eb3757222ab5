"""Kinds of fields that callers send: how long, which form, and in which words we say what would be right."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import unquote_to_bytes
from zoneinfo import available_timezones

from msgspec import Meta

from clarion.errors import InvalidRequest
from clarion.model import Json, Millis
from clarion.model.segments import LABEL_PATTERN

# `$` of Python's regular expressions also matches before a last line break; that of JSON Schema does not.
_END = r"$(?!\n)"
URL_PATTERN = rf"^[Hh][Tt][Tt][Pp][Ss]?://\S+{_END}"
# A link may be a minijinja text; then what it renders to is checked when the message is composed.
LINK_PATTERN = rf"^([Hh][Tt][Tt][Pp][Ss]?://\S+|[\s\S]*\{{[{{%][\s\S]*){_END}"
NAME_PATTERN = rf"^[A-Za-z0-9_][A-Za-z0-9_ .:-]*{_END}"
# Up to ten names, each below the one before it.
TOPIC_PATTERN = rf"^[A-Za-z0-9_][A-Za-z0-9_ .:-]*(/[A-Za-z0-9_][A-Za-z0-9_ .:-]*){{0,9}}{_END}"
LOCALE_PATTERN = rf"^[A-Za-z]{{2,8}}([_-][A-Za-z0-9]{{1,8}})*{_END}"
EMAIL_PATTERN = rf"^[^\s@]+@[^\s@.]+(\.[^\s@.]+)*{_END}"
PHONE_PATTERN = rf"^\+[1-9][0-9]{{6,14}}{_END}"
HEX_PATTERN = rf"^([0-9A-Fa-f]{{2}})+{_END}"
ID_PATTERN = rf"^[0-9a-f]{{32}}{_END}"
VARIANT_PATTERN = rf"^[A-Za-z0-9_-]+{_END}"
CLOCK_PATTERN = rf"^([01][0-9]|2[0-3]):[0-5][0-9]{_END}"
CLOCK_END_PATTERN = rf"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00){_END}"
LOCAL_TIME_PATTERN = rf"^([0-9]{{4}}-[01][0-9]-[0-3][0-9]T)?([01][0-9]|2[0-3]):[0-5][0-9]{_END}"
ORIGIN_PATTERN = rf"^(\*|https?://[A-Za-z0-9.-]+(:[0-9]{{1,5}})?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{{1,5}})?){_END}"

HINTS = {
    URL_PATTERN: "must be an http:// or https:// URL",
    LINK_PATTERN: "must be an http:// or https:// URL, or a text that renders to one",
    NAME_PATTERN: "must be letters from a to z, digits, spaces and _ . : - only, and begin with a letter, digit or _",
    TOPIC_PATTERN: "must be up to ten names with / between them, such as sport/football, each of letters from a to z, "
    "digits, spaces and _ . : - only; wildcards are not needed",
    LOCALE_PATTERN: "must be a BCP 47 language tag such as en or de-AT",
    EMAIL_PATTERN: "must be an e-mail address such as ada@example.org",
    PHONE_PATTERN: "must be a phone number in E.164 form such as +4915112345678",
    HEX_PATTERN: "must be hexadecimal text with an even number of digits",
    ID_PATTERN: "must be an id of 32 lower-case hexadecimal digits",
    VARIANT_PATTERN: "must be letters from a to z, digits, _ and - only",
    LABEL_PATTERN: "must not have quotation marks, backslashes or control characters",
    CLOCK_PATTERN: "must be a time of day such as 22:00",
    CLOCK_END_PATTERN: "must be a time of day such as 08:00, or 24:00",
    LOCAL_TIME_PATTERN: "must be a time such as 09:00 or 2026-12-01T09:00",
    ORIGIN_PATTERN: "must be an origin such as https://shop.example (scheme, host, port if any, nothing after), or *",
}
"""What to say instead of a regular expression."""

UserId: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=255, description="The caller's own id.", examples=["u1"])
]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100, pattern=NAME_PATTERN, examples=["orders"])]
TopicName: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=TOPIC_PATTERN, examples=["sport/football/arsenal"])
]
EventName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255, examples=["order_shipped"])]
Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Words: TypeAlias = Annotated[str, Meta(max_length=10_000)]
Title: TypeAlias = Annotated[str, Meta(max_length=2_000)]
HttpUrl: TypeAlias = Annotated[str, Meta(max_length=2_048, pattern=URL_PATTERN, examples=["https://shop.example/"])]
Link: TypeAlias = Annotated[
    str, Meta(max_length=2_048, pattern=LINK_PATTERN, examples=["https://shop.example/orders/{{ data.order_id }}"])
]
Locale: TypeAlias = Annotated[
    str, Meta(max_length=35, pattern=LOCALE_PATTERN, description="BCP 47.", examples=["de-AT"])
]
TimeZone: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=64, description="IANA name of a time zone.", examples=["Europe/Vienna"])
]
Email: TypeAlias = Annotated[str, Meta(max_length=254, pattern=EMAIL_PATTERN, examples=["ada@example.org"])]
Phone: TypeAlias = Annotated[str, Meta(pattern=PHONE_PATTERN, description="E.164.", examples=["+4915112345678"])]
PublicId: TypeAlias = Annotated[str, Meta(pattern=ID_PATTERN, examples=["0123456789abcdef0123456789abcdef"])]
Instant: TypeAlias = Annotated[
    datetime, Meta(tz=True, description="RFC 3339 with a time zone.", examples=["2026-11-22T17:00:00Z"])
]
LocalClock: TypeAlias = Annotated[
    str,
    Meta(
        pattern=LOCAL_TIME_PATTERN,
        description="On each user's own wall: a time of day, or one on a day.",
        examples=["09:00", "2026-12-01T09:00"],
    ),
]
Passed: TypeAlias = Annotated[
    Literal["next_day", "at_once", "skip"],
    Meta(description="What becomes of users for whom that is over when it begins; next_day unless given."),
]
Told: TypeAlias = Annotated[
    str, Meta(description="RFC 3339.", examples=["2026-11-22T17:00:00.000Z"], extra_json_schema={"format": "date-time"})
]
"""A time as we answer it."""

FIRST_YEAR, LAST_YEAR = 1970, 9998
MAX_DEPTH = 32
_PATH_LIMIT = 255


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    """Without the two names that are no place: what they mean is for each machine to say."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def check_zone(name: str | None, field: str = "timezone") -> None:
    """Raises InvalidRequest when a time zone is none that we know."""
    if name is not None and name not in _zones():
        raise InvalidRequest.field(field, "must be an IANA time zone such as Europe/Berlin")


def millis(instant: datetime, field: str) -> Millis:
    """Milliseconds since the epoch. Raises InvalidRequest for years that nobody means."""
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise InvalidRequest.field(field, f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return round(instant.timestamp() * 1000)


def told(at: Millis) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-22T17:00:00.000Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def told_or_none(at: Millis | None) -> str | None:
    """`told`, where there may be no time."""
    return None if at is None else told(at)


_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(
    rb"(?<!\\)(?P<slashes>(?:\\\\)*)\\u[dD](?:[89aAbB][0-9a-fA-F]{2}" + _LOW + rb"|(?P<half>[89a-fA-F][0-9a-fA-F]{2}))"
)
"""Surrogates as JSON escapes them, and which of them is there without its other half."""
_NO_TEXT = "must not contain the character U+0000 or half of a surrogate pair"


def marked(body: bytes) -> bytes:
    """JSON with U+0000 for each half of a surrogate pair: no text either, but one that `examine` can name."""
    return _HALF.sub(lambda found: found[0] if found["half"] is None else found["slashes"] + rb"\u0000", body)


def not_text(part: str | bytes) -> str:
    """What is wrong with a percent-encoded part of a URL as text; empty: nothing."""
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return "must be UTF-8, percent-encoded"
    return "must not contain the character U+0000" if "\0" in text else ""


def examine(value: Any, field: str = "", depth: int = 0) -> None:
    """What no storage takes or no reader survives: the character U+0000 (see `marked`), and JSON nested deeper than 32.

    Raises:
        InvalidRequest: names the field.
    """
    match value:
        case str():
            if "\0" in value:
                raise InvalidRequest.field(field or "body", _NO_TEXT)
        case dict() | list():
            if depth >= MAX_DEPTH:
                raise InvalidRequest.field(_short(field), f"must not be nested deeper than {MAX_DEPTH} levels")
            _examine_inside(value, field, depth + 1)


def _examine_inside(value: Json | list[Any], field: str, depth: int) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            examine(item, f"{field}[{index}]", depth)
        return
    for name, item in value.items():
        examine(name, f"{field} (a name)" if field else "a name", depth)
        examine(item, f"{field}.{name}" if field else name, depth)


def _short(field: str) -> str:
    """The field that the caller knows; the way down to the deepest level helps nobody."""
    return re.split(r"[.\[]", field, maxsplit=1)[0] or "body" if len(field) > _PATH_LIMIT else field
