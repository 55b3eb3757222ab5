"""Tokens that bring their answer along: `c0de`, two hexadecimal digits for what, two for how often, then anything.

So a sender under test can be met by any answer without a word to the simulator: `c0de1b02…` is refused with answer 1b
twice and then accepted; `00` times is for good.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from clarion.testing.simulators.script import (
    Accept,
    AnyAnswer,
    Break,
    Delay,
    HangUp,
    Leave,
    Raw,
    Refuse,
    Stall,
)

PREFIX: Final = "c0de"
_LENGTH: Final = 8
_INTERNAL_ERROR: Final = 2
BAD_GATEWAY: Final = "<!DOCTYPE html><html lang=en><title>Error 502 (Server Error)!!1</title><p><b>502.</b></html>"

# Answers beside the reasons of a service. A number is never given to another answer.
_COMMON: Final[dict[int, AnyAnswer]] = {
    0xD0: Delay(ms=100),
    0xD1: Delay(ms=1_000),
    0xD2: Delay(ms=10_000),
    0xD3: Delay(ms=60_000),
    0xE0: Raw(status=502, body=BAD_GATEWAY),
    0xE1: Raw(status=503, body="", retry_after=1),
    0xF0: Leave(),
    0xF1: Leave(accepted=True),
    0xF2: HangUp(accepted=False),
    0xF3: HangUp(),
    0xF4: Break(),
    0xF5: Break(code=_INTERNAL_ERROR, accepted=True),
    0xF6: Stall(),
    0xF7: Stall(accepted=True),
}

_MEANINGS: Final[dict[int, str]] = {
    0xE0: "502 with a page of HTML",
    0xE1: "503 with an empty body and `Retry-After: 1`",
    0xF0: "GOAWAY; this message and later ones of the connection are not looked at",
    0xF1: "accepted and answered, then GOAWAY",
    0xF2: "the connection drops; the message is not accepted",
    0xF3: "accepted, but the connection drops before the answer",
    0xF4: "the stream is reset with REFUSED_STREAM",
    0xF5: "accepted, but the stream is reset with INTERNAL_ERROR",
    0xF6: "never answered",
    0xF7: "accepted, never answered",
}


class Codes:
    """The codes of one service: `reasons` are numbered from 1 in their order, so new ones go to the end."""

    def __init__(self, reasons: Iterable[str], retry_after: Mapping[str, int]) -> None:
        """`retry_after`: seconds, for reasons that come with the header Retry-After."""
        numbered = {
            number: Refuse(reason=reason, retry_after=retry_after.get(reason))
            for number, reason in enumerate(reasons, start=1)
        }
        self.answers: dict[int, AnyAnswer] = {0: Accept(), **numbered, **_COMMON}

    def token(self, number: int, times: int = 0, rest: str = "") -> str:
        """A token that asks for an answer; `times` at most 255, 0 for good."""
        return f"{PREFIX}{number:02x}{times:02x}{rest}"

    def read(self, token: str) -> AnyAnswer | None:
        """What this token asks for; None when it asks for nothing."""
        if not token.startswith(PREFIX):
            return None
        try:
            number, times = bytes.fromhex(token[len(PREFIX) : _LENGTH])
        except ValueError:
            return None
        answer = self.answers.get(number)
        if answer is None or times == 0:
            return answer
        return msgspec.structs.replace(answer, times=times)

    def rows(self) -> Iterable[tuple[str, str]]:
        """How each code begins and what it means, for a table."""
        for number, answer in self.answers.items():
            yield f"{PREFIX}{number:02x}", _meaning(number, answer)


def _meaning(number: int, answer: AnyAnswer) -> str:
    match answer:
        case Accept():
            return "accepted"
        case Refuse(reason=reason, retry_after=None):
            return f"`{reason}`"
        case Refuse(reason=reason, retry_after=seconds):
            return f"`{reason}` with `Retry-After: {seconds}`"
        case Delay(ms=ms):
            return f"accepted, answered after {ms / 1000:g} s"
        case _:
            return _MEANINGS[number]
