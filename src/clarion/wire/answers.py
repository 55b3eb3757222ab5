"""What other people's services answer, as far as it is the same for all: how long to wait, and words to be kept."""

from email.utils import parsedate_to_datetime
from typing import Final

from clarion.model import MAX_TTL_SECONDS, Millis

MOST_WORDS: Final = 300


def clean(text: str, most: int = MOST_WORDS) -> str:
    """A stranger's words as every store takes them: no U+0000, no half characters, and not many of them.

    Endpoints are chosen by anybody, so an answer may be made to fail whoever writes it down, and its batch with it.
    """
    text = text[:most]
    if not text.isprintable():
        text = "".join(each if each.isprintable() else " " for each in text)
    return text.strip()


def retry_after(header: str | None, now: Millis) -> float | None:
    """Retry-After is a number of seconds or a date (RFC 9110 section 10.2.3); no wait is longer than a TTL can be."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_TTL_SECONDS)
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, at - now / 1000), MAX_TTL_SECONDS)
