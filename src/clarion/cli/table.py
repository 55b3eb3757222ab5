"""Answers as tables for a person; with --json as they are for a machine."""

import shlex
import sys
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clarion.model import Json

_VERDICTS = {"pass": ("✓", "green"), "send": ("✓", "green"), "hold": ("◷", "yellow"), "drop": ("✗", "red")}
_PIPE_WIDTH = 200
_WAYS_LOST = ("opt_outs", "permissions", "subscriptions")
_BAD = ("failed", "expired")
# Of a chapter's details, what its sentence does not say already and a person wants to know.
_SHOWN = ("model", "source", "properties", "attempts", "campaign", "notification_ids")


def print_json(answer: Any) -> None:
    """Plain JSON on the output channel, whatever the terminal."""
    print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())  # noqa: T201 - that is the output


def print_new_project(answer: Json) -> None:
    """The keys, for the only time."""
    fields(
        ("Project", answer["id"], ""),
        ("Server key", answer["server_key"], "yellow"),
        ("Public key", answer["public_key"], "yellow"),
        ("VAPID key", answer["vapid_public_key"], ""),
    )
    printed(Text("The keys are shown this once. The server key is a secret; the public key goes into the SDK.", "dim"))


def print_new_key(answer: Json) -> None:
    """A key, for the only time."""
    fields(("Key", answer["key"], "yellow"), ("Id", answer["id"], ""), ("Scopes", " ".join(answer["scopes"]), ""))
    printed(Text("It is shown this once.", "dim"))


def print_preview(answer: Json) -> None:
    """Who is in a segment."""
    count, sample = answer["count"], answer["sample"]
    more = f" and {count - len(sample):,} more" if count > len(sample) else ""
    printed(Text(answer["sentence"][:1].upper() + answer["sentence"][1:] + "."))
    some = [("Such as", ", ".join(sample) + more, "")] if sample else []
    fields(("Now", f"{count:,}", "bold"), *some)


def print_keys(answer: Json) -> None:
    """All keys of a project, revoked ones too."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("Id", "Kind", "Name", "Ends in", "Scopes", "Created", "State"):
        table.add_column(column, no_wrap=column != "Name")
    for key in shown(answer["items"]):
        revoked = key["revoked_at"]
        table.add_row(
            key["id"],
            key["kind"],
            Text(key["name"]),
            "…" + key["hint"],
            " ".join(key["scopes"]),
            local(key["created_at"]).strftime("%Y-%m-%d"),
            Text("revoked " + local(revoked).strftime("%Y-%m-%d"), "red") if revoked else Text("active", "green"),
        )
    printed(table)


def print_findings(answer: Json) -> None:
    """What the rules of title honesty found, the offending part and what would be right."""
    findings = shown(answer["findings"])
    if not findings:
        printed(Text.assemble(("✓ ", "green"), "Nothing found: the title is honest, and it fits."))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("Rule", "Where", "Part", "What is wrong", "What would be right"):
        table.add_column(column, no_wrap=column == "Rule", overflow="fold")
    for found in findings:
        bad = found["severity"] == "error" or found["blocks"]
        rule = Text.assemble(("✗ " if bad else "! ", "red" if bad else "yellow"), (found["rule"], "bold"))
        where = found["field"] + (f" ({found['locale']})" if found["locale"] else "")
        word = "blocks: " if found["blocks"] else ""
        table.add_row(
            rule,
            Text(where),
            Text(found["part"], "red" if bad else "yellow"),
            Text.assemble((word, "red"), found["message"]),
            Text(found["instead"], "green"),
        )
    printed(table)


def print_alerts(answer: Json) -> None:
    """What is stopped, since when and why; what waits for it comes by itself when that is over."""
    alerts = shown(answer["items"])
    if not alerts:
        printed(
            Text.assemble(("✓ ", "green"), "All push services take what we send, and nobody minds more than usual.")
        )
        return
    losing = [alert for alert in alerts if alert["alert"] == "losses_doubled"]
    alerts = [alert for alert in alerts if alert["alert"] == "provider_stopped"]
    for alert in losing:
        since = local(alert["since"]).strftime("%Y-%m-%d %H:%M")
        about = f"{alert['by']} {alert['name']}"
        printed(Text.assemble(("! ", "red"), (about, "bold"), f": {alert['detail']} ", (f"since {since}", "dim")))
    if not alerts:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("Kind", "Lane", "Reason", "What it answered", "Credential", "Since", "Next try", "Tried"):
        table.add_column(column, no_wrap=column not in ("Lane", "What it answered"), overflow="fold")
    for alert in alerts:
        table.add_row(
            Text(alert["kind"], "bold"),
            Text(alert["lane"] or "all"),
            Text(alert["reason"], "red" if alert["reason"] == "bad_credentials" else "yellow"),
            Text(alert["detail"]),
            Text(alert["credential"] or "none", "" if alert["credential"] else "red"),
            local(alert["since"]).strftime("%Y-%m-%d %H:%M"),
            local(alert["again_at"]).strftime("%H:%M:%S"),
            str(alert["failures"]),
        )
    printed(table)


def print_losses(answer: Json) -> None:
    """People reached, who tapped and who said no, a line a name; where the most are lost comes first."""
    items = shown(answer["items"])
    last = datetime.fromisoformat(answer["until"]) - timedelta(days=1)
    days = f"{datetime.fromisoformat(answer['since']):%Y-%m-%d} to {last:%Y-%m-%d} (UTC)"
    if not items:
        printed(Text(f"No message reached anybody, {days}.", "dim"))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(answer["by"].capitalize(), overflow="fold")
    for column in ("Reached", "Delivered", "Tapped", "Lost", "between", "Opt-outs", "Permissions", "Subscriptions"):
        table.add_column(column, justify="right", no_wrap=True)
    for item in items:
        lost, doubled = item["loss_rate"], item["doubled_since"]
        style = "bold red" if doubled else "yellow" if item["lost"] else "green"
        table.add_row(
            Text.assemble(item["name"], (" doubled", "bold red") if doubled else ""),
            f"{item['reached']:,}",
            f"{item['delivered_rate']['value']:.1%}",
            f"{item['tap_rate']['value']:.2%}",
            Text(f"{lost['value']:.2%}", style),
            Text(f"{lost['low']:.2%}-{lost['high']:.2%}", "dim"),
            *(Text(f"{item[each]:,}", "" if item[each] else "dim") for each in _WAYS_LOST),
        )
    printed(table, Text(f"People, once a day each, {days}. Lost: said no within 24 hours of a message.", "dim"))


def print_sent(answer: Json, user_id: str) -> None:
    """That it is on disk, and how to follow it."""
    sentence = Text.assemble(("✓ ", "green"), "Accepted as notification ", (answer["id"], "bold"))
    follow = f"clarion explain --user {shlex.quote(user_id)} --notification {answer['id']}"
    printed(sentence, Text.assemble(("  What becomes of it: ", "dim"), follow))


def print_story(answer: Json) -> None:
    """A person's story as a timeline, days apart, with the gates of each decision."""
    chapters = shown(answer["chapters"])
    if not chapters:
        printed(Text(f"Nothing happened with {answer['user_id']} yet.", "dim"))
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    day = None
    for chapter in chapters:
        at = local(chapter["at"])
        if at.date() != day:
            day = at.date()
            table.add_row(Text(at.strftime("%Y-%m-%d"), "bold"), "", "")
        table.add_row(at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03}", chapter["stage"], _told(chapter))
    zone = local(chapters[0]["at"]).strftime("%Z")
    printed(
        Text.assemble(
            (answer["user_id"], "bold"),
            (f"  {len(chapters)} chapter{'s' if len(chapters) > 1 else ''}, times in {zone}", "dim"),
        ),
        table,
    )


