"""`clarion template preview`: screens as boxes, and the place of what is missing."""

import asyncio
import json
from pathlib import Path

import pytest

from clarion.bootstrap import Platform
from clarion.cli import boxes, main
from clarion.cli.problem import Problem
from clarion.cli.settings import load
from clarion.journey.texts.versions import as_stored
from clarion.model import Content, Template

PRICE = Template(
    name="price",
    version=3,
    locales={
        "en": Content(title="For {{ data.price | money('EUR') }}", body="Ends {{ now | date }}. " + "More. " * 40)
    },
)


async def define(data: Path) -> None:
    async with Platform(load(data=data), server=False).opened() as platform:
        [project] = await platform.store.projects.all()
        body = as_stored(PRICE)
        await platform.store.definitions.put(project.key, "templates", "price", body, platform.clock.now())


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["clarion", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_each_screen_is_a_box(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "project", "create", "Shop", "--data", tmp_path) == 0
    asyncio.run(define(tmp_path))
    capsys.readouterr()
    ask = ("template", "preview", "price", "--data", tmp_path)
    assert run(monkeypatch, *ask, "--values", '{"price": 9.5}', "--platform", "iphone", "--platform", "android") == 0
    shown = capsys.readouterr().out
    assert "price, version 3, en" in shown
    for words in ("iPhone, lock screen", "iPhone, banner", "Android, folded", "For €9.50", "cut: body"):
        assert words in shown
    assert "Firefox" not in shown
    assert len({len(line) for line in shown.splitlines() if line[:1] in "╭│╰"}) == 2  # as wide as each platform's lines

    assert run(monkeypatch, *ask) == 1
    assert "locales.en.title" in capsys.readouterr().err
    assert run(monkeypatch, *ask, "--json", "--values", '{"price": 1}') == 0
    assert json.loads(capsys.readouterr().out)["platforms"]["chrome"]["title"] == "For €1.00"


def test_values_must_be_an_object() -> None:
    with pytest.raises(Problem, match="JSON object"):
        boxes.asked(user=None, values="[1]", locale=None, platforms=None, version=None)
