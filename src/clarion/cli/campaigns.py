"""`clarion campaigns …`: see how far campaigns are, start, pause, resume and cancel them."""

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from clarion.cli import campaign_table, table
from clarion.cli.door import Door, Where
from clarion.cli.options import AsJson, Data, Key, Project, Server, ask
from clarion.model import Json

campaigns_app = typer.Typer(
    help="See how far campaigns are; start, pause, resume and cancel them.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The campaign.", metavar="NAME")]
_EVERY_S = 0.5
_OVER = ("done", "cancelled", "draft")


@campaigns_app.command("list")
def list_campaigns(
    as_json: AsJson = False, server: Server = None, key: Key = None, data: Data = None, project: Project = None
) -> None:
    """List the campaigns of a project, with how far each is."""

    async def told(door: Door) -> Json:
        answer = await door.campaigns()
        begun = [one["name"] for one in answer["items"] if one["runs_begun"]]
        progress = {name: (await door.campaign(name))["progress"] for name in begun}
        items = [{**one, "progress": progress.get(one["name"])} for one in answer["items"]]
        return {"items": items}

    answer = ask(Where(server, key, data, project), told)
    if as_json:
        table.print_json(answer)
    else:
        campaign_table.print_campaigns(answer)


@campaigns_app.command("show")
def show_campaign(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it is over.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Show one campaign: what it says, how far it is, and what came of it."""

    async def told(door: Door) -> Json:
        return await (_followed(door, name) if follow else door.campaign(name))

    _print(ask(Where(server, key, data, project), told), as_json=as_json)


@campaigns_app.command("start")
def start_campaign(
    name: Name,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Let a draft run: at once, or when its schedule says so."""
    _print(ask(Where(server, key, data, project), lambda door: door.turn_campaign(name, "start")), as_json=as_json)


@campaigns_app.command("pause")
def pause_campaign(
    name: Name,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Keep back all that has not left yet, until it is resumed."""
    _print(ask(Where(server, key, data, project), lambda door: door.turn_campaign(name, "pause")), as_json=as_json)


@campaigns_app.command("resume")
def resume_campaign(
    name: Name,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Let a paused campaign go on where it was."""
    _print(ask(Where(server, key, data, project), lambda door: door.turn_campaign(name, "resume")), as_json=as_json)


@campaigns_app.command("cancel")
def cancel_campaign(
    name: Name,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Drop all that has not left yet, for good."""
    _print(ask(Where(server, key, data, project), lambda door: door.turn_campaign(name, "cancel")), as_json=as_json)


async def _followed(door: Door, name: str) -> Json:
    """Its last state, once nothing of it is under way; a bar until then, on the channel for people."""
    columns: tuple[Any, ...] = (
        TextColumn("{task.fields[word]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None, word="", said="")
        while True:
            told = await door.campaign(name)
            bar.update(
                task,
                total=told["progress"]["audience"],
                completed=told["progress"]["decided"],
                word=told["state"],
                said=campaign_table.figures(told),
            )
            if told["state"] in _OVER:
                return told
            await asyncio.sleep(_EVERY_S)


def _print(answer: Json, *, as_json: bool) -> None:
    if as_json:
        table.print_json(answer)
    else:
        campaign_table.print_campaign(answer)
