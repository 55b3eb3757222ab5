"""JSON in: strict types out, or an error that names the field and says what would be right."""

import difflib
import re
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from clarion.api.fields import HINTS, MAX_DEPTH, examine, marked
from clarion.errors import FieldError, InvalidRequest

T = TypeVar("T")

_AT = re.compile(r"^(?P<words>.*?)(?: - at `(?:key` in `)?(?P<path>\$[^`]*)`)?$", re.DOTALL)
_FIELD_NAMED = re.compile(r"^Object (?P<how>contains unknown|missing required) field `(?P<name>.*)`$", re.DOTALL)
_PATTERN = re.compile(r"^Expected `str` matching regex (?P<pattern>.*)$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
BODY = "body"
"""The field of an error about the whole."""
_LENGTH = re.compile(r"(?P<kind>`\w+`) of length (?P<bound><=|>=) (?P<count>\d+)")
_BOUNDS = {"<=": "at most", ">=": "at least"}
_PARTS = {"str": "character", "array": "item", "object": "entry"}
_JSON_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_TOO_DEEP = f"must not be nested deeper than {MAX_DEPTH} levels"


class Reader(Generic[T]):
    """Reads bodies of one type."""

    def __init__(self, type_: Any) -> None:
        """`type_` is anything that msgspec decodes; a union of tagged structs too, which no `type[T]` can say."""
        self._type = type_
        self.decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type_)

    def read(self, body: bytes) -> T:
        """The value.

        Raises:
            InvalidRequest: not JSON, another shape, or content that `examine` refuses.
        """
        value = self.read_shape(body)
        # Only few bodies can hold what `examine` looks for; the others are not looked through.
        if b"\\u0000" in body or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
            examine(msgspec.json.decode(body))
        return value

    def read_shape(self, body: bytes) -> T:
        """As `read`, for who looks through the content himself."""
        if not body:
            raise InvalidRequest.field(BODY, "is required: a JSON object")
        try:
            return self.decoder.decode(body)
        except msgspec.ValidationError as error:
            raise wrong(error, self._type) from None
        except RecursionError:
            raise InvalidRequest.field(BODY, _TOO_DEEP) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if (readable := marked(body)) != body:
                return self.read(readable)
            words = str(error) if isinstance(error, msgspec.DecodeError) else "it is not UTF-8"
            raise InvalidRequest.field(BODY, f"must be JSON: {words}") from None


