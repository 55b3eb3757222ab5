"""The first thing a person sees in the terminal: where to look, and the keys."""

import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo is reached by. `keys_are_new`: shown in full this once; later only their ends."""

    shop: str
    live: str
    dashboard: str
    docs: str
    push: str
    server_key: str
    public_key: str
    keys_are_new: bool


def masked(key: str) -> str:
    """The kind and the last four characters, enough to tell keys apart."""
    return f"{key[:3]}…{key[-4:]}"


def banner(console: Console, links: Links) -> None:
    """Print the links and keys. Plain text where the terminal has no colours."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    addresses = (links.shop, links.live, links.dashboard, links.docs)
    for name, address in zip(("Shop", "What happened", "Dashboard", "API reference"), addresses, strict=True):
        rows.add_row(name, Text(address, style=f"bold cyan link {address}"))
    rows.add_row("Push service", Text(links.push, style="cyan"))
    rows.add_row("", "")
    for name, key in (("Server key", links.server_key), ("Public key", links.public_key)):
        rows.add_row(name, Text(key if links.keys_are_new else masked(key), style="yellow"))
    hint = "These keys are for this demo only" if links.keys_are_new else "clarion keys makes new keys"
    rows.add_row("", Text(f"{hint} · Ctrl+C stops", style="dim"))
    title = Text.assemble((" Clarion ", "bold white on blue_violet"), ("  demo ", "bold"))
    console.print(
        Panel(rows, title=title, title_align="left", border_style="blue_violet", padding=(1, 2), expand=False)
    )
