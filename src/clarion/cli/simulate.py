"""The commands `clarion simulate …`: push services of others, to test against."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from clarion.cli.problem import Problem

simulate_app = typer.Typer(help="Run a push service of others, simulated, to test against.", no_args_is_help=True)

Host: TypeAlias = Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 unless set.", metavar="HOST")]
Folder: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="The folder of certificates and credentials; .clarion/simulate in this folder unless set.", metavar="DIR"
    ),
]
State: TypeAlias = Annotated[
    Path | None, typer.Option(help="The file that keeps counts, also when the process is killed.", metavar="FILE")
]
Answers: TypeAlias = Annotated[
    Path | None, typer.Option(help="A JSON file that says what is answered to which token.", metavar="FILE")
]
Quota: TypeAlias = Annotated[int | None, typer.Option(help="Messages a minute, then 429.", metavar="NUMBER", min=1)]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print a line of JSON a second instead.")]


@simulate_app.command("apns")
def simulate_apns(
    port: Annotated[
        int,
        typer.Option(help="Port to listen on; 8743 unless set, 0 for a free one.", metavar="PORT", min=0, max=65535),
    ] = 8743,
    host: Host = "127.0.0.1",
    topic: Annotated[
        list[str] | None,
        typer.Option(help="A bundle id; may be repeated; com.example.app unless given.", metavar="ID"),
    ] = None,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Be the sandbox instead of production.")] = False,
    renewal: Annotated[
        int,
        typer.Option(
            help="Seconds that a team must keep its provider token; 1200 unless set.", metavar="SECONDS", min=0
        ),
    ] = 1_200,
    data: Folder = None,
    state: State = None,
    script: Answers = None,
    quota: Quota = None,
    as_json: AsJson = False,
) -> None:
    """Simulate Apple's push service, APNs. The quota is for each device token."""
    with _of_the_extra():
        from clarion.cli import simulating  # noqa: PLC0415 - libraries of an extra
    options = simulating.Options(host, port, data, state, script, quota, as_json)
    simulating.apns(options, topic or [], sandbox=sandbox, renewal_s=renewal)


@simulate_app.command("fcm")
def simulate_fcm(
    port: Annotated[
        int,
        typer.Option(help="Port to listen on; 8744 unless set, 0 for a free one.", metavar="PORT", min=0, max=65535),
    ] = 8744,
    host: Host = "127.0.0.1",
    project: Annotated[
        str | None, typer.Option(help="The Firebase project's id; simulated-project unless set.", metavar="ID")
    ] = None,
    data: Folder = None,
    state: State = None,
    script: Answers = None,
    quota: Quota = None,
    as_json: AsJson = False,
) -> None:
    """Simulate Google's push service, FCM, with its token endpoint. The quota is for the project."""
    with _of_the_extra():
        from clarion.cli import simulating  # noqa: PLC0415 - libraries of an extra
    options = simulating.Options(host, port, data, state, script, quota, as_json)
    simulating.fcm(options, project)


@contextmanager
def _of_the_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise Problem("The simulators are not installed", f"pip install 'clarion[testing]' ({error})") from None
