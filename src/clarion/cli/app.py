"""The commands, in the words of the documentation. Heavy parts are imported by the command that needs them."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from clarion import __version__
from clarion.cli import agent, table
from clarion.cli.asking import AsJson, Asking, asks
from clarion.cli.automations import automations_app
from clarion.cli.campaigns import campaigns_app
from clarion.cli.door import is_named
from clarion.cli.keys import keys_app
from clarion.cli.problem import Problem, show
from clarion.cli.segments import segment_app
from clarion.cli.settings import load
from clarion.cli.simulate import simulate_app
from clarion.cli.updating import replace, withdraw
from clarion.errors import ClarionError
from clarion.model import Json
from clarion.ports import Dimension as By

_HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    help="Clarion: push notifications that a team runs itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)
project_app = typer.Typer(help="Make projects.", no_args_is_help=True)
template_app = typer.Typer(help="Look at the templates of a project.", no_args_is_help=True)
events_app = typer.Typer(help="Bring in what happened elsewhere.", no_args_is_help=True)
credentials_app = typer.Typer(help="Look after the credentials of all projects.", no_args_is_help=True)
app.add_typer(project_app, name="project")
app.add_typer(keys_app, name="keys")
app.add_typer(events_app, name="events")
app.add_typer(credentials_app, name="credentials")
app.add_typer(campaigns_app, name="campaigns")
app.add_typer(template_app, name="template")
app.add_typer(agent.app, name="agent")
app.add_typer(simulate_app, name="simulate")
app.add_typer(segment_app, name="segment")
app.add_typer(automations_app, name="automations")

Folder: TypeAlias = Annotated[Path | None, typer.Option(help="The folder of data and keys.", metavar="DIR")]
Port: TypeAlias = Annotated[
    int | None, typer.Option(help="Port for HTTP; 8700 unless set.", metavar="PORT", min=1, max=65535)
]
PushPort: TypeAlias = Annotated[
    int | None, typer.Option(help="Port for devices; 8701 unless set.", metavar="PORT", min=1, max=65535)
]

Gcm: TypeAlias = Annotated[
    bool | None, typer.Option("--gcm", help="Also serve unmodified Chromium, which speaks Google's protocol.")
]
GcmPort: TypeAlias = Annotated[
    int | None, typer.Option(help="Port for Chromium; 8702 unless set.", metavar="PORT", min=1, max=65535)
]


def main() -> None:
    """Run the command line: exit code 0; 1 when something went wrong; 2 when the command itself is wrong."""
    try:
        app()
    except Problem as problem:
        show(problem)
        sys.exit(problem.exit_code)
    except ClarionError as error:
        show(Problem.of(error))
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clarion {__version__}")
        raise typer.Exit


@app.callback()
def _clarion(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="all, api, worker, scheduler, gateway or dashboard; repeat it, or list with commas.", metavar="ROLE"
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless set.", metavar="HOST")
    ] = None,
    port: Port = None,
    push_port: PushPort = None,
    gcm: Gcm = None,
    gcm_port: GcmPort = None,
    data: Folder = None,
) -> None:
    """Run a server: everything in one process, or some of its roles."""
    settings = load(host=host, port=port, push_port=push_port, gcm=gcm, gcm_port=gcm_port, data=data)
    from clarion.cli import running  # noqa: PLC0415 - the whole platform

    running.serve(settings, role or ["all"])


@app.command()
def demo(
    data: Folder = None, port: Port = None, push_port: PushPort = None, gcm: Gcm = None, gcm_port: GcmPort = None
) -> None:
    """Run everything with a small shop, a ready project and a page that shows what happens."""
    # Not the folder that a server of this machine may use, and quiet, so that the banner stays in sight.
    defaults = {
        "CLARION_DATA": ".clarion/demo",
        "CLARION_LOG_LEVEL": "warning",
        "CLARION_ALLOW_PRIVATE_ENDPOINTS": "on",
    }
    settings = load(defaults, port=port, push_port=push_port, gcm=gcm, gcm_port=gcm_port, data=data)
    from clarion.cli import running  # noqa: PLC0415 - the whole platform

    running.serve_demo(settings)


@project_app.command("create")
def create_project(
    name: Annotated[str, typer.Argument(help="What people call it.")], data: Folder = None, as_json: AsJson = False
) -> None:
    """Make a project in a folder, and print its keys, which are not shown again."""
    from clarion.cli import folder  # noqa: PLC0415 - the whole platform

    answer = asyncio.run(folder.create_project(data, name))
    if as_json:
        table.print_json(answer)
    else:
        table.print_new_project(answer)


@app.command()
@asks
def send(
    asking: Asking,
    user: Annotated[list[str], typer.Option(help="To whom, by your own id; may be repeated.", metavar="ID")],
    title: Annotated[str, typer.Option(help="The first line.", metavar="TEXT")],
    body: Annotated[str | None, typer.Option(help="What it says.", metavar="TEXT")] = None,
    category: Annotated[
        str | None, typer.Option(help="What kind of message it is; general unless given.", metavar="NAME")
    ] = None,
    url: Annotated[str | None, typer.Option(help="What a tap opens.", metavar="URL")] = None,
    arm: Annotated[bool, typer.Option("--arm", help="Only prepare it; `clarion fire` sends it.")] = False,
) -> None:
    """Send a notification."""
    told = {"title": title, "body": body, "category": category, "url": url}
    wanted: dict[str, Any] = {"to": {"users": user}} | {
        name: value for name, value in told.items() if value is not None
    }
    if arm:
        wanted["arm"] = True

    def to_people(answer: Json) -> None:
        if arm:
            typer.echo(f"Armed {answer['id']}. Send it with: clarion fire {answer['id']}")
        else:
            table.print_sent(answer, user[0])

    asking.show(lambda door: door.notify(wanted), to_people)


@app.command()
@asks
def lint(
    asking: Asking,
    file: Annotated[
        str | None, typer.Argument(help="A message or a template as JSON; - reads it from the input.", metavar="FILE")
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="A template of the project, instead of a file.", metavar="NAME")
    ] = None,
) -> None:
    """Look at the words of a message: is its title honest, and does it fit? Exit code 1 if they should not be sent."""
    from clarion.cli import linting  # noqa: PLC0415 - schemas, which other commands do not need

    body = linting.asked(file, template)
    needs_a_project = template is not None or is_named(asking.where)
    answer = asking.ask(lambda door: door.lint(body)) if needs_a_project else linting.alone(body)
    asking.tell(answer, table.print_findings)
    if linting.should_not_be_sent(answer):
        raise typer.Exit(1)


@template_app.command("preview")
@asks
def preview_template(
    asking: Asking,
    name: Annotated[str, typer.Argument(help="The template.")],
    user: Annotated[str | None, typer.Option(help="For whom, by your own id.", metavar="ID")] = None,
    values: Annotated[
        str | None, typer.Option("--values", help="What a notification's data would be, as JSON.", metavar="JSON")
    ] = None,
    locale: Annotated[str | None, typer.Option(help="In place of the user's.", metavar="TAG")] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(help="iphone, android, chrome or firefox; may be repeated; all unless given.", metavar="NAME"),
    ] = None,
    version: Annotated[int | None, typer.Option(help="An older one.", metavar="N", min=1)] = None,
) -> None:
    """Show a template as screens would show it to a person, cut where they cut it."""
    from clarion.cli import boxes  # noqa: PLC0415 - schemas, which other commands do not need

    wanted = boxes.asked(user=user, values=values, locale=locale, platforms=platform, version=version)
    asking.show(lambda door: door.preview(name, wanted), boxes.print_preview)


@app.command()
@asks
def fire(
    asking: Asking,
    notification: Annotated[str, typer.Argument(help="The id of a notification that was armed.", metavar="ID")],
) -> None:
    """Send what was prepared with send --arm; once, however often it is told."""
    asking.show(
        lambda door: door.fire(notification),
        lambda answer: typer.echo(f"Fired {answer['id']} at {answer['fired_at']}."),
    )


app.command()(replace)
app.command()(withdraw)


@app.command()
@asks
def results(
    asking: Asking,
    notification: Annotated[str, typer.Argument(help="The id of a notification.", metavar="ID")],
) -> None:
    """Show what came of a notification, by variant; look as often as you like."""
    from clarion.cli import outcome  # noqa: PLC0415 - which other commands do not need

    asking.show(lambda door: door.results(notification), outcome.print_results)


@app.command()
@asks
def explain(
    asking: Asking,
    user: Annotated[str, typer.Option(help="Whose story, by your own id.", metavar="ID")],
    notification: Annotated[str | None, typer.Option(help="Only around this notification.", metavar="ID")] = None,
) -> None:
    """Tell why a person got a notification, or why not."""
    asking.show(lambda door: door.story(user, notification), table.print_story)


@events_app.command("import")
@asks
def import_events(
    asking: Asking,
    file: Annotated[Path, typer.Argument(help="CSV with a heading, TSV, or a JSON object in each line.")],
    column: Annotated[
        list[str] | None,
        typer.Option(help="Which of its columns is one of ours, as in user_id=customer.", metavar="OURS=THEIRS"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of events that have none.", metavar="NAME")] = None,
) -> None:
    """Bring in a file of events; again, it changes nothing. Exit code 1 if lines were left out."""
    from clarion.cli import importing  # noqa: PLC0415 - a reader that other commands do not need

    shape = importing.Shape(importing.columns(column or []), name)
    told = asking.show(lambda door: importing.run(file, shape, door.events), importing.print_imported)
    if told.errors:
        raise typer.Exit(1)


@credentials_app.command("reseal")
def reseal_credentials(data: Folder = None, as_json: AsJson = False) -> None:
    """Encrypt all stored secrets anew with the first CLARION_SECRET_KEY, so that the others can go."""
    from clarion.cli import folder  # noqa: PLC0415 - the whole platform

    answer = asyncio.run(folder.reseal(data))
    if as_json:
        table.print_json(answer)
    else:
        typer.echo(f"Sealed with the first key: {answer['resealed']}.")
    if answer["lost"]:
        raise Problem(
            "Some secrets cannot be opened with any key, and must be uploaded again", "\n".join(answer["lost"])
        )


@app.command()
@asks
def alerts(asking: Asking) -> None:
    """List what needs a look: push services that refuse our keys or do not answer, messages that lose people."""
    asking.show(lambda door: door.alerts(), table.print_alerts)


@app.command()
@asks
def losses(
    asking: Asking,
    by: Annotated[
        By,
        typer.Option(help="What to tell messages apart by; an automation is a campaign too, else a notification is."),
    ] = By.CATEGORY,
    days: Annotated[int, typer.Option(help="The last so many days, today included.", min=1, max=365, metavar="N")] = 7,
) -> None:
    """Show whom we lose: people who said no within 24 hours of a message, beside those who tapped."""
    asking.show(lambda door: door.losses(by.value, days), table.print_losses)
