"""Campaigns as tables for a person."""

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clarion.cli.table import fields, local, printed, shown
from clarion.model import Json

_TONES = {
    "draft": "dim",
    "scheduled": "cyan",
    "running": "bold green",
    "paused": "bold yellow",
    "done": "green",
    "cancelled": "red",
}
_WIDTH = 24


def print_campaigns(answer: Json) -> None:
    """One a line, with how far its run is."""
    campaigns = shown(answer["items"])
    if not campaigns:
        printed(Text("There are no campaigns yet.", "dim"))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("Name", "State", "When", "Next run", "Runs", "Progress", "People"):
        table.add_column(column, no_wrap=column not in ("Name", "When"), overflow="fold")
    for one in campaigns:
        progress = one["progress"]
        table.add_row(
            Text(one["name"], "bold"),
            Text(one["state"], _TONES[one["state"]]),
            Text(when(one["schedule"])),
            _moment(one["next_run_at"]),
            str(one["runs_begun"]),
            "" if progress is None else _bar(progress),
            "" if progress is None else _of(progress),
        )
    printed(table)


def print_campaign(answer: Json) -> None:
    """What it says, how far it is, and what came of it."""
    told = shown(answer)
    progress = told["progress"]
    rows = [
        ("Campaign", told["name"], "bold"),
        ("State", told["state"], _TONES[told["state"]]),
        ("To", _audience(told["to"]), ""),
        ("Says", _says(told["notification"]), ""),
        ("When", when(told["schedule"]), ""),
    ]
    if told["next_run_at"] is not None:
        rows.append(("Next run", _moment(told["next_run_at"]), ""))
    if told["rate"] is not None:
        rows.append(("Rate", f"{told['rate']:,} people a second", ""))
    if told["expires_at"] is not None:
        rows.append(("Expires", _moment(told["expires_at"]), ""))
    if told["runs_begun"]:
        missed = f", {told['runs_missed']} missed" if told["runs_missed"] else ""
        rows.append(("Runs", f"{told['runs_begun']}{missed}", ""))
    fields(*rows)
    if not told["runs_begun"]:
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(Text(f"{'Progress':<10}", "dim"), _bar(progress), _of(progress))
    printed(grid)
    fields(("", figures(told), ""))
    counts = progress["counts"]
    for label, numbers in (("Decisions", counts["reasons"]), ("Deliveries", counts["deliveries"])):
        if numbers:
            told_numbers = sorted(numbers.items(), key=lambda one: -one[1])
            fields((label, "  ".join(f"{name} {count:,}" for name, count in told_numbers), ""))
    if told["notification"]["variants"]:
        fields(("By variant", f"clarion results {told['runs'][0]['id']}", ""))


def _says(message: Json) -> str:
    """Its title, the template that has one, or all that its variants say."""
    if message["variants"]:
        return " / ".join(_says({**message, **_given(one), "variants": []}) for one in message["variants"])
    return str(message["title"] or f"template {message['template']}")


def _given(variant: Json) -> Json:
    """What a variant says itself; with a template, no title but its own."""
    told = {name: variant[name] for name in ("title", "template") if variant[name] is not None}
    return {"title": None, **told} if "template" in told else told


def figures(answer: Json) -> str:
    """What people did, and who waits, in a few words."""
    progress = answer["progress"]
    sent = progress["counts"]["reasons"].get("send", 0)
    parts = [f"{sent:,} sent", f"{progress['held']:,} held", f"{progress['tapped']:,} tapped"]
    if progress["converted"] is not None:
        parts.append(f"{progress['converted']:,} did {answer['goal']['event']}")
    return ", ".join(parts)


def when(schedule: Json) -> str:
    """A schedule in a few words."""
    local_time = schedule["local_time"]
    on_walls = f"{local_time.replace('T', ' ')} on each wall" if local_time is not None else ""
    if schedule["cron"] is not None:
        return f"{schedule['cron']} ({schedule['timezone']})" + (f", {on_walls}" if on_walls else "")
    return _moment(schedule["at"]) if schedule["at"] is not None else on_walls or "as it is started"


def _audience(to: Json) -> str:
    if to.get("users") is not None:
        return f"{to.get('total', len(to['users'])):,} named people"
    [(kind, name)] = to.items()
    return "everyone" if kind == "everyone" else f"{kind} {name}"


def _bar(progress: Json) -> ProgressBar:
    return ProgressBar(total=progress["audience"] or 1, completed=progress["decided"], width=_WIDTH)


def _of(progress: Json) -> str:
    return f"{progress['decided']:,} of {progress['audience'] or 0:,}"


def _moment(text: str | None) -> str:
    return "" if text is None else local(text).strftime("%Y-%m-%d %H:%M")
