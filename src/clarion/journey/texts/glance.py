"""A glance at a person: the few attributes that a text reads, so that it is worked out once for all who are alike."""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import TypeAlias

import msgspec

Glance: TypeAlias = Callable[[str | bytes], object]
"""Raw attributes → those that a text reads, in a form that is equal for people who are alike in them."""

_PERSON = "user"
_OWN_FIELDS = frozenset({"user_id", "locale", "timezone"})
"""What texts see of a person beside the attributes, see `words.user_facts`."""


def glance(paths: Collection[str]) -> Glance | None:
    """The glance of a text that reads these paths; None when it reads more of a person than a few attributes."""
    read = [path.split(".") for path in paths]
    of_person = [path for path in read if path[0] == _PERSON]
    names = sorted({path[1] for path in of_person if len(path) > 1})
    if not names or [_PERSON] in of_person or not _OWN_FIELDS.isdisjoint(names):
        return None
    return _glance(tuple(names))


@lru_cache(maxsize=256)
def _glance(names: tuple[str, ...]) -> Glance:
    """Values as they are written: nothing else is parsed, and 1 stays another value than true."""
    written = {f"attribute_{at}": name for at, name in enumerate(names)}
    fields = [(field, msgspec.Raw, msgspec.Raw(b"")) for field in written]
    decode = msgspec.json.Decoder(msgspec.defstruct("Glanced", fields, rename=written, gc=False)).decode
    if len(names) == 1:
        return lambda attributes: bytes(decode(attributes).attribute_0)  # type: ignore[attr-defined]
    return lambda attributes: tuple(map(bytes, msgspec.structs.astuple(decode(attributes))))
