"""What a test may ask of any browser, so that one test can be true of all."""

import asyncio
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

T = TypeVar("T")
Permission = Literal["granted", "denied", "default"]

_POLL_S = 0.05
_LOG_TAIL_LINES = 40


class BrowserError(Exception):
    """The browser, or a script in one of its pages, did not do what was asked."""


class Browser(ABC):
    """A real, headless browser: `async with`, or `start` and `kill` by hand.

    Commands go to the current tab; scripts see the page's own globals. Every wait ends `within` so many seconds, in a
    BrowserError that says what was waited for. Leaving the context kills the browser and writes the end of its log to
    stderr, which pytest shows with a failed test.
    """

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        sys.stderr.write(self.log_tail())

    # Its life

    @abstractmethod
    async def start(self) -> None:
        """Start on the profile as it is, with one blank tab.

        Raises:
            BrowserError: it runs already, or did not come up; the error's notes have the end of its log.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Quit as a person does, so that the profile is written out."""

    @abstractmethod
    async def kill(self) -> None:
        """End all its processes at once, as a crash does. Harmless when none runs."""

    async def restart(self) -> None:
        """Quit, and start again on the same profile."""
        await self.stop()
        await self.start()

    @abstractmethod
    def log(self) -> str:
        """What the browser printed in all starts on this profile."""

    def log_tail(self) -> str:
        """The end of the log."""
        tail = "\n".join(self.log().splitlines()[-_LOG_TAIL_LINES:])
        return f"--- the end of the log of {type(self).__name__}\n{tail}\n---\n"

    # Its tabs

    @abstractmethod
    async def goto(self, url: str) -> None:
        """Open a page in the current tab and wait until it has loaded."""

    @abstractmethod
    async def windows(self) -> list[str]:
        """The addresses of all open tabs."""

    @abstractmethod
    async def close_tab(self) -> None:
        """Close the current tab; another one becomes current, a blank one if it was the last."""

    @abstractmethod
    async def switch_to(self, url_part: str, within: float = 30) -> str:
        """Wait for a tab whose address contains `url_part`, make it the current one and return its address."""

    # Its pages

    @abstractmethod
    async def run(self, script: str, *arguments: Any, within: float = 30) -> Any:
        """Run the statements of an async function in the current page and return what it returns.

        `await browser.run("return (await fetch(arguments[0])).status", "/healthz")`

        Raises:
            BrowserError: it threw, its promise was rejected, or it did not end in time.
        """

    async def wait_for(self, expression: str, within: float = 30) -> Any:
        """Evaluate in the current page until it is truthy, and return that value. An error counts as not yet."""
        return await self._until(partial(self.run, f"return ({expression})"), expression, within)

    @abstractmethod
    async def click(self, css: str, within: float = 30) -> None:
        """Click as a person does (pages take it as a gesture), as soon as the element can be clicked.

        `host >>> button` is a button in the open shadow tree of a host.
        """

    @abstractmethod
    async def stop_workers(self) -> None:
        """End all service workers, as the browser itself does with those that are idle."""

    @abstractmethod
    async def permission(self, origin: str, state: Permission) -> None:
        """Set an origin's permission to notify as the browser's settings do; `default` forgets the person's answer."""

    # How it is done

    @abstractmethod
    def _running(self) -> "subprocess.Popen[bytes]":
        """Its process. Raises BrowserError when there is none."""

    async def _until(self, attempt: Callable[[], Awaitable[T | None]], what: str, limit_s: float) -> T:
        """Try until the answer is truthy; a BrowserError counts as not yet, unless the browser is gone."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit_s
        while True:
            last: T | BrowserError | None
            try:
                if last := await attempt():
                    return last
            except BrowserError as error:
                last = error
            self._running()
            if loop.time() > deadline:
                raise BrowserError(f"waited {limit_s} s for {what}; the last answer was: {last}")
            await asyncio.sleep(_POLL_S)
