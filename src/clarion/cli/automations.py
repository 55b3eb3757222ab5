"""`clarion automations …`: which there are, where everybody is in one of them, and the end of runs."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clarion.cli.asking import Asking, asks
from clarion.cli.problem import Misuse
from clarion.journey.automations import sentences
from clarion.journey.automations.flow import END, Flow
from clarion.model import Automation, Json

automations_app = typer.Typer(
    help="Look at automations and where people are in them, and end runs.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="An automation of the project.", metavar="NAME")]


@automations_app.command("list")
@asks
def list_automations(asking: Asking) -> None:
    """List the automations of a project: what starts each, and how long it is."""
    asking.show(lambda door: door.automations(), print_automations)


def _read(told: Json) -> Automation:
    return msgspec.convert(told, Automation)


def print_automations(found: list[Json]) -> None:
    """A row for each."""
    shown = Table("automation", "begins", "steps", "version", "on")
    for one in map(_read, found):
        steps, on = str(len(one.steps or [one])), "yes" if one.enabled else "no"
        shown.add_row(escape(one.name), escape(sentences.begins(one.on)), steps, str(one.version), on)
    Console().print(shown)


@automations_app.command("show")
@asks
def show_automation(
    asking: Asking,
    name: Name,
) -> None:
    """Draw the steps of an automation, with how many people are at each."""
    body, counts = asking.ask(lambda door: door.automation(name))
    asking.tell({"automation": body, "counts": counts}, print_automation)


def print_automation(answer: Json) -> None:
    """Its steps as lines with people beside them."""
    console = Console(highlight=False)
    for line in drawn(_read(answer["automation"]), answer["counts"]):
        console.print(escape(line), soft_wrap=True)


@automations_app.command("cancel")
@asks
def cancel_runs(
    asking: Asking,
    name: Name,
    run_key: Annotated[
        str | None, typer.Option("--run-key", help="Of the runs under this key, such as an order.", metavar="KEY")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Of this user; with --run-key the one of both.", metavar="ID")
    ] = None,
) -> None:
    """End runs that are under way: those under a key, those of a user, or the one of both."""
    if run_key is None and user is None:
        raise Misuse("Which runs?", "Say --run-key, --user or both. Deleting an automation ends all its runs.")
    which: Json = {field: told for field, told in (("key", run_key), ("user_id", user)) if told is not None}
    asking.show(
        lambda door: door.cancel_runs(name, which),
        lambda answer: typer.echo(_cancelled(name, answer["cancelled"], run_key, user)),
    )


def _cancelled(name: str, number: int, run_key: str | None, user: str | None) -> str:
    of = [f"under the key {run_key}"] * (run_key is not None) + [f"of the user {user}"] * (user is not None)
    runs = {0: "No run", 1: "1 run"}.get(number, f"{number:,} runs")
    return f"{runs} of {name} {' '.join(of)} {'was under way' if not number else 'cancelled'}."


def drawn(automation: Automation, counts: Json) -> Iterator[str]:
    """The automation line by line."""
    flow = Flow(automation)
    yield f"{automation.name}, version {counts['version']}: begins {sentences.begins(automation.on)}"
    for at, (step, count) in enumerate(zip(flow.steps, counts["steps"], strict=True)):
        last = at + 1 == len(flow.steps)
        people = f"  {count['runs']:,} here" if count["runs"] else ""
        yield f"{'└' if last else '├'}─ {count['step']}. {sentences.told(step)}{people}"
        for way in sentences.ways(flow, at):
            if way.to not in (at + 1, END):
                yield f"{' ' if last else '│'}    → {flow.label(way.to)} {way.when}".rstrip()
    if automation.goal is not None:
        yield f"ends at its goal: {sentences.matched(automation.goal)}"
    if automation.exit_on is not None:
        yield f"ends at: {sentences.matched(automation.exit_on)}"
    if automation.exit_if is not None:
        yield f"ends for {sentences.rule(automation.exit_if)}"
    ended = ", ".join(f"{number:,} {how}" for how, number in counts["ended"].items() if number)
    earlier = f" ({counts['earlier']:,} on earlier versions)" if counts["earlier"] else ""
    yield f"under way: {counts['under_way']:,}{earlier}; ended: {ended or 'none'}"
