"""What commands that ask a project share: flags that say where it is, and whether the answer is told as JSON."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import msgspec
import typer

from clarion.cli import table
from clarion.cli.door import Door, Where, opened
from clarion.cli.problem import Problem
from clarion.model import Json

P = ParamSpec("P")
T = TypeVar("T")

_ASK = "Where to do it"
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _flags(
    as_json: AsJson = False,
    server: Annotated[
        str | None, typer.Option(help="The server to ask, or CLARION_SERVER.", rich_help_panel=_ASK, metavar="URL")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A server key, or CLARION_KEY.", rich_help_panel=_ASK, metavar="sk_…")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The folder to open on this machine instead.", rich_help_panel=_ASK, metavar="DIR"),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(help="With --data: which project, if it has several.", rich_help_panel=_ASK, metavar="ID"),
    ] = None,
) -> "Asking":
    return Asking(Where(server, key, data, project), as_json=as_json)


class Asking:
    """Asks questions at the door that the flags name, and tells the answers in the form that they name."""

    def __init__(self, where: Where, *, as_json: bool) -> None:
        self.where = where
        self._as_json = as_json

    def ask(self, question: Callable[[Door], Awaitable[T]]) -> T:
        """The answer."""

        async def answer() -> T:
            async with opened(self.where) as door:
                return await question(door)

        return asyncio.run(answer())

    def tell(self, answer: T, to_people: Callable[[T], None]) -> T:
        """Print an answer as JSON, or as people read it."""
        if self._as_json:
            table.print_json(answer)
        else:
            to_people(answer)
        return answer

    def show(self, question: Callable[[Door], Awaitable[T]], to_people: Callable[[T], None]) -> T:
        """Ask, and tell the answer."""
        return self.tell(self.ask(question), to_people)


def asks(command: Callable[Concatenate[Asking, P], None]) -> Callable[..., None]:
    """A command that asks a project: in place of its first argument it takes the flags."""
    signature, flags = inspect.signature(command), inspect.signature(_flags)

    @wraps(command)
    def with_flags(**values: Any) -> None:
        asking = _flags(**{name: values.pop(name) for name in flags.parameters})
        command(asking, **values)  # type: ignore[call-arg]  # a wrapper of ParamSpec would need *args

    own = list(signature.parameters.values())[1:]
    shown = [*own, *flags.parameters.values()]
    # Typer calls by name and reads both of these.
    with_flags.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {parameter.name: parameter.annotation for parameter in shown} | {"return": None}
    return with_flags


def values_of(values: str | None) -> Json | None:
    """What `--values` says. Raises Problem when it is no JSON object."""
    if values is None:
        return None
    try:
        return msgspec.json.decode(values, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem("--values takes a JSON object", f'such as {{"order_id": "A-17"}}: {error}') from None
