"""Writes docs/reference/cli.md from the commands themselves; a test compares the two."""
# ruff: noqa: INP001 - a script, not a package

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from clarion.cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
HEAD = """# Command line

Written by `make docs` from the commands themselves. Exit codes: 0; 1 when something went wrong, with the reason on the
error channel; 2 when the command itself is wrong. In a checkout the program is `.venv/bin/clarion`.

Commands with `--server`, `--key` and `--data` do their work at a server, or straight in a folder or database on this
machine. The flags win; else `CLARION_SERVER` and `CLARION_KEY`; else `CLARION_DATA` or `CLARION_DATABASE_URL`. More in
the [settings](settings.md).
"""


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None or command.invoke_without_command:
        yield " ".join(path), command
    if inner is None:
        return
    for name, one in inner.items():
        yield from commands(one, (*path, name))


def section(words: str, command: Any) -> str:
    """One command: what it does, its arguments and its options."""
    rows = [row(parameter) for parameter in command.params if parameter.name != "help"]
    table = ["| | |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## {words}", "", command.help, "", *table])


def row(parameter: Any) -> str:
    """One line of the table: how it is written, and what it means."""
    if parameter.param_type_name == "argument":
        return f"| `{parameter.name.upper()}` | {parameter.help} |"
    value = "" if parameter.is_flag else f" {parameter.metavar}"
    names = ", ".join(f"`{name}{value}`" for name in parameter.opts)
    return f"| {names} | {parameter.help}{' Required.' if parameter.required else ''} |"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(*one) for one in commands(typer.main.get_command(app), ("clarion",)))])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
