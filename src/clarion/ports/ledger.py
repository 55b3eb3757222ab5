"""What the ledger of consents holds beside a person's own words about a category."""

from collections.abc import Iterable, Mapping
from typing import Final

from clarion.model import CHANNEL_OF_KIND, Consent, DeviceKind, Key, Millis, Permission

ANY_CATEGORY: Final = "*"
"""In place of a category's name, which none can have: a line about a device's permission. It is no consent."""

_SHOWABLE = frozenset({Permission.GRANTED, Permission.PROVISIONAL})
Subject = tuple[Key, str, str]
"""Whose word, about which category, for which channel."""


def permission_line(
    user: Key, kind: DeviceKind, before: Permission | None, after: Permission, at: Millis
) -> Consent | None:
    """The line that a device's new answer is worth: its system took permission back, or gave it again."""
    revoked = before in _SHOWABLE and after is Permission.DENIED
    if not revoked and not (before is Permission.DENIED and after in _SHOWABLE):
        return None
    who, what = "browser" if kind is DeviceKind.WEBPUSH else "system", "revoked" if revoked else "granted"
    return Consent(
        user=user,
        category=ANY_CATEGORY,
        channel=CHANNEL_OF_KIND[kind],
        granted=not revoked,
        source=f"{who}_{what}",
        at=at,
    )


def told_news(lines: Iterable[Consent], known: Mapping[Subject, tuple[Millis, bool]]) -> list[bool]:
    """Of lines that were told elsewhere, which the ledger does not have yet: none that is older than its last word.

    `known`: when that was said, and whether it was a yes. What was said first comes first, wherever it stands.
    """
    last = dict(known)
    news = [False] * len(lines := list(lines))
    for index, line in sorted(enumerate(lines), key=lambda one: _said(one[1])):
        about, said = subject(line), (_said(line), line.granted)
        before = last.get(about)
        if before is None or said[0] > before[0] or (said[0] == before[0] and before[1] and not line.granted):
            last[about], news[index] = said, True
    return news


def last_said(ledger: Iterable[Consent]) -> dict[Subject, tuple[Millis, bool]]:
    """The last word about each subject in a ledger in its order: when it was said, and whether it was a yes."""
    return {subject(line): (_said(line), line.granted) for line in ledger}


def subject(line: Consent) -> Subject:
    """Whose word, about which category, for which channel."""
    return line.user, line.category, line.channel


def _said(line: Consent) -> Millis:
    return line.at if line.said_at is None else line.said_at
