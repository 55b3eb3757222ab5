"""`clarion agent`: this desktop as a device, in the foreground or as a service."""

import os
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from clarion.agent import paths, service
from clarion.agent.options import Options, check
from clarion.cli.door import DEFAULT_SERVER
from clarion.cli.problem import Misuse
from clarion.errors import ConfigurationError

app = typer.Typer(invoke_without_command=True, no_args_is_help=False)

Server: TypeAlias = Annotated[
    str | None, typer.Option(help="The server, or CLARION_SERVER; http://127.0.0.1:8700 unless set.", metavar="URL")
]
Key: TypeAlias = Annotated[str | None, typer.Option(help="The project's public key, or CLARION_KEY.", metavar="pk_…")]
User: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Whose device this is; nobody's in particular unless given.", metavar="ID"),
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(help="A signed user token instead, where the server believes no plain user ids.", metavar="JWT"),
]
PushUrl: TypeAlias = Annotated[
    str | None, typer.Option(help="The push service, if not the one that the server names.", metavar="URL")
]
StateFile: TypeAlias = Annotated[
    Path | None, typer.Option("--state", help="The file that the agent remembers in.", metavar="FILE")
]
_SETTINGS = typer.Option(help="A file that says all this, as `install` writes it.", metavar="FILE")


@app.callback()
def run(
    context: typer.Context,
    server: Server = None,
    user: User = None,
    key: Key = None,
    token: Token = None,
    push_url: PushUrl = None,
    state: StateFile = None,
    settings: Annotated[Path | None, _SETTINGS] = None,
) -> None:
    """Make this desktop a device: stay connected, show what comes, tell what became of it."""
    given = {"server": server, "user": user, "key": key, "token": token, "push_url": push_url, "state": state}
    told = {name: value for name, value in given.items() if value is not None}
    if context.invoked_subcommand is not None:
        if told or settings:
            raise Misuse("The options are in the wrong place", f"They go behind `{context.invoked_subcommand}`.")
        return
    options = _options(told, settings)
    from clarion.cli import desktop  # noqa: PLC0415 - what only a running agent needs

    desktop.run(options)


@app.command()
def install(
    server: Server = None,
    user: User = None,
    key: Key = None,
    token: Token = None,
    push_url: PushUrl = None,
    state: StateFile = None,
) -> None:
    """Run the agent from now on and at every login, as a service of this person (systemd, launchd)."""
    given = {"server": server, "user": user, "key": key, "token": token, "push_url": push_url, "state": state}
    options = _options({name: value for name, value in given.items() if value is not None}, None)
    from clarion.cli import desktop  # noqa: PLC0415 - as above

    desktop.install(options)


@app.command()
def uninstall() -> None:
    """Stop the service and remove it with its settings; the device's own memory stays."""
    from clarion.cli import desktop  # noqa: PLC0415 - as above

    desktop.uninstall()


@app.command()
def status(state: StateFile = None) -> None:
    """Tell whether the agent runs, and as which device."""
    from clarion.cli import desktop  # noqa: PLC0415 - as above

    desktop.status(state or paths.state_file())


def _options(told: dict[str, Any], settings: Path | None) -> Options:
    """From the flags, else the file, else the environment. Raises Misuse."""
    base: dict[str, Any] = {
        "server": os.environ.get("CLARION_SERVER") or DEFAULT_SERVER,
        "key": os.environ.get("CLARION_KEY") or "",
        "state": paths.state_file(),
    }
    try:
        if settings is not None:
            written = service.read_settings(settings)
            base |= {name: getattr(written, name) for name in written.__struct_fields__}
        return check(Options(**(base | told)))
    except ConfigurationError as error:
        raise Misuse("The agent cannot begin", error.detail, error.errors) from None
