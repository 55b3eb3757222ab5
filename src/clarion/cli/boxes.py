"""`clarion template preview`: what it asks for, and screens drawn as boxes."""

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from clarion.cli.asking import values_of
from clarion.model import Json

_FRAME = 4  # a border and a space on each side


def asked(
    *, user: str | None, values: str | None, locale: str | None, platforms: list[str] | None, version: int | None
) -> Json:
    """The body for `POST /v1/templates/{name}/preview`. Raises Problem when the values are no JSON object."""
    told = {
        "user_id": user,
        "data": values_of(values),
        "locale": locale,
        "platforms": platforms or None,
        "version": version,
    }
    return {field: value for field, value in told.items() if value is not None}


def print_preview(answer: Json) -> None:
    """A box for each screen; under it what was not to be seen."""
    console = Console(highlight=False)
    console.print(Text(f"{answer['template']}, version {answer['version']}, {answer['locale']}", "dim"))
    for there in answer["platforms"].values():
        for screen in there["screens"]:
            console.print(_box(screen))


def _box(screen: Json) -> Panel:
    title, body = ("\n".join(screen[part]["lines"]) for part in ("title", "body"))
    cut = [part for part in ("title", "body") if screen[part]["cut"]]
    told = Text(f"cut: {' and '.join(cut)}", "yellow") if cut else Text("all of it is shown", "green")
    wide = max(*screen["columns"], cell_len(screen["screen"]) + 2, *map(cell_len, f"{title}\n{body}".split("\n")))
    return Panel(
        Group(Text(title, "bold", no_wrap=True), Text(body, no_wrap=True)),
        title=Text(screen["screen"]),
        subtitle=told,
        title_align="left",
        subtitle_align="right",
        box=box.ROUNDED,
        width=wide + _FRAME,
    )
