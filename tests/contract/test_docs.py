"""What the documents say is true: links lead somewhere, commands and settings exist, and the examples work."""

import re
import runpy
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import typer

from clarion.cli.app import app
from clarion.config import Settings
from clarion.model import Reason
from contract.api_world import ApiWorld

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def lines_of(page: Path) -> list[list[str]]:
    """The command lines of a page, as a shell splits them."""
    blocks = _BLOCK.findall(page.read_text("utf-8"))
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).split("\n")]
    return list(_whole(lines))


def _whole(lines: list[str]) -> Iterator[list[str]]:
    """A quoted text may go on in the next line."""
    waiting = ""
    for line in lines:
        waiting += line + "\n"
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:
            continue
        waiting = ""
        if words:
            yield words


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text("utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [page for page in PAGES if "decisions" in page.parts], ids=named)
def test_a_decision_is_in_the_list(page: Path) -> None:
    assert page.name == "README.md" or f"({page.name})" in (DOCS / "decisions" / "README.md").read_text("utf-8")


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_exist_with_their_options(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for words in lines_of(page):
        if words[0] == "make":
            assert words[1] in targets
        if words[0].endswith("clarion"):
            _check_command(words[1:])


def _check_command(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", ()):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    for word in words:
        assert not word.startswith("-") or word in known, word


def test_the_page_of_commands_is_what_they_say_of_themselves() -> None:
    written = runpy.run_path(str(ROOT / "tools" / "reference.py"))["page"]()
    assert (DOCS / "reference" / "cli.md").read_text("utf-8") == written, "make docs writes it anew"


def test_the_page_of_display_options_is_what_is_sent() -> None:
    written = runpy.run_path(str(ROOT / "tools" / "display_options.py"))["page"]()
    assert (DOCS / "reference" / "display-options.md").read_text("utf-8") == written, "make docs writes it anew"


def test_the_page_of_honesty_is_what_the_rules_say_of_themselves() -> None:
    written = runpy.run_path(str(ROOT / "tools" / "honesty.py"))["page"]()
    assert (DOCS / "reference" / "honesty.md").read_text("utf-8") == written, "make docs writes it anew"


def test_the_readme_begins_with_the_two_commands() -> None:
    assert [words[:2] for words in lines_of(ROOT / "README.md")][:2] == [["make", "demo"], ["make", "test"]]


# --- settings and reasons --------------------------------------------------------------------------------------------


def _as_written(value: Any) -> str:
    match value:
        case None | []:
            return ""
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def test_every_setting_is_documented_with_its_default() -> None:
    page = (DOCS / "reference" / "settings.md").read_text("utf-8")
    written = dict(re.findall(r"^\| `(CLARION_\w+)` \|(?: `?([^`|]*?)`? \|)? .+ \|$", page, re.MULTILINE))
    settings = Settings()
    true = {
        f"CLARION_{field.name.upper()}": _as_written(getattr(settings, field.name))
        for field in msgspec.structs.fields(Settings)
    }
    assert {name: written.get(name, "missing").strip() for name in true} == true
    assert written.keys() - true.keys() == {"CLARION_SERVER", "CLARION_KEY", "CLARION_CONFIG"}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_that_are_named_exist(page: Path) -> None:
    known = {f"CLARION_{name.upper()}" for name in Settings.__struct_fields__}
    known |= {"CLARION_SERVER", "CLARION_KEY", "CLARION_CONFIG"}
    assert set(re.findall(r"CLARION_[A-Z_]+[A-Z]", page.read_text("utf-8"))) <= known


def test_every_reason_is_explained() -> None:
    page = (DOCS / "guides" / "why-or-why-not.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(Reason)


# --- examples --------------------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """A `curl` of a page."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


def calls_of(page: Path) -> list[Call]:
    return [_call(words) for words in lines_of(page) if words[0] == "curl"]


def _call(words: list[str]) -> Call:
    options = dict.fromkeys(("-X", "-d"), None) | {
        word: value for word, value in pairwise(words) if word in ("-X", "-d")
    }
    told = [value for word, value in pairwise(words) if word == "-H"]
    [url] = [word for word in words if word.startswith("http://127.0.0.1:8700/")]
    body = options["-d"]
    return Call(
        method=options["-X"] or ("GET" if body is None else "POST"),
        path=url.removeprefix("http://127.0.0.1:8700"),
        headers=dict(value.split(": ", 1) for value in told if not value.startswith("Authorization")),
        body=None if body is None else body.encode(),
    )


@pytest.mark.parametrize("page", [page for page in PAGES if calls_of(page)], ids=named)
async def test_examples_work_one_after_the_other(page: Path, api: ApiWorld) -> None:
    for call in calls_of(page):
        reply = await api.server.call(call.method, call.path, body=call.body, headers=call.headers)
        assert 200 <= reply.status < 300, (call, reply.body)
