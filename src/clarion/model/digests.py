"""Digests: what a category sets, so that one message comes in place of many."""

from typing import TypeAlias

from clarion.model.words import Struct


class FixedWindow(Struct, frozen=True, kw_only=True, tag_field="kind", tag="fixed"):
    """The first message opens it, and it ends so many seconds later."""

    seconds: int


class SlidingWindow(Struct, frozen=True, kw_only=True, tag_field="kind", tag="sliding"):
    """It ends so many seconds after the last message, and at most `max_seconds` after the first."""

    seconds: int
    max_seconds: int


class ScheduledWindow(Struct, frozen=True, kw_only=True, tag_field="kind", tag="scheduled"):
    """It ends at the next of these times of day ("HH:MM"), by the clock on the receiver's wall."""

    at: tuple[str, ...]


Window: TypeAlias = FixedWindow | SlidingWindow | ScheduledWindow


class Digest(Struct, frozen=True, kw_only=True):
    """How the messages of a category are collected, and the words of the one that stands for them.

    `title`, `body`, `url` and `key` are minijinja; a `template` brings words by locale. `key`: what is collected
    together, None: all of the category. Fewer than `min_items` go out as themselves; at `max_items` the window ends.
    """

    window: Window
    key: str | None = None
    template: str | None = None
    title: str | None = None
    body: str | None = None
    url: str | None = None
    min_items: int = 2
    max_items: int = 100
    immediate_first: bool = False  # the first one goes out at once, those after it are collected
    urgent_passes: bool = True  # what has urgency high is not collected
