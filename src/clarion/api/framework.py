"""Litestar as we use it: bodies by our own reader, the caller and the services as arguments of handlers."""

from collections.abc import Generator
from typing import Annotated, Any, ClassVar, TypeAlias, get_args

from litestar.di import NamedDependency
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.params import PathParameter, QueryParameter, SkipValidation
from litestar.typing import FieldDefinition

from clarion.api.auth import Caller
from clarion.api.decoding import Either, Reader
from clarion.api.desk import Desk
from clarion.api.identity import Identity, Visitor
from clarion.api.services import Services
from clarion.errors import InvalidRequest

FromServices: TypeAlias = NamedDependency[SkipValidation[Services]]
FromCaller: TypeAlias = NamedDependency[SkipValidation[Caller]]
FromDesk: TypeAlias = NamedDependency[SkipValidation[Desk]]
FromVisitor: TypeAlias = NamedDependency[SkipValidation[Visitor]]
FromIdentity: TypeAlias = NamedDependency[SkipValidation[Identity]]

UserIdInPath: TypeAlias = Annotated[
    str, PathParameter(min_length=1, max_length=255, description="The caller's own id.")
]
NameInPath: TypeAlias = Annotated[str, PathParameter(min_length=1, max_length=255)]
BroadcastIdInPath: TypeAlias = Annotated[
    str, PathParameter(min_length=1, max_length=100, description="Such as `catalog%2Fprices`.")
]
IdInPath: TypeAlias = Annotated[str, PathParameter(min_length=1, max_length=64)]
Cursor: TypeAlias = Annotated[
    str | None, QueryParameter(min_length=1, max_length=512, description="`next_cursor` of the page before.")
]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=1000, description="Items in a page.")]
PAGE = 100


def chosen(field: str, value: str | None, allowed: dict[str, Any]) -> Any:
    """The meaning of a word in the query. Raises InvalidRequest that lists the words."""
    if value is None:
        return None
    if value not in allowed:
        raise InvalidRequest.field(field, f"must be one of {', '.join(sorted(allowed))}")
    return allowed[value]


def reader(type_: Any) -> Reader[Any] | Either:
    """A reader of what a handler takes. Two structs without a tag are one thing, or many of them."""
    shapes = get_args(type_)
    if len(shapes) == 2 and all(shape.__struct_config__.tag is None for shape in shapes):  # noqa: PLR2004 - said above
        return Either(*shapes)
    return Reader(type_)


class Strict(AbstractDTO[Any]):
    """Reads a handler's `data` by our own reader: no guessing of types, and errors that name the field."""

    _readers: ClassVar[dict[str, Reader[Any] | Either]] = {}

    @classmethod
    def create_for_field_definition(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,
        backend_cls: Any = None,  # noqa: ARG003 - the framework passes it
    ) -> None:
        """Called for each handler when it is registered."""
        cls._readers[handler_id] = reader(field_definition.annotation)

    def decode_bytes(self, value: bytes) -> Any:
        """The body as the type of the handler's `data`. Raises InvalidRequest."""
        return self._readers[self.asgi_connection.route_handler.handler_id].read(value)

    @classmethod
    def generate_field_definitions(cls, *_: Any) -> Generator[DTOFieldDefinition, None, None]:
        """Not used: there is no transfer model."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, *_: Any) -> bool:
        """Not used: there is no transfer model."""
        return False
