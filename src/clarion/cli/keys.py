"""`clarion keys …`: who may do what in a project."""

from typing import Annotated, Any

import typer

from clarion.cli import table
from clarion.cli.door import Where
from clarion.cli.options import AsJson, Data, Key, Project, Server, ask

keys_app = typer.Typer(help="Make, list and revoke the keys of a project.", no_args_is_help=True)


@keys_app.command("create")
def create_key(
    public: Annotated[bool, typer.Option("--public", help="For SDKs, instead of servers.")] = False,
    name: Annotated[str | None, typer.Option(help="What it is for.", metavar="TEXT")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, send, write or admin; may be repeated; all unless given.", metavar="SCOPE"),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Make a key and print it, this once."""
    told: dict[str, Any] = {"kind": "public" if public else "server", "name": name, "scopes": scope or None}
    wanted = {field: value for field, value in told.items() if value is not None}
    answer = ask(Where(server, key, data, project), lambda door: door.create_key(wanted))
    if as_json:
        table.print_json(answer)
    else:
        table.print_new_key(answer)


@keys_app.command("list")
def list_keys(
    as_json: AsJson = False, server: Server = None, key: Key = None, data: Data = None, project: Project = None
) -> None:
    """List the keys, revoked ones too; a key itself is never shown again."""
    answer = ask(Where(server, key, data, project), lambda door: door.keys())
    if as_json:
        table.print_json(answer)
    else:
        table.print_keys(answer)


@keys_app.command("revoke")
def revoke_key(
    id: Annotated[str, typer.Argument(help="The key's id, as listed.")],
    server: Server = None,
    key: Key = None,
    data: Data = None,
    project: Project = None,
) -> None:
    """Revoke a key at once, and for good."""
    ask(Where(server, key, data, project), lambda door: door.revoke_key(id))
    typer.echo(f"Revoked {id}.")
