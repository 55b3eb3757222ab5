"""A value inside a document, compared in SQL: of the type that is asked for, or the comparison is false.

PostgreSQL has JSONB with an order of its own; SQLite has functions over text. Numbers are numbers whether they were
written `1` or `1.0`, text is ordered by code points, and true is not 1.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Numeric,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from clarion.model.segments import Operator, Scalar
from clarion.storage.database import to_json

Condition = ColumnElement[bool]
_ORDERED = {Operator.GT: "__gt__", Operator.GTE: "__ge__", Operator.LT: "__lt__", Operator.LTE: "__le__"}
_OPPOSITE = {Operator.NE: Operator.EQ, Operator.NOT_IN: Operator.IN, Operator.NOT_EXISTS: Operator.EXISTS}


def surely(condition: ColumnElement[Any]) -> Condition:
    """False where SQL would not know."""
    return func.coalesce(condition, literal(value=False))


def column_compares(column: ColumnElement[Any], op: Operator, value: Any) -> Condition:
    """A text or boolean column that may be empty, compared as a value inside a document is."""
    if op in _OPPOSITE:
        return ~column_compares(column, _OPPOSITE[op], value)
    match op:
        case Operator.EXISTS:
            return column.is_not(None)
        case Operator.IN:
            return surely(column.in_(value))
        case Operator.CONTAINS:
            return surely(func.replace(column, value, "") != column)
        case Operator.STARTS_WITH:
            return surely(func.substr(column, 1, len(value)) == value)
        case _:
            return surely(column == value)


class JsonValues:
    """What both engines share; `compares` is what others call."""

    def compares(self, document: ColumnElement[Any], name: str, op: Operator, value: Any) -> Condition:  # noqa: PLR0911 - a line for each
        """`value` fits `op`, as `journey.segments` has checked."""
        if op in _OPPOSITE:
            return ~self.compares(document, name, _OPPOSITE[op], value)
        match op:
            case Operator.EXISTS:
                return self.exists(document, name)
            case Operator.EQ:
                return self.equals(document, name, value)
            case Operator.IN:
                return or_(*(self.equals(document, name, one) for one in value))
            case Operator.CONTAINS:
                return self._contains(document, name, value)
            case Operator.STARTS_WITH:
                return surely(func.substr(self.text(document, name), 1, len(value)) == value)
            case _:
                side = self.text(document, name) if isinstance(value, str) else self.number(document, name)
                bound = literal(value, Text) if isinstance(value, str) else self.bound(value)
                return surely(getattr(side, _ORDERED[op])(bound))

    def _contains(self, document: ColumnElement[Any], name: str, value: Scalar) -> Condition:
        """A list that has the value, or a text that has it as a part."""
        listed = self.has(document, name, value)
        if not isinstance(value, str):
            return listed
        text = self.text(document, name)
        return or_(listed, surely(func.replace(text, value, "") != text))

    def equals(self, document: ColumnElement[Any], name: str, value: Scalar) -> Condition:
        """The same type and value."""
        raise NotImplementedError

    def exists(self, document: ColumnElement[Any], name: str) -> Condition:
        """There, and not null."""
        raise NotImplementedError

    def text(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        """As text ordered by code points; NULL if it is none."""
        raise NotImplementedError

    def number(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        """As a number; NULL if it is none."""
        raise NotImplementedError

    def bound(self, value: float) -> ColumnElement[Any]:
        """A number to compare with."""
        raise NotImplementedError

    def has(self, document: ColumnElement[Any], name: str, value: Scalar) -> Condition:
        """A list with the value in it."""
        raise NotImplementedError


class PostgresValues(JsonValues):
    """JSONB."""

    def equals(self, document: ColumnElement[Any], name: str, value: Scalar) -> Condition:
        return surely(self._at(document, name) == _jsonb(value))

    def exists(self, document: ColumnElement[Any], name: str) -> Condition:
        return surely(self._type(document, name) != "null")

    def text(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        told = self._at(document, name).astext.collate("C")
        return case((self._type(document, name) == "string", told))

    def number(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        return case((self._type(document, name) == "number", cast(self._at(document, name).astext, Numeric)))

    def bound(self, value: float) -> ColumnElement[Any]:
        return cast(literal(to_json(value), Text), Numeric)  # a float's own digits, not what binary makes of them

    def has(self, document: ColumnElement[Any], name: str, value: Scalar) -> Condition:
        listed = self._type(document, name) == "array"
        return surely(and_(listed, self._at(document, name).contains(_jsonb(value))))

    def _at(self, document: ColumnElement[Any], name: str) -> Any:
        return type_coerce(document, JSONB)[name]

    def _type(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        return func.jsonb_typeof(self._at(document, name))


def _jsonb(value: Scalar) -> ColumnElement[Any]:
    return cast(literal(to_json(value), Text), JSONB)


class SqliteValues(JsonValues):
    """JSON text."""

    def equals(self, document: ColumnElement[Any], name: str, value: Scalar) -> Condition:
        if isinstance(value, bool):
            return surely(self._type(document, name) == to_json(value))
        if isinstance(value, str):
            return surely(self.text(document, name) == value)
        return surely(self.number(document, name) == self.bound(value))

    def exists(self, document: ColumnElement[Any], name: str) -> Condition:
        return surely(self._type(document, name) != "null")

    def text(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        return case((self._type(document, name) == "text", self._value(document, name)))

    def number(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        return case((self._type(document, name).in_(("integer", "real")), self._value(document, name)))

    def bound(self, value: float) -> ColumnElement[Any]:
        return literal(value)

    def has(self, document: ColumnElement[Any], name: str, value: Scalar) -> Condition:
        item = func.json_each(document, _path(name)).table_valued("type", "value")
        kinds, wanted = _kinds(value)
        one = select(literal(1)).select_from(item).where(item.c.type.in_(kinds))
        if wanted is not None:
            one = one.where(item.c.value == literal(wanted))
        return and_(surely(self._type(document, name) == "array"), exists(one.correlate(document.table)))

    def _type(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        return func.json_type(document, _path(name))

    def _value(self, document: ColumnElement[Any], name: str) -> ColumnElement[Any]:
        return func.json_extract(document, _path(name))


def _path(name: str) -> str:
    return f'$."{name}"'


def _kinds(value: Scalar) -> tuple[Sequence[str], Scalar | None]:
    if isinstance(value, bool):
        return (to_json(value),), None
    return (("text",), value) if isinstance(value, str) else (("integer", "real"), value)


def big(value: int) -> ColumnElement[int]:
    """A whole number of 64 bits."""
    return literal(value, BigInteger)
