"""`clarion replace` and `clarion withdraw`: new words for what was sent, or its end, wherever it is shown."""

from typing import Annotated

import typer

from clarion.cli.asking import Asking, asks, values_of
from clarion.model import Json

Sent = Annotated[str, typer.Argument(help="The id of a notification that was sent, or of an update.", metavar="ID")]


@asks
def replace(
    asking: Asking,
    notification: Sent,
    title: Annotated[str | None, typer.Option(help="The new first line.", metavar="TEXT")] = None,
    body: Annotated[str | None, typer.Option(help="What it says now.", metavar="TEXT")] = None,
    url: Annotated[str | None, typer.Option(help="What a tap opens now.", metavar="URL")] = None,
    values: Annotated[str | None, typer.Option("--values", help="Its new data, as JSON.", metavar="JSON")] = None,
    renotify: Annotated[bool, typer.Option("--renotify", help="With a sound; silently unless given.")] = False,
) -> None:
    """Put new words in the place of a notification that was sent; all else stays."""
    told = {"title": title, "body": body, "url": url, "data": values_of(values)}
    changes: Json = {name: value for name, value in told.items() if value is not None}
    if renotify:
        changes["renotify"] = True
    asking.show(
        lambda door: door.replace(notification, changes), lambda answer: typer.echo(f"Replaced by {answer['id']}.")
    )


@asks
def withdraw(asking: Asking, notification: Sent) -> None:
    """Take a notification back: what was not sent is cancelled, what is shown is closed."""
    asking.show(lambda door: door.withdraw(notification), lambda answer: typer.echo(f"Withdrawn by {answer['id']}."))
