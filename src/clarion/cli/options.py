"""What commands that ask a project share: where it is, and how the answer is told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
import typer

from clarion.cli.door import Door, Where, opened
from clarion.cli.problem import Problem
from clarion.model import Json

T = TypeVar("T")

_ASK = "Where to do it"
Server: TypeAlias = Annotated[
    str | None, typer.Option(help="The server to ask, or CLARION_SERVER.", rich_help_panel=_ASK, metavar="URL")
]
Key: TypeAlias = Annotated[
    str | None, typer.Option(help="A server key, or CLARION_KEY.", rich_help_panel=_ASK, metavar="sk_…")
]
Data: TypeAlias = Annotated[
    Path | None, typer.Option(help="The folder to open on this machine instead.", rich_help_panel=_ASK, metavar="DIR")
]
Project: TypeAlias = Annotated[
    str | None, typer.Option(help="With --data: which project, if it has several.", rich_help_panel=_ASK, metavar="ID")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def ask(where: Where, question: Callable[[Door], Awaitable[T]]) -> T:
    """The answer to a question that is asked at the door which the flags name."""

    async def answer() -> T:
        async with opened(where) as door:
            return await question(door)

    return asyncio.run(answer())


def values_of(values: str | None) -> Json | None:
    """What `--values` says. Raises Problem when it is no JSON object."""
    if values is None:
        return None
    try:
        return msgspec.json.decode(values, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem("--values takes a JSON object", f'such as {{"order_id": "A-17"}}: {error}') from None
