"""Whether JSON fits the schema of FCM's requests, as Google's reader of JSON judges it (the JSON form of proto3)."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

import msgspec

from clarion.testing.simulators.fcm_errors import Violation

SCHEMA: Final[dict[str, dict[str, Any]]] = msgspec.json.decode((files(__package__) / "fcm_schema.json").read_bytes())
"""By message type: each field and its type. `tools/fcm_schema.py` writes it from Google's discovery document."""
ROOT: Final = "SendMessageRequest"
_TARGETS: Final = ("token", "fid", "topic", "condition")
_TEXTS: Final = {
    "string": re.compile(r".*", re.DOTALL),
    "google-duration": re.compile(r"-?\d+(\.\d{1,9})?s"),
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
}
_INTEGER: Final = re.compile(r"-?\d+")
_INT32: Final = range(-(2**31), 2**31)
_SCALARS: Final = {
    "string": "TYPE_STRING",
    "boolean": "TYPE_BOOL",
    "int32": "TYPE_INT32",
    "float": "TYPE_FLOAT",
    "google-duration": "type.googleapis.com/google.protobuf.Duration",
    "google-datetime": "type.googleapis.com/google.protobuf.Timestamp",
}
_UNKNOWN: Final = 'Invalid JSON payload received. Unknown name "{}"{}: Cannot find field.'


def camel(name: str) -> str:
    """Both spellings are read: `collapse_key` is `collapseKey`."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class Reader:
    """One reading; `violations` is what was wrong."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def read(self, value: Any) -> dict[str, Any]:
        """The request with the names of the schema; what does not fit is left out and noted."""
        return self._message(value, ROOT, "")

    def _message(self, value: Any, kind: str, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(path, f"type.googleapis.com/google.firebase.fcm.v1.{kind}", value)
            return {}
        fields = SCHEMA[kind]
        read: dict[str, Any] = {}
        for name, given in value.items():
            field = camel(name)
            if field not in fields:
                where = f" at '{path}'" if path else ""
                self.violations.append(Violation(path, _UNKNOWN.format(name, where)))
            elif given is not None:
                read[field] = self._value(given, fields[field], f"{path}.{name}".lstrip("."))
        if kind == "Message":
            self._check_targets(read)
        return read

    def _value(self, value: Any, kind: Any, path: str) -> Any:
        match kind:
            case str() if kind.startswith("$"):
                return self._message(value, kind[1:], path)
            case [*names]:
                return self._enumerated(value, names, path)
            case {"list": inner}:
                return list(self._list(value, inner, path))
            case {"map": inner}:
                return dict(self._map(value, inner, path))
            case _:
                if not fits(value, kind):
                    self._wrong(path, _SCALARS[kind], value)
                return value

    def _list(self, value: Any, inner: Any, path: str) -> Iterator[Any]:
        if not isinstance(value, list):
            value = [value]  # proto's reader takes one for a list of one
        for index, item in enumerate(value):
            yield self._value(item, inner, f"{path}[{index}]")

    def _map(self, value: Any, inner: Any, path: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(value, dict):
            self._wrong(path, "Map", value)
            return
        for index, (name, item) in enumerate(value.items()):
            yield name, item if inner == "any" else self._value(item, inner, f"{path}[{index}].value")

    def _enumerated(self, value: Any, names: list[str], path: str) -> Any:
        if isinstance(value, str) and value.upper() in names:
            return value.upper()
        self._wrong(path, "TYPE_ENUM", value)
        return value

    def _check_targets(self, message: dict[str, Any]) -> None:
        """The target is a oneof of the schema: only one may be set (that none is set, FCM itself says)."""
        for other in [name for name in _TARGETS if name in message][1:]:
            text = f"Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{other}'"
            self.violations.append(Violation("message", text))

    def _wrong(self, path: str, kind: str, value: Any) -> None:
        text = f"Invalid value at '{path}' ({kind}), {msgspec.json.encode(value).decode()}"
        self.violations.append(Violation(path, text))


def fits(value: Any, kind: str) -> bool:
    """Whether a value is one of this scalar type, as the JSON form of proto3 allows."""
    if kind in _TEXTS:
        return isinstance(value, str) and bool(_TEXTS[kind].fullmatch(value))
    if kind == "boolean" or isinstance(value, bool):
        return kind == "boolean" and isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float)
    whole = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
    return isinstance(whole, int) and whole in _INT32
