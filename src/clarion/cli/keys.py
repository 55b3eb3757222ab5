"""`clarion keys …`: who may do what in a project."""

from typing import Annotated, Any

import typer

from clarion.cli import table
from clarion.cli.asking import Asking, asks

keys_app = typer.Typer(help="Make, list and revoke the keys of a project.", no_args_is_help=True)


@keys_app.command("create")
@asks
def create_key(
    asking: Asking,
    public: Annotated[bool, typer.Option("--public", help="For SDKs, instead of servers.")] = False,
    name: Annotated[str | None, typer.Option(help="What it is for.", metavar="TEXT")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, send, write or admin; may be repeated; all unless given.", metavar="SCOPE"),
    ] = None,
) -> None:
    """Make a key and print it, this once."""
    told: dict[str, Any] = {"kind": "public" if public else "server", "name": name, "scopes": scope or None}
    wanted = {field: value for field, value in told.items() if value is not None}
    asking.show(lambda door: door.create_key(wanted), table.print_new_key)


@keys_app.command("list")
@asks
def list_keys(asking: Asking) -> None:
    """List the keys, revoked ones too; a key itself is never shown again."""
    asking.show(lambda door: door.keys(), table.print_keys)


@keys_app.command("revoke")
@asks
def revoke_key(asking: Asking, id: Annotated[str, typer.Argument(help="The key's id, as listed.")]) -> None:
    """Revoke a key at once, and for good."""
    asking.ask(lambda door: door.revoke_key(id))
    asking.tell({"revoked": id}, lambda _: typer.echo(f"Revoked {id}."))
