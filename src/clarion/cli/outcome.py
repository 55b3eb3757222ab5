"""`clarion results`: what came of each variant as a table, with the interval of its rate drawn as a bar."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clarion.cli.table import print_json
from clarion.model import Json

_BAR = 24
_BEFORE, _WITHIN, _AT = "·", "━", "●"


def print_results(answer: Json, *, as_json: bool) -> None:
    """A row for each variant and the control group, and a sentence on who is ahead."""
    if as_json:
        print_json(answer)
        return
    console = Console(highlight=False)
    console.print(Group(*_parts(answer)))


def _parts(answer: Json) -> list[RenderableType]:
    goal, arms = answer["goal"], answer["variants"]
    event = "a click" if goal["event"] is None else goal["event"]
    head = Text(f"Success: {event} within {_lasts(goal['within_s'])}. Rates are of those whose time is over.", "dim")
    return [head, _table(arms, answer["ahead"]), *_sentences(answer)]


def _table(arms: list[Json], ahead: str | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("Variant", "People", "Reached", "Clicked", "Successes", "Settled", "Rate"):
        table.add_column(column, no_wrap=True, justify="left" if column == "Variant" else "right")
    table.add_column("")
    compared = list(dict.fromkeys(one["arm"] for arm in arms for one in arm["versus"]))
    for other in compared:
        table.add_column(f"Against {other}", no_wrap=True)
    width = max((arm["high"] for arm in arms if arm["settled"] and arm["high"] is not None), default=1.0)
    for arm in arms:
        versus = {one["arm"]: one for one in arm["versus"]}
        is_measured = arm["rate"] is not None
        table.add_row(
            Text(arm["key"], "bold green" if arm["key"] == ahead else "bold"),
            f"{arm['people']:,}",
            f"{arm['reached']:,}",
            f"{arm['clicked']:,}",
            f"{arm['successes']:,}",
            f"{arm['settled']:,}",
            f"{arm['rate']:.2%}" if is_measured else "",
            _bar(arm, width) if is_measured else Text(""),
            *(_against(versus.get(other)) for other in compared),
        )
    return table


def _bar(arm: Json, width: float) -> Text:
    """The interval on a line from 0 to the highest of all intervals, with the rate as a dot."""
    low, high, at = (min(_BAR - 1, int(arm[name] / width * _BAR)) for name in ("low", "high", "rate"))
    bar = Text()
    for place in range(_BAR):
        mark = _AT if place == at else _WITHIN if low <= place <= high else _BEFORE
        bar.append(mark, "dim" if mark == _BEFORE else "cyan")
    return bar.append(f" {arm['low']:.2%} to {arm['high']:.2%}", "dim")


def _against(versus: Json | None) -> Text:
    if versus is None:
        return Text("")
    clear = "green" if versus["low"] > 0 else "red" if versus["high"] < 0 else ""
    low, high = versus["low"] * 100, versus["high"] * 100
    return Text.assemble(
        (f"{versus['difference'] * 100:+.2f}", clear),
        (f" ({low:+.2f} to {high:+.2f}) e {versus['e_value']:.3g}", "dim"),
    )


def _sentences(answer: Json) -> list[Text]:
    ahead, winner = answer["ahead"], answer["winner"]
    told = []
    if len([arm for arm in answer["variants"] if arm["key"] != "control"]) > 1:
        if ahead is not None:
            told.append(Text.assemble(("✓ ", "green"), f"{ahead} is ahead of all the others, however often you look."))
        else:
            told.append(Text("No variant is clear of the others so far.", "yellow"))
    if winner is not None:
        told.append(_of_winner(winner))
    return told


def _of_winner(winner: Json) -> Text:
    if winner["chosen_at"] is None:
        return Text(f"The first {winner['share']:g} % have it; the rest waits until {winner['due_at']}.")
    if winner["variant"] is None:
        return Text(f"Nobody won at {winner['chosen_at']}: everybody keeps a variant of their own.", "yellow")
    return Text(f"{winner['variant']} won at {winner['chosen_at']}; {winner['people']:,} more people got it.", "green")


def _lasts(seconds: int) -> str:
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds % size == 0:
            number = seconds // size
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{seconds} seconds"
