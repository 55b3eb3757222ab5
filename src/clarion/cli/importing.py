"""`clarion events import`: a file of events, batch by batch; lines that are not good are told, the rest is kept."""

import asyncio
import csv
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from clarion.api.decoding import plainly
from clarion.cli.problem import Misuse, Problem
from clarion.cli.table import printed
from clarion.model import Json

BATCH = 1_000
_AT_ONCE = 8  # calls, which share a commit
_MOST_TOLD = 20
_FIELDS = ("user_id", "name", "occurred_at", "id")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,9})?")
_WORDS = {"true": True, "false": False, "": None}

Send = Callable[[Json], Awaitable[Json]]
"""`POST /v1/events` with the body of a batch."""


class Shape(NamedTuple):
    """How a file is to be read. `columns`: ours → the file's; `name`: of events whose line has none."""

    columns: Mapping[str, str]
    name: str | None = None


class Line(NamedTuple):
    """An event of a file, or why the line is none; `read`: how many bytes of the file are behind it."""

    number: int
    event: Json | None
    problem: str
    read: int


class Bad(msgspec.Struct, frozen=True):
    """A line that was left out."""

    line: int
    message: str


class Imported(msgspec.Struct, frozen=True):
    """What became of a file."""

    accepted: int
    duplicates: int
    errors: list[Bad]


def print_imported(told: Imported) -> None:
    """What became of a file, and the first lines that were left out."""
    accepted, known = told.accepted, f", {told.duplicates:,} known already" if told.duplicates else ""
    printed(Text.assemble(("✓ ", "green"), f"{accepted:,} event{'' if accepted == 1 else 's'}{known}"))
    for bad in told.errors[:_MOST_TOLD]:
        printed(Text.assemble(("✗ ", "red"), (f"line {bad.line}", "bold"), (": ", "dim"), bad.message))
    if told.errors:
        lines = "lines were" if len(told.errors) > 1 else "line was"
        printed(Text(f"{len(told.errors):,} {lines} left out.", "red"))


def columns(told: Iterable[str]) -> dict[str, str]:
    """`OURS=THEIRS` each. Raises Misuse."""
    found = {}
    for each in told:
        ours, _, theirs = each.partition("=")
        if ours not in _FIELDS or not theirs:
            raise Misuse("--column is not understood", f"Say OURS=THEIRS, where OURS is one of {', '.join(_FIELDS)}.")
        found[ours] = theirs
    return found


async def run(file: Path, shape: Shape, send: Send) -> Imported:
    """Send a whole file, with a progress bar on the error channel. Running it again changes nothing.

    Raises:
        Problem: the file cannot be read, or its first line says that it is none of events.
    """
    accepted, duplicates, errors = 0, 0, list[Bad]()
    try:
        with file.open("rb") as opened, _bar() as progress:
            task = progress.add_task(file.name, total=os.fstat(opened.fileno()).st_size, kept=0)
            batches = _batches(_lines(file, opened, shape))
            while at_once := list(islice(batches, _AT_ONCE)):
                for done in await asyncio.gather(*(_sent(lines, send) for lines in at_once)):
                    accepted, duplicates = accepted + done.accepted, duplicates + done.duplicates
                    errors += done.errors
                progress.update(TaskID(task), completed=at_once[-1][-1].read, kept=accepted + duplicates)
    except OSError as error:
        raise Problem(f"{file} cannot be read", str(error.strerror)) from None
    return Imported(accepted, duplicates, sorted(errors, key=lambda bad: bad.line))


async def _sent(lines: Sequence[Line], send: Send) -> Imported:
    """What became of one batch."""
    errors = [Bad(line.number, line.problem) for line in lines if line.event is None]
    good = [line for line in lines if line.event is not None]
    if not good:
        return Imported(0, 0, errors)
    told = await send({"events": [line.event for line in good]})
    errors += [Bad(good[each["index"]].number, _of_item(each)) for each in told["errors"]]
    return Imported(told["accepted"], told["duplicates"], errors)


def _of_item(error: Json) -> str:
    """`events[3].name` is `name` of the line."""
    return f"{error['field'].rpartition('].')[2]}: {error['message']}"


def _bar() -> Progress:
    kept = TextColumn("{task.fields[kept]:,} events")
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), kept
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


# --- reading ---------------------------------------------------------------------------------------------------------


