"""`clarion results`: what came of each variant as a table, with the interval of its rate drawn as a bar."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clarion.model import Json

_BAR = 16
_MANY, _WHOLE = 1_000_000, 100
_BEFORE, _WITHIN, _AT = "·", "━", "●"


def print_results(answer: Json) -> None:
    """A row for each variant and the control group, and a sentence on who is ahead."""
    console = Console(highlight=False)
    console.print(Group(*_parts(answer)))


def _parts(answer: Json) -> list[RenderableType]:
    goal, arms = answer["goal"], answer["variants"]
    event = "a click" if goal["event"] is None else goal["event"]
    head = Text(
        f"Success: {event} within {_lasts(goal['within_s'])}. Rates are of the settled: their time is over.", "dim"
    )
    compared = [_compared(arm["key"], versus) for arm in arms for versus in arm["versus"] if arm["settled"]]
    return [head, _table(arms, answer["ahead"]), *compared, *_sentences(answer)]


def _table(arms: list[Json], ahead: str | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("Variant", no_wrap=True)
    for column in ("People", "Clicked", "Successes", "Settled", "Rate"):
        table.add_column(column, no_wrap=True, justify="right")
    table.add_column("", no_wrap=True)
    widest = max((arm["high"] for arm in arms if arm["rate"] is not None), default=1.0)
    for arm in arms:
        numbers = (f"{arm[name]:,}" for name in ("people", "clicked", "successes", "settled"))
        is_told = arm["rate"] is not None
        table.add_row(
            Text(arm["key"], "bold green" if arm["key"] == ahead else "bold"),
            *numbers,
            f"{arm['rate']:.2%}" if is_told else "",
            _bar(arm, widest) if is_told else "",
        )
    return table


def _bar(arm: Json, widest: float) -> Text:
    """The interval on a line from 0 to the highest of all intervals, with the rate as a dot."""
    low, high, at = (min(_BAR - 1, int(arm[name] / widest * _BAR)) for name in ("low", "high", "rate"))
    bar = Text()
    for place in range(_BAR):
        mark = _AT if place == at else _WITHIN if low <= place <= high else _BEFORE
        bar.append(mark, "dim" if mark == _BEFORE else "cyan")
    return bar


def _compared(key: str, versus: Json) -> Text:
    """In points of a hundred."""
    clear = "green" if versus["low"] > 0 else "red" if versus["high"] < 0 else ""
    told, low, high = (versus[name] * 100 for name in ("difference", "low", "high"))
    return Text.assemble(
        (f"{key} against {versus['arm']}: ", "dim"),
        (f"{told:+.2f} points", clear),
        (f" ({low:+.2f} to {high:+.2f}), e-value {_short(versus['e_value'])}", "dim"),
    )


def _short(number: float) -> str:
    return "1,000,000+" if number > _MANY else f"{number:,.0f}" if number >= _WHOLE else f"{number:.2f}"


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
