"""Variants: one message in several wordings, and who gets which.

Whether somebody gets the message does not depend on the wording, so that it is chosen once all gates let pass. What was
chosen stands among the gates of the decision: weights may change, and a winner take over, but that stays true.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.errors import FieldError
from clarion.intelligence.experiments import bucket, table
from clarion.journey.candidate import Decided, noted
from clarion.model import CONTROL, ONLY, Key, Message, Notification, Reason, Variant

GATE = "variant"
_BY_RULE = ", the winner"
_decode = msgspec.json.Decoder(list[list[str]]).decode


# --- who gets which ---------------------------------------------------------------------------------------------------


class _Shares(NamedTuple):
    """Who gets which, of one notification."""

    seed: bytes
    owners: Sequence[str]


class Assigner:
    """Gives people their variants, slice by slice. `winners`: of notifications that have one, by now."""

    def __init__(self, project_id: str, winners: Mapping[Key, str]) -> None:
        self._project_id = project_id
        self._winners = winners
        self._shares: dict[Key, _Shares] = {}

    def assign(self, decided: list[Decided]) -> list[Decided]:
        """Those that are sent, or told in a digest, with the variant that they are sent in."""
        if not any(one.notification.message.variants for one in decided):
            return decided
        return [self._assigned(one) if one.notification.message.variants else one for one in decided]

    def _assigned(self, one: Decided) -> Decided:
        if one.reason is not Reason.SEND and not one.due:
            return one
        winner = self._winners.get(one.notification.key)
        if winner is not None:
            return noted(one, GATE, winner + _BY_RULE, winner)
        seed, owners = self._shares.get(one.notification.key) or self._shared(one.notification)
        key = owners[bucket(seed, one.recipient.user_id.encode())]
        return noted(one, GATE, key, key)

    def _shared(self, notification: Notification) -> _Shares:
        seed = f"{self._project_id}\n\nvariants\n{notification.experiment_key}\n".encode()
        owners = table(seed, {one.key: one.weight for one in notification.message.variants})
        shares = self._shares[notification.key] = _Shares(seed, owners)
        return shares


class Told(NamedTuple):
    """What the gates of a decision say of variants: which, and whether it was the winner then."""

    key: str | None
    by_rule: bool = False


def told(gates: str) -> Told:
    """Read back from what was recorded."""
    if f'"{GATE}"' not in gates:
        return Told(None)
    said = next((because for gate, _, because in reversed(_decode(gates)) if gate == GATE), None)
    return Told(None) if said is None else Told(said.removesuffix(_BY_RULE), said.endswith(_BY_RULE))


# --- at the door ------------------------------------------------------------------------------------------------------


def problems(message: Message, *, armed: bool = False) -> list[FieldError]:
    """What is wrong with variants and experiment, whatever the texts say."""
    return [*_variants(message.variants), *_winner(message, armed=armed)]


def no_winner(message: Message) -> list[FieldError]:
    """Of a message that goes to one person at a time."""
    if message.winner is None:
        return []
    return [FieldError("experiment.winner", "cannot stand in an automation: there is no rest of the people")]


def _variants(variants: Sequence[Variant]) -> Iterable[FieldError]:
    if len(variants) == 1:  # none at all is how a message without them is read
        yield FieldError("variants", "must have at least 2 items")
    seen = set[str]()
    for at, one in enumerate(variants):
        if one.key in seen:
            yield FieldError(f"variants[{at}].key", f"is there twice: {one.key}")
        if one.key in (CONTROL, ONLY):
            yield FieldError(f"variants[{at}].key", f"cannot be {one.key}: results use that word")
        if one.template_version is not None and one.template is None:
            yield FieldError(f"variants[{at}].template_version", "needs the variant's own template")
        seen.add(one.key)
    if variants and not any(one.weight > 0 for one in variants):
        yield FieldError("variants[0].weight", "must be above 0 in at least one variant")


def _winner(message: Message, *, armed: bool) -> Iterable[FieldError]:
    winner, within = message.winner, message.goal.within_s
    if winner is None:
        return
    if not message.variants:
        yield FieldError("experiment.winner", "needs variants")
    if armed:
        yield FieldError("arm", "cannot be true beside experiment.winner: what is armed is sent to all at once")
    if winner.after < within:
        yield FieldError("experiment.winner.after", f"must be at least the goal's within_s, {within}")
    if winner.after >= message.ttl:
        yield FieldError("experiment.winner.after", f"must be below the ttl, {message.ttl}: the rest would expire")