def shown(value: Any) -> Any:
    """The same without control characters: what pages and devices told must not command the terminal."""
    match value:
        case str():
            return value if value.isprintable() else "".join(each if each.isprintable() else "·" for each in value)
        case list():
            return [shown(each) for each in value]
        case dict():
            return {shown(name): shown(each) for name, each in value.items()}
        case _:
            return value


def _told(chapter: Json) -> Group:
    detail = chapter["detail"]
    sentence = Text(chapter["what"], _tone(detail))
    return Group(sentence, *_gates(detail.get("gates") or ()), *_more(detail))


def _tone(detail: Json) -> str:
    if "decision" in detail:
        return f"bold {_VERDICTS[detail['decision']][1]}"
    return "bold red" if detail.get("state") in _BAD or "loss" in detail else "bold"


def _gates(gates: Collection[list[str]]) -> Iterator[Text]:
    width = max((len(gate) for gate, _, _ in gates), default=0)
    for gate, verdict, because in gates:
        mark, style = _VERDICTS.get(verdict, ("·", "dim"))
        yield Text.assemble((mark, style), f" {gate:<{width}} ", (because or "", "dim"))


def _more(detail: Json) -> Iterator[Text]:
    facts = [f"{name} {_plain(detail[name])}" for name in _SHOWN if detail.get(name)]
    if until := detail.get("until"):
        facts.append(f"until {local(until):%Y-%m-%d %H:%M:%S}")
    if notification := detail.get("notification_id"):
        facts.append(f"notification {notification}")
    if digest := detail.get("digest_id"):
        facts.append(f"in digest {digest}")
    if facts:
        yield Text(" · ".join(facts), "dim")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def local(text: str) -> datetime:
    """On the clock of this machine."""
    return datetime.fromisoformat(text).astimezone()


def fields(*rows: tuple[str, str, str]) -> None:
    """Label, value and style. A value is never broken: it is there to be copied."""
    printed(*(Text.assemble((f"{label:<12}", "dim"), (value, style)) for label, value, style in rows))


def printed(*parts: RenderableType) -> None:
    """On the output channel."""
    # What is piped into a file or another program has no edge to wrap at.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))
