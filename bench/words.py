"""What does one text cost: rendered for one person, compiled for a language, and at its very worst?

CPU of one thread. A batch compiles each text once for each language and kind of device, and renders it for each person
whom it looks at. The worst is what a text may do to a sending process before it is refused or runs out of fuel.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from clarion.intelligence.screens import SCREENS, cut
from clarion.journey.texts.taming import tamed
from clarion.journey.texts.words import Setting, TextError, Texts, chosen
from clarion.model import Json, Message

TEXTS = {
    "a name": "Hello {{ user.first_name }}",
    "money": "{{ data.price | money('EUR') }} for {{ user.first_name }}",
    "a date": "{{ data.at | date }} for {{ user.first_name }}",
    "a time": "{{ data.at | datetime('short') }} for {{ user.first_name }}",
    "a plural": "{{ data.n }} {{ data.n | plural(one='item', other='items') }} for {{ user.first_name }}",
    "arithmetic": "{{ data.n * 2 + 1 }} for {{ user.first_name }}",
    "truncation": "{{ data.name | truncate_width(12) }} for {{ user.first_name }}",
}
WORST = {
    "loops": "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
    "formatted values": "{% for a in range(101) %}{{ (data.price + a) | money('EUR') }}{% endfor %}",
    "a long text": "{% set a %}{% for i in range(999) %}xxxxxxxxxxxxxxxxxxx{% endfor %}{% endset %}{{ a ~ a }}",
    "many lists": "{{ [" + ", ".join(["data.list"] * 20) + "] }}",
    "lists again": "{% set x = data.list %}" + "{{ x | sort | unique | join }}" * 20,
}
DATA = {
    "price": 1234.5,
    "at": "2026-12-24T16:30:00Z",
    "n": 3,
    "name": "A long name of a thing",
    "list": list(range(1000)),
}
USER = {"user_id": "u1", "first_name": "Ada", "locale": "de-AT", "timezone": "Europe/Vienna"}


def micros(what: Callable[[], object], times: int) -> float:
    """CPU microseconds a call."""
    begun = time.thread_time()
    for _ in range(times):
        what()
    return (time.thread_time() - begun) / times * 1e6


def texts_of(source: str) -> Texts:
    message = Message(title=source)
    return Texts(message, chosen(message, None, None).content, Setting("de-AT", "de"))


def rendered(texts: Texts, context: Json) -> None:
    with suppress(TextError):
        texts.render(context)


def measure(scale: float) -> dict[str, float]:
    times = max(200, int(20_000 * scale))
    context = {"user": USER, "data": DATA, "project": {}, "now": "2026-12-24T16:30:00+00:00"}
    figures: dict[str, float] = {}
    for name, source in TEXTS.items():
        texts = texts_of(source)
        seen = {field: context[field] for field in texts.names | {"user"}}
        figures[f"render {name}"] = micros(lambda texts=texts, seen=seen: texts.render(seen), times)  # type: ignore[misc]
    figures["compile a text"] = micros(lambda: texts_of(TEXTS["money"]), times // 10)
    figures["look at a text that is new"] = micros(lambda: tamed.__wrapped__(TEXTS["money"]), times // 10)
    body = "A body of some length that no screen shows as a whole, 漢字 and 👨‍👩‍👧 in it. " * 3
    figures["cut for all screens"] = micros(lambda: [cut(body, each.body) for each in SCREENS], times // 10)
    for name, source in WORST.items():
        texts = texts_of(source)
        figures[f"worst {name}"] = micros(lambda texts=texts: rendered(texts, context), 50)  # type: ignore[misc]
    return figures


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of 20,000 times.")] = 1.0,
) -> None:
    figures = measure(scale)
    if as_json:
        print(json.dumps({f"{name.replace(' ', '_')}_us": round(figure, 2) for name, figure in figures.items()}))
        return
    table = Table("Step", "CPU µs")
    table.columns[1].justify = "right"
    for name, figure in figures.items():
        table.add_row(name, f"{figure:,.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
