"""What a simulated push service answers: by token, a fixed number of times or for good."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

REFUSED_STREAM: Final = 7
"""RFC 9113 §7: the request was not processed and may be sent again."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag=str.lower, forbid_unknown_fields=True):
    """One answer; `times` is how often it is given before the next one is, None for good.

    Answers that say `accepted` count the message as accepted, so the device shows it, whether the sender learns of it
    or not.
    """

    times: int | None = None

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times: 1 or more, or left out for good")


class Accept(Answer, frozen=True):
    """Accepted, and answered so."""


class Refuse(Answer, frozen=True):
    """Refused with a reason of the service, in its own form.

    `retry_after` is in seconds; `timestamp`, which only APNs' Unregistered has, in milliseconds since the epoch, now
    unless given.
    """

    reason: str
    retry_after: int | None = None
    timestamp: int | None = None


class Raw(Answer, frozen=True):
    """Any status with any body, such as the HTML page of a load balancer."""

    status: int
    body: str = ""
    content_type: str = "text/html; charset=UTF-8"
    retry_after: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 200 <= self.status <= 599:  # noqa: PLR2004 - final statuses of HTTP
            raise ValueError("status: 200 to 599")


class Leave(Answer, frozen=True):
    """GOAWAY in the middle.

    With `accepted` this message is the last that counts and is answered; without, it and all later ones of the
    connection were not looked at.
    """

    reason: str | None = None
    accepted: bool = False


class HangUp(Answer, frozen=True):
    """The connection ends without an answer."""

    accepted: bool = True


class Break(Answer, frozen=True):
    """The stream is reset: `code` says why (RFC 9113 §7); REFUSED_STREAM belongs to `accepted` false."""

    code: int = REFUSED_STREAM
    accepted: bool = False


class Delay(Answer, frozen=True):
    """Accepted at once, answered `ms` milliseconds later."""

    ms: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ms < 0:
            raise ValueError("ms: 0 or more")


class Stall(Answer, frozen=True):
    """Never answered; the other streams of the connection go on."""

    accepted: bool = False


AnyAnswer: TypeAlias = Accept | Refuse | Raw | Leave | HangUp | Break | Delay | Stall
Steps: TypeAlias = AnyAnswer | Sequence[AnyAnswer]


def as_list(steps: Steps) -> list[AnyAnswer]:
    """One answer is a list of one."""
    return [steps] if isinstance(steps, Answer) else list(steps)


def check(token: str, steps: Steps, reasons: Collection[str]) -> None:
    """Raises ValueError when an answer has a reason that is none of these; it names the token."""
    for step in as_list(steps):
        reason = getattr(step, "reason", None)
        if reason is not None and reason not in reasons:
            raise ValueError(f"{token}: there is no reason {reason}; there are {', '.join(reasons)}")


_JSON: Final = msgspec.json.Decoder(dict[str, AnyAnswer | list[AnyAnswer]])


class Script:
    """Answers for tokens, in order; `otherwise` for other tokens and when a token's answers are used up.

    A token that begins with a code (see `codes`) brings its answer along.
    """

    def __init__(self, answers: Mapping[str, Steps] | None = None, otherwise: AnyAnswer | None = None) -> None:
        self.otherwise: AnyAnswer = otherwise or Accept()
        self._steps: dict[str, list[AnyAnswer]] = {}
        self._used: dict[str, int] = {}
        for token, steps in (answers or {}).items():
            self.on(token, steps)

    @staticmethod
    def read(text: bytes) -> dict[str, Steps]:
        """Answers from JSON: `{"token": [{"do": "refuse", "reason": "…", "times": 2}, {"do": "accept"}]}`.

        Raises msgspec.ValidationError or DecodeError, which say where and what.
        """
        return dict(_JSON.decode(text))

    def check(self, reasons: Collection[str]) -> None:
        """Raises ValueError when an answer has a reason that is none of these."""
        for token, steps in [*self._steps.items(), ("otherwise", [self.otherwise])]:
            check(token, steps, reasons)

    def on(self, token: str, steps: Steps) -> None:
        """From now on this is answered to the token, whatever was before."""
        self._steps[token] = as_list(steps)
        self._used.pop(token, None)

    def clear(self) -> None:
        """Forget the answers for single tokens, and how often they were given."""
        self._steps.clear()
        self._used.clear()

    def take(self, token: str, coded: AnyAnswer | None = None) -> AnyAnswer:
        """The answer to this request, which is counted. `coded` is what the token itself asks for."""
        steps = self._steps.get(token)
        if steps is None:
            if coded is None:
                return self.otherwise
            steps = [coded]
        used = self._used.get(token, 0)
        self._used[token] = used + 1
        for step in steps:
            if step.times is None or used < step.times:
                return step
            used -= step.times
        return self.otherwise
