"""The person before the browser: enters the shop, reads the soft prompt, says yes or no, orders."""

import json
from typing import Any

from clarion_server import Demo
from harness import Browser, BrowserError, Firefox

_PROMPT = "clarion-prompt"
_OPEN_PROMPT = f"document.querySelector('{_PROMPT}')?.shadowRoot.querySelector('dialog').innerText"


class Visitor:
    """Does with the demo's pages what a person can do; `name` is the user id that the shop gave."""

    def __init__(self, browser: Browser, demo: Demo) -> None:
        self.browser = browser
        self.demo = demo
        self.name = ""

    @property
    def firefox(self) -> Firefox:
        """The browser, where only a Firefox will do."""
        assert isinstance(self.browser, Firefox)
        return self.browser

    async def enter(self) -> None:
        """By the front door."""
        await self.browser.goto(self.demo.url)
        self.name = await self.browser.run("return document.body.dataset.visitor")

    async def press_bell(self) -> str:
        """Ask to be told; returns the words of the soft prompt."""
        await self.browser.wait_for("!document.getElementById('bell').disabled")
        await self.browser.click("#bell")
        words: str = await self.browser.wait_for(_OPEN_PROMPT)
        return words

    async def tick(self, *categories: str) -> None:
        """Change boxes of the soft prompt."""
        for category in categories:
            await self.browser.click(f"{_PROMPT} >>> input[name={category}]")

    async def say_yes(self) -> None:
        """To the soft prompt."""
        await self.browser.click(f"{_PROMPT} >>> button[type=submit]")

    async def say_not_now(self) -> None:
        """To the soft prompt."""
        await self.browser.click(f"{_PROMPT} >>> button[type=button]")

    async def is_told_that_the_bell_is_set(self) -> None:
        """The page says that this browser is registered."""
        await self.browser.wait_for("!document.getElementById('bell-off').hidden")

    async def subscribe(self, *, tick: tuple[str, ...] = ()) -> None:
        """From the shop's door to a registered browser, as most people go."""
        await self.enter()
        await self.press_bell()
        await self.tick(*tick)
        await self.say_yes()
        await self.firefox.answer_prompt(allow=True)
        await self.is_told_that_the_bell_is_set()

    async def leave(self) -> None:
        """Close the shop: no page of it stays open."""
        await self.browser.close_tab()
        assert await self.browser.windows() == ["about:blank"]

    async def order(self, product: str) -> str:
        """Press its button; returns the order's id."""
        await self.browser.click(f".order[data-product={product}]")
        order: str = await self.browser.wait_for("document.body.dataset.order")
        return order

    async def reads(self, text: str) -> None:
        """Wait until the page shows this."""
        await self.browser.wait_for(f"document.body.innerText.includes({json.dumps(text)})")

    async def is_asked_by_the_browser(self) -> bool:
        """Whether the browser's own prompt is on the screen, or comes there soon."""
        try:
            await self.firefox.answer_prompt(allow=True, within=1)
        except BrowserError:
            return False
        return True

    async def permission(self) -> Any:
        """What the browser holds about this site."""
        return await self.browser.run("return Notification.permission")
