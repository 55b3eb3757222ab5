"""What the gates of a decision came to: most candidates hear the same, which is written down once for all of them."""

from functools import lru_cache

from clarion.journey import rules
from clarion.model import Millis, Reason


class Passed:
    """How far a candidate has come: what the gates came to, and `then`, where those after it lead by what they say.

    Most candidates hear the same: it is written down once for all of them. `steps`: how many, from the first gate on.
    """

    __slots__ = ("gates", "reason", "steps", "then", "until")

    def __init__(
        self, gates: str, reason: Reason = Reason.SEND, until: Millis | None = None, steps: list[int] | None = None
    ) -> None:
        self.reason, self.until, self.gates = reason, until, gates
        self.steps = [0] if steps is None else steps
        self.then: dict[object, Passed] = {}

    def on(self, said: object, gates: tuple[str, ...], rulings: tuple[rules.Ruling | None, ...]) -> "Passed":
        """The next step, on its first way there; `said`: as short a name for the rulings as there is.

        The first gate that stops it decides; what comes after it, or was not asked, is not written down.
        """
        written, reason, until = self.gates[:-1], Reason.SEND, None
        for gate, ruling in zip(gates, rulings, strict=True):
            if ruling is None:
                continue
            written += "," + rules.record(gate, ruling.reason, ruling.because)
            if ruling.reason is not None:
                reason, until = ruling.reason, ruling.until
                break
        self.steps[0] += 1
        found = self.then[said] = Passed(written + "]", reason, until, self.steps)
        return found


MOST_STEPS = 4096
"""Some MB of memory for each of the beginnings below."""


@lru_cache(maxsize=16)
def begun_with(written: str) -> Passed:
    """Where the gates that look at the notification alone lead: batches that begin alike share what comes after."""
    return Passed(f"[{written}]")
