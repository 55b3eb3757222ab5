"""One thing or up to a thousand of them in one body; in a batch the good ones are kept and the others told apart."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec

from clarion.api.answers.sending import BatchAnswer, BatchError
from clarion.api.decoding import Either, Reader, inside
from clarion.api.fields import MAX_DEPTH, marked
from clarion.api.http import Answer
from clarion.api.schemas import MAX_BATCH
from clarion.errors import InvalidRequest

Item = TypeVar("Item", bound=msgspec.Struct)
Noun = TypeVar("Noun")

_OBJECTS_AN_ITEM = 2  # itself and its properties; what has more is looked into


class Taken(NamedTuple, Generic[Noun]):
    """What a body held, and what of it was not good."""

    nouns: list[Noun]
    errors: list[BatchError]


class Batches(Generic[Item]):
    """Reads bodies that are an item, or an object whose one list has items."""

    def __init__(self, one: type[Item], many: type[msgspec.Struct]) -> None:
        self._either = Either(one, many)
        self._field = self._either.field
        self._one = Reader[Item](one)
        self._many: msgspec.json.Decoder[Any] = msgspec.json.Decoder(many)
        # The same list with its items still as text: read when something in it is wrong.
        raw = msgspec.defstruct(
            "RawBatch",
            [(self._field, Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_BATCH)])],
            forbid_unknown_fields=True,
        )
        self._raw = Reader[Any](raw)

    def read(self, body: bytes, make: Callable[[Item], Noun]) -> Taken[Noun]:
        """What `make` makes of the items. It raises InvalidRequest for those that are not good.

        Raises:
            InvalidRequest: a single item is not good, or the batch as such is none.
        """
        if not self._either.is_many(body):
            return Taken([make(self._one.read(body))], [])
        items = self._at_once(body)
        if items is not None:
            return self._each(items, make)
        raw = getattr(self._raw.read_shape(marked(body)), self._field)
        return self._each(raw, lambda text: make(self._one.read(bytes(text))))

    def _at_once(self, body: bytes) -> Sequence[Item] | None:
        """All items in one go, unless something is wrong or has to be looked into."""
        try:
            items: Sequence[Item] = getattr(self._many.decode(body), self._field)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        nested = body.count(b"{") + body.count(b"[") - _OBJECTS_AN_ITEM * len(items)
        return None if nested > MAX_DEPTH or b"\\u0000" in body else items

    def _each(self, items: Sequence[Any], make: Callable[[Any], Noun]) -> Taken[Noun]:
        taken: Taken[Noun] = Taken([], [])
        for index, item in enumerate(items):
            try:
                taken.nouns.append(make(item))
            except InvalidRequest as error:
                placed = inside(f"{self._field}[{index}]", error)
                taken.errors.extend(
                    BatchError(index=index, code=error.code, field=field, message=message)
                    for field, message in placed.errors[:1]
                )
        return taken


def answer(new: Sequence[bool], errors: list[BatchError]) -> Answer:
    """202, with how many were new."""
    accepted = sum(new)
    if not errors:
        return Answer(202, b'{"accepted":%d,"duplicates":%d,"errors":[]}' % (accepted, len(new) - accepted))
    body = BatchAnswer(accepted=accepted, duplicates=len(new) - accepted, errors=errors)
    return Answer(202, msgspec.json.encode(body))
