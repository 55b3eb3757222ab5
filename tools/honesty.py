"""Writes docs/reference/honesty.md: the rules of title honesty, from their registry. A test compares the two."""
# ruff: noqa: INP001 - a script, not a package

from pathlib import Path

from clarion.intelligence.honesty import RULES
from clarion.intelligence.honesty.lexicons import URGENCY
from clarion.intelligence.honesty.subject import Rule
from clarion.intelligence.screens import SCREENS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "honesty.md"
HEAD = """# Rules of title honesty

Written by `make docs` from the rules themselves. What they are for, and how a project chooses what they do, is in
[Honest titles](../guides/honest-titles.md).

A finding of an **error** makes `clarion lint` end with 1. Whether a message is refused is the project's choice alone.

| rule | severity | finds | such as | and not |
|---|---|---|---|---|
"""
WIDTHS = """
## How much is shown

Columns before a text is cut. A wide character (Unicode's UAX 11: Chinese, Japanese, Korean, emoji) takes two. Devices
and fonts differ: these are the lower ends of what is [published](../decisions/0023-rules-try-a-text-out.md).

| platform | title | body |
|---|---|---|
"""


def cell(text: str) -> str:
    """A text as it stands in a table."""
    return text.replace("|", r"\|")


def row(rule: Rule) -> str:
    """One rule."""
    cells = (f"`{rule.name}`", rule.severity, rule.about, f"`{rule.bad}`", f"`{rule.good}`")
    return f"| {' | '.join(map(cell, cells))} |"


def page() -> str:
    """The whole page."""
    rules = "\n".join(row(rule) for rule in RULES.values())
    widths = "\n".join(f"| {each.name} | {each.title.all} | {each.body.all} |" for each in SCREENS if each.roomiest)
    languages = ", ".join(f"`{language}`" for language in URGENCY)
    known = (
        f"\n## Languages\n\nWords that hurry or bait, dates and times are known in {languages}.\n"
        "A locale chooses its own and English; where no locale is said, all are looked for.\n"
    )
    return f"{HEAD}{rules}\n{WIDTHS}{widths}\n{known}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