class Either:
    """Reads bodies of one of two shapes: a single thing, or an object whose one list has many of them."""

    def __init__(self, one: type[msgspec.Struct], many: type[msgspec.Struct]) -> None:
        self._one = Reader[Any](one)
        self._many = Reader[Any](many)
        self.field = next(field.encode_name for field in msgspec.structs.fields(many) if field.required)
        self._unknown = f"unknown field `{self.field}`"

    def read(self, body: bytes) -> Any:
        """The single thing or the many. Raises InvalidRequest."""
        return self._many.read(body) if self.is_many(body) else self._one.read(body)

    def is_many(self, body: bytes) -> bool:
        """Whether it has the list: decoding it as the single thing stops there at once."""
        try:
            self._one.decoder.decode(body)
        except msgspec.ValidationError as error:
            return self._unknown in str(error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return False


def wrong(error: msgspec.ValidationError, type_: Any, prefix: str = "") -> InvalidRequest:
    """The words of msgspec as ours: "Expected `int`, got `str` - at `$.a[3].b`" is about the field `a[3].b`."""
    found = _AT.match(str(error))
    assert found is not None
    words, path = found["words"], (found["path"] or "$")[1:]
    named = _FIELD_NAMED.match(words)
    place = inspect.type_info(type_)
    if named is not None:
        field = _join(prefix, f"{path}.{named['name']}")
        return InvalidRequest.field(field, _about_name(named["how"], named["name"], list(_at(place, path))))
    return InvalidRequest.field(_join(prefix, path) or BODY, _say(words, place, path))


def inside(prefix: str, error: InvalidRequest) -> InvalidRequest:
    """The same error about a part of something larger: `occurred_at` becomes `events[3].occurred_at`."""
    errors = [
        FieldError(_join(prefix, "" if field == BODY else f".{field}"), message) for field, message in error.errors
    ]
    return InvalidRequest("; ".join(f"{field}: {message}" for field, message in errors), errors=errors)


def _join(prefix: str, path: str) -> str:
    return (prefix + path).lstrip(".")


def _about_name(how: str, name: str, places: list[inspect.Type]) -> str:
    if how == "missing required":
        return "is required"
    known = [field.encode_name for place in places if isinstance(place, inspect.StructType) for field in place.fields]
    if name in known:  # of another member of the union
        return "is not a field of this type"
    close = difflib.get_close_matches(name, known, n=1)
    return f"is not a field here; did you mean {close[0]}?" if close else "is not a field here"


def _say(words: str, root: inspect.Type, path: str) -> str:
    pattern = _PATTERN.match(words)
    if pattern is not None:
        hint = next((hint for known, hint in HINTS.items() if repr(known) == pattern["pattern"]), None)
        return hint or words
    if words.startswith(("Invalid enum value", "Invalid value")):
        allowed = sorted({value for place in _at(root, path) for value in _values(place)})
        return f"must be {'one of ' if allowed[1:] else ''}{', '.join(allowed)}" if allowed else words
    if words.startswith(("Expected `datetime", "Invalid RFC3339")):
        return "must be a time in RFC 3339 with a zone, such as 2026-11-22T17:00:00Z"
    return plainly(words)


def plainly(words: str) -> str:
    """Words of msgspec about a type or a bound, as people say them: "must be a list of at most 1000 items"."""
    sized = _LENGTH.sub(_size, words.replace("Number out of range", "must be a number within the range of a double"))
    return re.sub(r"`([^`]*)`", lambda kind: _kinds(kind[1]), sized).replace("Expected", "must be", 1)


def _size(found: re.Match[str]) -> str:
    kind, count = found["kind"], found["count"]
    part = _PARTS.get(kind.strip("`"), "byte")
    several = part if count == "1" else f"{part.removesuffix('y')}ies" if part.endswith("y") else f"{part}s"
    return f"{kind} of {_BOUNDS[found['bound']]} {count} {several}"


def _kinds(names: str) -> str:
    """`str | null` as people say it; null equals absent and is not worth a word."""
    kinds = [name for name in names.split(" | ") if name != "null"] or [names]
    return " or ".join(_JSON_TYPES.get(kind, kind) for kind in kinds)


def _at(place: inspect.Type, path: str) -> Iterator[inspect.Type]:
    """The types that may stand at a path."""
    steps = [name or index for name, index in _STEP.findall(path)]
    places = list(_members(place))
    for step in steps:
        places = [member for one in places for inner in _step(one, step) for member in _members(inner)]
    yield from places


def _members(place: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(place, inspect.UnionType):
        for member in place.types:
            yield from _members(member)
    elif isinstance(place, inspect.Metadata):
        yield from _members(place.type)
    else:
        yield place


def _step(place: inspect.Type, step: str) -> Iterator[inspect.Type]:
    match place:
        case inspect.StructType():
            if step == place.tag_field:
                yield inspect.LiteralType((place.tag,))
            yield from (field.type for field in place.fields if field.encode_name == step)
        case inspect.ListType():
            yield place.item_type
        case inspect.DictType():
            yield place.value_type


def _values(place: inspect.Type) -> list[str]:
    match place:
        case inspect.EnumType():
            return [str(member.value) for member in place.cls]
        case inspect.LiteralType():
            return [str(value).lower() if isinstance(value, bool) else str(value) for value in place.values]
        case _:
            return []
