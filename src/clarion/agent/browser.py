"""A tap opens its page in the person's browser."""

import webbrowser
from threading import Thread
from urllib.parse import urlsplit

import structlog

log = structlog.get_logger(__name__)


def may_open(url: str | None) -> bool:
    """Only web pages: any other scheme could start a program."""
    if url is None or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def open_page(url: str | None) -> bool:
    """Whether it was handed to the browser, in a thread: some browsers are waited for until they end."""
    if url is None or not may_open(url):
        return False
    Thread(target=_open, args=(url,), daemon=True, name="browser").start()
    return True


def _open(url: str) -> None:
    try:
        opened = webbrowser.open(url)
    except (webbrowser.Error, OSError) as error:
        log.warning("page_not_opened", why=str(error))
        return
    if not opened:
        log.warning("page_not_opened", why="the system has no browser that takes it; $BROWSER names one")
