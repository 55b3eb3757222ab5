"""`clarion segment …`: look into a segment before it is used, and upload a list."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from clarion.api.decoding import plainly
from clarion.cli import table
from clarion.cli.asking import Asking, asks
from clarion.cli.door import Door
from clarion.cli.problem import Misuse, Problem
from clarion.model import Json

segment_app = typer.Typer(help="Look into segments, and upload lists of people.", no_args_is_help=True)
INPUT = "-"
_A_CALL = 10_000


@segment_app.command("preview")
@asks
def preview_segment(
    asking: Asking,
    name: Annotated[str | None, typer.Argument(help="A segment of the project.", metavar="NAME")] = None,
    file: Annotated[
        str | None, typer.Option(help="A rule to try out, as JSON; - reads it from the input.", metavar="FILE")
    ] = None,
    ready_made: Annotated[
        str | None, typer.Option(help="A ready-made segment to try out, such as cart_abandoned.", metavar="NAME")
    ] = None,
) -> None:
    """Tell who is in a segment now: its rule as a sentence, how many they are, and some of them."""
    given = [one for one in (name, file, ready_made) if one is not None]
    if len(given) != 1:
        raise Misuse("Which segment?", "Give a NAME, or --file, or --ready-made.")
    body: Json = {"segment": name} if name else {"ready_made": ready_made} if ready_made else _rule(str(file))
    asking.show(lambda door: door.preview_segment(body), table.print_preview)


def _rule(file: str) -> Json:
    """A rule by itself, or a segment as the API takes it."""
    with _opened(file) as content:
        try:
            told = msgspec.json.decode(content.read(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(f"{file} is no rule", f"It must be a JSON object: {plainly(str(error))}") from None
    if "type" in told:
        return {"rule": told}
    return {field: value for field, value in told.items() if field not in {"name", "description", "sentence"}}


@segment_app.command("upload")
@asks
def upload_list(
    asking: Asking,
    name: Annotated[str, typer.Argument(help="A segment that is a list.", metavar="NAME")],
    file: Annotated[str, typer.Argument(help="User ids, one a line, or CSV; - reads the input.", metavar="FILE")],
    column: Annotated[
        str | None, typer.Option(help="The CSV column with the user ids; the first line has its name.", metavar="NAME")
    ] = None,
) -> None:
    """Put people on the list of a segment. Doing it again changes nothing: nobody is on it twice."""
    with _opened(file) as content:
        users = _user_ids(content, column, file)
        asking.show(
            lambda door: _uploaded(door, name, users),
            lambda answer: typer.echo(f"Read {answer['read']:,} ids, {answer['added']:,} of them new to {name}."),
        )


async def _uploaded(door: Door, name: str, users: Iterator[str]) -> Json:
    read = added = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"Putting people on {name}", total=None)
        while part := list(islice(users, _A_CALL)):
            added += (await door.add_to_segment(name, part))["added"]
            read += len(part)
            progress.update(task, completed=read, description=f"Putting people on {name}: {read:,}")
    return {"read": read, "added": added}


def _user_ids(content: IO[bytes], column: str | None, file: str) -> Iterator[str]:
    """The ids of a file, in order, without empty lines. Raises Problem with the line."""
    at = 0
    try:
        lines = (line.decode("utf-8-sig" if not number else "utf-8") for number, line in enumerate(content))
        rows = csv.reader(lines, strict=True)
        if column is not None:
            header = next(rows, [])
            if column not in header:
                raise Problem(f"{file} has no column {column}", f"Its first line has: {', '.join(header)}")
            at = header.index(column)
        for row in rows:
            if not any(row):
                continue
            if column is None and len(row) > 1:
                raise Problem(f"{file}, line {rows.line_num}, has several columns", "--column NAME says which one.")
            if len(row) <= at or not 0 < len(row[at]) <= 255:  # noqa: PLR2004 - as the API says
                raise Problem(f"{file}, line {rows.line_num}, has no user id", "It must have 1 to 255 characters.")
            yield row[at]
    except (csv.Error, UnicodeDecodeError) as error:
        raise Problem(f"{file} is not CSV in UTF-8", str(error)) from None


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == INPUT:
        yield sys.stdin.buffer
        return
    try:
        content = Path(file).open("rb")  # noqa: SIM115 - closed below, its own error told here
    except OSError as error:
        raise Problem(f"{file} cannot be read", str(error.strerror)) from None
    with content:
        yield content
