"""`clarion automations …`: which there are, where everybody is in one of them, and the end of runs."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clarion.cli.asking import Asking, asks
from clarion.cli.problem import Misuse
from clarion.model import Json

automations_app = typer.Typer(
    help="Look at automations and where people are in them, and end runs.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="An automation of the project.", metavar="NAME")]
_STARTS = ("event", "segment", "attribute")


@automations_app.command("list")
@asks
def list_automations(asking: Asking) -> None:
    """List the automations of a project: what starts each, and how long it is."""
    asking.show(lambda door: door.automations(), print_automations)


def print_automations(found: list[Json]) -> None:
    """A row for each."""
    shown = Table("automation", "starts", "steps", "version", "on")
    for one in found:
        steps = str(len(one.get("steps") or [one]))
        on = "yes" if one.get("enabled", True) else "no"
        shown.add_row(escape(one["name"]), escape(start(one["on"])), steps, str(one.get("version", 1)), on)
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
    for line in drawn(answer["automation"], answer["counts"]):
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


def drawn(body: Json, counts: Json) -> Iterator[str]:
    """The automation line by line."""
    yield f"{body['name']}, version {counts['version']}: {start(body['on'])}"
    steps = body.get("steps") or []
    for at, (step, count) in enumerate(zip(steps, counts["steps"], strict=True)):
        last = at + 1 == len(steps)
        people = f"  {count['runs']:,} here" if count["runs"] else ""
        yield f"{'└' if last else '├'}─ {count['step']}. {told(step)}{people}"
        for way in ways(step):
            yield f"{' ' if last else '│'}    → {way}"
    for field, words in (("goal", "ends at its goal"), ("exit_on", "ends")):
        if body.get(field):
            yield f"{words}: {match(body[field])}"
    if body.get("exit_if"):
        yield "ends where exit_if holds"
    ended = ", ".join(f"{number:,} {how}" for how, number in counts["ended"].items() if number)
    earlier = f" ({counts['earlier']:,} on earlier versions)" if counts["earlier"] else ""
    yield f"under way: {counts['under_way']:,}{earlier}; ended: {ended or 'none'}"


def start(on: Json) -> str:
    """What starts it."""
    if on.get("api"):
        return "a call"
    kind = next((name for name in _STARTS if on.get(name)), "event")
    more = f" ({on.get('when', 'enters')})" if kind == "segment" else ""
    return f"{kind} {on.get(kind)}{more}"


def told(step: Json) -> str:
    """A step in a few words."""
    match_ = step["type"]
    if match_ == "send":
        message = step["notification"]
        return f"send {message.get('title') or 'template ' + str(message.get('template'))!r}"
    if match_ == "delay":
        return f"delay {_pause(step)}"
    if match_ == "wait":
        return f"wait for {match(step['for'])}, at most {_duration(step['timeout'])}"
    if match_ == "update_user":
        return f"set {', '.join(step['attributes'])}"
    return f"webhook {step['url']}" if match_ == "webhook" else str(match_)


def ways(step: Json) -> Iterator[str]:
    """Where it goes, other than down."""
    for path in step.get("paths") or []:
        yield f"{path['to']} {'if a rule holds' if path.get('if') else str(path.get('percent')) + ' %'}"
    if step.get("on_timeout"):
        yield f"{step['on_timeout']} if it does not come"
    if step.get("next"):
        yield str(step["next"])


def match(told_: Json) -> str:
    """An event with its conditions."""
    conditions = [f"{name} = {value}" for name, value in (told_.get("where") or {}).items()]
    conditions += [f"same {name}" for name in told_.get("same") or []]
    return str(told_["event"]) + (f" ({', '.join(conditions)})" if conditions else "")


def _pause(step: Json) -> str:
    if step.get("for"):
        return _duration(step["for"])
    until: dict[str, Any] = step.get("until") or {}
    window: dict[str, Any] = step.get("window") or {}
    days = " ".join((until or window).get("days") or [])
    hours = f"until {until['at']}" if until else f"to {window['start']}-{window['end']}"
    return f"{hours} {days}".rstrip()


def _duration(parts: Json) -> str:
    return " ".join(
        f"{number} {name.removesuffix('s') if number == 1 else name}" for name, number in parts.items() if number
    )
