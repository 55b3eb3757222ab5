"""What our own push service tells."""

from clarion.api.answers.base import Answer, Listing


class BroadcastAnswer(Answer, frozen=True, kw_only=True):
    """A broadcast and its version."""

    id: str
    version: str


class BroadcastList(Listing, frozen=True, kw_only=True):
    """All broadcasts by id."""

    items: list[BroadcastAnswer]
