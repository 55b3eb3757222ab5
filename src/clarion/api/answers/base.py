"""What all answers share."""

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what we answer."""


class Listing(Answer, frozen=True, kw_only=True):
    """Base of lists; `next_cursor` is null at the end."""

    next_cursor: str | None = None