def _lines(file: Path, opened: BinaryIO, shape: Shape) -> Iterator[Line]:
    """The lines of a CSV file with a heading, else of JSON objects."""
    read = _csv if file.suffix.lower() in {".csv", ".tsv"} else _json
    seen: dict[bytes, int] = {}
    for number, content, event, problem, behind in read(file, opened, shape):
        if event is None:
            yield Line(number, None, problem, behind)
            continue
        named = b""
        if shape.name is not None and "name" not in event:
            event["name"] = shape.name
            named = shape.name.encode() + b"\x1f"  # under another name it is another event
        if event.get("id") is None:
            event["id"] = _made_id(named + content, seen)
        yield Line(number, event, "", behind)


def _made_id(content: bytes, seen: dict[bytes, int]) -> str:
    """By what the line says, and how many said the same before it: a file that is sent again counts once."""
    said = blake2b(content, digest_size=16).digest()
    seen[said] = times = seen.get(said, 0) + 1
    return f"import.{said.hex()}.{times}"


_Read = tuple[int, bytes, Json | None, str, int]
"""Line number, its text, the event or None, the problem, bytes up to its end."""


def _json(_file: Path, opened: BinaryIO, shape: Shape) -> Iterator[_Read]:
    behind = 0
    ours = {theirs: name for name, theirs in shape.columns.items()}
    for number, line in enumerate(opened, 1):
        behind += len(line)
        content = line.strip()
        if not content:
            continue
        try:
            told = msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield number, content, None, f"is not a JSON object: {plainly(str(error).partition(' - at ')[0])}", behind
            continue
        yield number, content, {ours.get(name, name): value for name, value in told.items()}, "", behind


def _csv(file: Path, opened: BinaryIO, shape: Shape) -> Iterator[_Read]:
    behind = 0

    def texts() -> Iterator[str]:
        nonlocal behind
        for line in opened:
            behind += len(line)
            yield line.decode("utf-8-sig" if behind == len(line) else "utf-8", "surrogateescape")

    rows = csv.reader(texts(), delimiter="\t" if file.suffix.lower() == ".tsv" else ",", strict=True)
    heading = next(rows, [])
    names = {theirs: name for name, theirs in shape.columns.items()}
    told = [column.strip() for column in heading]
    columns = [names.get(column, column) for column in told]
    _check_heading(file, told, columns, shape)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield rows.line_num, b"", None, f"is not CSV: {error}", behind
            continue
        if row is None:
            return
        if row:
            content = "\x1f".join(row).encode("utf-8", "surrogateescape")
            yield rows.line_num, content, *_of_row(columns, row), behind


def _check_heading(file: Path, told: list[str], columns: list[str], shape: Shape) -> None:
    """`told`: what the first line has; `columns`: the same in our words. Raises Problem."""
    unknown = next((theirs for theirs in shape.columns.values() if theirs not in told), None)
    if unknown is not None:
        raise Problem(f"{file} has no column {unknown}", f"Its first line names {', '.join(told) or 'none'}.")
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise Problem(f"{file} has two columns for {twice}", "Only one of them can be it.")
    missing = [name for name in ("user_id", "name") if name not in columns]
    if shape.name is not None and "name" in missing:
        missing.remove("name")
    if missing:
        raise Problem(
            f"{file} does not say what is in it",
            f"Its first line must name the columns, and has no {' and no '.join(missing)}: "
            f"say --column {missing[0]}=COLUMN{', or --name NAME' if 'name' in missing else ''}.",
        )


def _of_row(columns: list[str], row: list[str]) -> tuple[Json | None, str]:
    """The event, or what is wrong."""
    if len(row) != len(columns):
        return None, f"has {len(row)} columns instead of {len(columns)}"
    told = dict(zip(columns, row, strict=True))
    try:
        for value in row:
            value.encode()
    except UnicodeEncodeError:
        return None, "is not UTF-8"
    event: Json = {name: told[name] for name in _FIELDS if told.get(name)}
    if "occurred_at" in event:
        event["occurred_at"] = _moment(event["occurred_at"])
    event["properties"] = {name: _value(text) for name, text in told.items() if name not in _FIELDS and text}
    return event, ""


def _moment(text: str) -> str:
    """As RFC 3339; without a zone it is UTC. What is no time stays, and is refused with its line."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).isoformat()


def _value(text: str) -> object:
    """Numbers, true and false as such; what begins with a zero or a plus is a text, as a postcode is."""
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return _WORDS.get(text, text)
