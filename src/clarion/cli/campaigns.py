"""`clarion campaigns …`: see how far campaigns are, start, pause, resume and cancel them."""

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from clarion.cli import campaign_table
from clarion.cli.asking import Asking, asks
from clarion.cli.door import Door
from clarion.model import Json

campaigns_app = typer.Typer(
    help="See how far campaigns are; start, pause, resume and cancel them.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The campaign.", metavar="NAME")]
_EVERY_S = 0.5
_OVER = ("done", "cancelled", "draft")


@campaigns_app.command("list")
@asks
def list_campaigns(asking: Asking) -> None:
    """List the campaigns of a project, with how far each is."""

    async def told(door: Door) -> Json:
        answer = await door.campaigns()
        begun = [one["name"] for one in answer["items"] if one["runs_begun"]]
        progress = {name: (await door.campaign(name))["progress"] for name in begun}
        items = [{**one, "progress": progress.get(one["name"])} for one in answer["items"]]
        return {"items": items}

    asking.show(told, campaign_table.print_campaigns)


@campaigns_app.command("show")
@asks
def show_campaign(
    asking: Asking,
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its progress until it is over.")] = False,
) -> None:
    """Show one campaign: what it says, how far it is, and what came of it."""

    async def told(door: Door) -> Json:
        return await (_followed(door, name) if follow else door.campaign(name))

    asking.show(told, campaign_table.print_campaign)


@campaigns_app.command("start")
@asks
def start_campaign(asking: Asking, name: Name) -> None:
    """Let a draft run: at once, or when its schedule says so."""
    asking.show(lambda door: door.turn_campaign(name, "start"), campaign_table.print_campaign)


@campaigns_app.command("pause")
@asks
def pause_campaign(asking: Asking, name: Name) -> None:
    """Keep back all that has not left yet, until it is resumed."""
    asking.show(lambda door: door.turn_campaign(name, "pause"), campaign_table.print_campaign)


@campaigns_app.command("resume")
@asks
def resume_campaign(asking: Asking, name: Name) -> None:
    """Let a paused campaign go on where it was."""
    asking.show(lambda door: door.turn_campaign(name, "resume"), campaign_table.print_campaign)


@campaigns_app.command("cancel")
@asks
def cancel_campaign(asking: Asking, name: Name) -> None:
    """Drop all that has not left yet, for good."""
    asking.show(lambda door: door.turn_campaign(name, "cancel"), campaign_table.print_campaign)


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
