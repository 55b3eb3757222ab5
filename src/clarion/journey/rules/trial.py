"""Gate: who is not among the first, to whom variants are tried out, waits for the winner."""

from hashlib import blake2b
from typing import NamedTuple

from clarion.journey.rules.ruling import Ruling
from clarion.model import Millis, Notification, Reason

_SCALE = 1 << 64


class Trial(NamedTuple):
    """Among the first are those whose BLAKE2b hash of `seed` and user id lies below `below`, as in control groups."""

    seed: bytes
    below: bytes
    first: Ruling
    rest: Ruling

    def __call__(self, user_id: str) -> Ruling:
        """Goes now, or waits."""
        return self.first if blake2b(self.seed + user_id.encode()).digest() < self.below else self.rest


def trial(project_id: str, notification: Notification, now: Millis) -> Trial | None:
    """None: there is no winner to wait for, or not any more."""
    winner, until = notification.message.winner, notification.winner_at
    if winner is None or until is None or now >= until:
        return None
    seed = f"{project_id}\n\ntrial\n{notification.experiment_key}\n".encode()
    below = round(winner.share / 100 * _SCALE).to_bytes(8)
    among = f"the first {winner.share:.12g} %"
    return Trial(
        seed, below, Ruling(None, f"among {among}"), Ruling(Reason.EXPERIMENT, f"{among} show what is better", until)
    )
