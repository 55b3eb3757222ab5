"""Pictures of notifications: fetched once, and left out rather than waited for."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from clarion.agent import pictures as pictures_module
from clarion.agent.pictures import LARGEST, Pictures

PNG = b"\x89PNG\r\n\x1a\n and so on"


class Album:
    """A web server with pictures good and bad."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.origin = ""
        self.answers: dict[str, Callable[[], web.Response]] = {
            "/good.png": lambda: web.Response(body=PNG, content_type="image/png"),
            "/page.html": lambda: web.Response(text="<html>", content_type="text/html"),
            "/gone.png": lambda: web.Response(status=404, body=PNG, content_type="image/png"),
            "/large.png": lambda: web.Response(body=bytes(LARGEST + 1), content_type="image/png"),
            "/largest.png": lambda: web.Response(body=bytes(LARGEST), content_type="image/png"),
            "/moved.png": lambda: web.Response(status=302, headers={"Location": "/good.png"}),
            "/loop.png": lambda: web.Response(status=302, headers={"Location": "/loop.png"}),
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/slow.png":
            await asyncio.Event().wait()
        return self.answers[request.path]()


@pytest.fixture
async def album() -> AsyncIterator[Album]:
    album = Album()
    app = web.Application()
    app.router.add_get("/{path:.*}", album.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    album.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield album
    await runner.cleanup()


@pytest.fixture
async def pictures(tmp_path: Path) -> AsyncIterator[Pictures]:
    async with aiohttp.ClientSession() as http:
        yield Pictures(http, tmp_path / "cache")


def content(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def files_of(folder: Path) -> list[Path]:
    return list(folder.glob("cache/*"))


async def test_a_picture_is_fetched_once(album: Album, pictures: Pictures) -> None:
    for _ in range(2):
        path = await pictures.fetch(f"{album.origin}/good.png")
        assert path is not None
        assert (content(path), path.suffix) == (PNG, ".png")
    assert album.asked == ["/good.png"]


async def test_after_a_day_it_is_fetched_again(album: Album, pictures: Pictures) -> None:
    path = await pictures.fetch(f"{album.origin}/good.png")
    assert path is not None
    os.utime(path, (0, time.time() - 25 * 3600))
    await pictures.fetch(f"{album.origin}/good.png")
    assert album.asked == ["/good.png"] * 2


@pytest.mark.parametrize("name", ["moved.png", "largest.png"])
async def test_these_are_taken(album: Album, pictures: Pictures, name: str) -> None:
    assert await pictures.fetch(f"{album.origin}/{name}")


@pytest.mark.parametrize("name", ["page.html", "gone.png", "large.png", "loop.png"])
async def test_these_are_left_out(album: Album, pictures: Pictures, name: str, tmp_path: Path) -> None:
    assert await pictures.fetch(f"{album.origin}/{name}") is None
    assert files_of(tmp_path) == []


@pytest.mark.parametrize("url", [None, "", "file:///etc/passwd", "data:image/png;base64,AA", "http://", "http://[x"])
async def test_what_is_no_address_of_the_web_is_not_asked_for(pictures: Pictures, url: str | None) -> None:
    assert await pictures.fetch(url) is None


async def test_a_slow_one_is_not_waited_for(album: Album, pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures_module, "PATIENCE_S", 0.2)
    assert await pictures.fetch(f"{album.origin}/slow.png") is None
    assert album.asked == ["/slow.png"]


async def test_nobody_there_or_nowhere_to_keep_it(album: Album, pictures: Pictures, tmp_path: Path) -> None:
    assert await pictures.fetch("http://127.0.0.1:1/x.png") is None
    (tmp_path / "cache").write_text("a file is in the way")
    assert await pictures.fetch(f"{album.origin}/good.png") is None


async def test_the_folder_is_bounded(
    album: Album, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures_module, "KEPT", 3)
    for number in range(6):
        path = await pictures.fetch(f"{album.origin}/good.png?{number}")
        assert path is not None
        os.utime(path, (0, time.time() - 100 + number))
    assert len(files_of(tmp_path)) == 3
    assert await pictures.fetch(f"{album.origin}/good.png?5") == path
    assert len(album.asked) == 6
