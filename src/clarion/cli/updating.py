"""`clarion replace` and `clarion withdraw`: new words for what was sent, or its end, wherever it is shown."""

from typing import Annotated

import typer

from clarion.cli import table
from clarion.cli.door import Where
from clarion.cli.options import AsJson, Data, Key, Project, Server, ask, values_of
from clarion.model import Json

Sent = Annotated[str, typer.Argument(help="The id of a notification that was sent, or of an update.", metavar="ID")]


def replace(
    notification: Sent,
    title: Annotated[str | None, typer.Option(help="The new first line.", metavar="TEXT")] = None,
    body: Annotated[str | None, typer.Option(help="What it says now.", metavar="TEXT")] = None,
    url: Annotated[str | None, typer.Option(help="What a tap opens now.", metavar="URL")] = None,
    values: Annotated[str | None, typer.Option("--values", help="Its new data, as JSON.", metavar="JSON")] = None,
    renotify: Annotated[bool, typer.Option("--renotify", help="With a sound; silently unless given.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Put new words in the place of a notification that was sent; all else stays."""
    told = {"title": title, "body": body, "url": url, "data": values_of(values)}
    changes: Json = {name: value for name, value in told.items() if value is not None}
    if renotify:
        changes["renotify"] = True
    answer = ask(Where(server, key, data, project), lambda door: door.replace(notification, changes))
    _print(answer, f"Replaced by {answer['id']}.", as_json=as_json)


def withdraw(
    notification: Sent,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Take a notification back: what was not sent is cancelled, what is shown is closed."""
    answer = ask(Where(server, key, data, project), lambda door: door.withdraw(notification))
    _print(answer, f"Withdrawn by {answer['id']}.", as_json=as_json)


def _print(answer: Json, sentence: str, *, as_json: bool) -> None:
    if as_json:
        table.print_json(answer)
    else:
        typer.echo(sentence)
