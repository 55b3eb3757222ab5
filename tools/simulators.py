"""Writes docs/reference/simulators.md from the simulators themselves; a test compares the two."""
# ruff: noqa: INP001 - a script, not a package

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec

from clarion.testing.simulators import ApnsSimulator, FcmSimulator
from clarion.testing.simulators.apns_rules import REASONS
from clarion.testing.simulators.control import Control
from clarion.testing.simulators.fcm_errors import ERROR_CODES
from clarion.testing.simulators.script import AnyAnswer

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "simulators.md"
HEAD = """# Simulators

Written by `make docs` from the simulators themselves. How to use them is in
[testing with simulators](../guides/testing-with-simulators.md).

## Answers in a script

A script is a JSON object: for each token one answer or a list of them. `times` is how often an answer is given before
the next one is; without it, for good. Answers that say `accepted` count the message as accepted, so the device shows
it, whether the sender learns of it or not.

| `do` | fields | |
|---|---|---|
"""
CODES = """
## Codes in tokens

A token that begins with `c0de`, two hexadecimal digits for what and two for how often (`00`: always) is answered so,
then accepted. What follows is free, as long as it makes a token: `c0de1a02` and 56 zeros is told `Unregistered` twice
by the simulated APNs.
"""


def answers() -> Iterator[str]:
    """A row for each answer."""
    for answer in get_args(AnyAnswer):
        fields = [field for field in msgspec.structs.fields(answer) if field.name != "times"]
        told = ", ".join(f"`{field.name}`{default(field)}" for field in fields)
        yield f"| `{answer.__struct_config__.tag}` | {told} | {summary(answer)} |\n"


def default(field: Any) -> str:
    """What a field is when it is left out."""
    if field.default in (None, msgspec.NODEFAULT):
        return ""
    return f" ({msgspec.json.encode(field.default).decode()})" if field.default != "" else ""


def summary(thing: Any) -> str:
    """A docstring in one line."""
    return " ".join(thing.__doc__.split())


def codes(name: str, simulator: type[ApnsSimulator | FcmSimulator], statuses: dict[str, int]) -> Iterator[str]:
    """A table of one service."""
    yield f"\n### {name}\n\n| token begins with | answer | status |\n|---|---|---|\n"
    for (begin, meaning), answer in zip(simulator.codes.rows(), simulator.codes.answers.values(), strict=True):
        status = statuses.get(getattr(answer, "reason", None) or "", "")
        yield f"| `{begin}` | {meaning} | {status} |\n"


def control() -> Iterator[str]:
    """What can be asked over HTTP."""
    yield "\n## Over HTTP\n\n" + "\n".join(line.strip() for line in Control.__doc__.splitlines()[2:]).strip() + "\n"


def page() -> str:
    """The whole page."""
    fcm = {code: status for code, (status, _, _) in ERROR_CODES.items()}
    parts = [
        HEAD,
        *answers(),
        CODES,
        *codes("APNs", ApnsSimulator, REASONS),
        *codes("FCM", FcmSimulator, fcm),
        *control(),
    ]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
