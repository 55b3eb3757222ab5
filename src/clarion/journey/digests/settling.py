"""Settling: what waited for a digest long enough goes together as one message, or, where that is few, as it is."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from clarion.journey.candidate import Candidate, Decided, also
from clarion.journey.compose import Scene
from clarion.journey.decide import Law
from clarion.journey.digests.digest import Made, Words, digest_of, made
from clarion.journey.rules import content_hash
from clarion.journey.texts.words import Setting, TextError
from clarion.model import Key, Reason, Verdict, verdict_of
from clarion.ports import Facts


class Settled(NamedTuple):
    """The decisions on what was due, and the digests that are sent; `within`: (notification, user) → its digest."""

    decided: list[Decided]
    digests: list[Decided]
    within: dict[tuple[Key, Key], Key]


class Settling:
    """`candidates`, in order of people, are judged with `scene`; what became of them is `told` of all who waited."""

    def __init__(self, due: Sequence[Decided], law: Law, scene: Scene, keys: Sequence[Key]) -> None:
        """`keys`: for the digests, one for each group at least."""
        self._due, self._law = due, law
        seen = {"project": scene.project_facts, "now": scene.now_text}
        setting = Setting(partials=scene.partials, zone=scene.zone)
        self._words = Words(scene.templates, scene.events, seen, setting)
        self._dropped: list[Decided] = []
        self._made: dict[Key, Made] = {}
        groups: dict[tuple[Key, int], list[Decided]] = {}
        for one in due:
            if one.group is not None:
                groups.setdefault((one.recipient.key, one.group), []).append(one)
        unused = iter(keys)
        found = [each for (_, group), waiting in groups.items() for each in self._candidates(group, waiting, unused)]
        self.candidates = sorted(found, key=lambda one: one.recipient.key)
        self.scene = scene._replace(digests={key: one.seen for key, one in self._made.items()})

    def _candidates(self, group: int, waiting: Sequence[Decided], keys: Iterator[Key]) -> list[Candidate]:
        items = []
        for one in sorted(waiting, key=lambda one: one.notification.key):
            try:
                items.append((one, self._words.of(one)))
            except TextError as error:
                self._dropped.append(_ended(one, "compose", Reason.TEMPLATE_ERROR, str(error)))
        digest = digest_of(waiting[0].notification, self._law.categories)
        if digest is None or len(items) < digest.min_items:
            said = f"{len(items)} collected: sent as they are" if len(items) > 1 else "the only one: sent as it is"
            return [Candidate(one.notification, one.recipient, one.only, (said, group)) for one, _ in items]
        digested = made(items, digest, next(keys), group, self._law.now)
        self._made[digested.candidate.notification.key] = digested
        return [digested.candidate]

    def facts(self, facts: Facts) -> Facts:
        """What was due has reserved its content: that makes it no duplicate of itself."""
        own = {
            (one.recipient.key, content_hash(key))
            for one in self._due
            if (key := one.notification.message.content_key) is not None
        }
        now = self._law.now
        others = {about: at for about, at in facts.sent_content.items() if at != now or about not in own}
        return msgspec.structs.replace(facts, sent_content=others)

    def told(self, judged: Sequence[Decided]) -> Settled:
        """Only a digest that is sent is a notification of its own: else those in it wait, or end, as it would."""
        settled = Settled(list(self._dropped), [], {})
        for verdict in judged:
            digest = self._made.get(verdict.notification.key)
            if digest is None:
                settled.decided.append(verdict)
            elif verdict.reason is Reason.SEND:
                _sent(verdict, digest.items, settled)
            else:
                settled.decided.extend(_stopped(verdict, digest.items))
        return settled


def _sent(digest: Decided, items: Sequence[Decided], settled: Settled) -> None:
    settled.digests.append(digest)
    said = f"{len(items)} in one: {digest.notification.id}"
    for one in items:
        settled.decided.append(_ended(one, "digest", Reason.IN_DIGEST, said))
        settled.within[one.notification.key, one.recipient.key] = digest.notification.key


def _stopped(digest: Decided, items: Sequence[Decided]) -> list[Decided]:
    """What holds a digest holds all of them as collected: under caps they wait for one place, not for one each."""
    gate, _, because = msgspec.json.decode(digest.gates)[-1]
    reason = Reason.DIGEST if verdict_of(digest.reason) is Verdict.HOLD else digest.reason
    said = f"{len(items)} in one: {gate}: {because}"
    return [msgspec.structs.replace(_ended(one, "digest", reason, said), until=digest.until) for one in items]


def _ended(due: Decided, gate: str, reason: Reason, because: str) -> Decided:
    return msgspec.structs.replace(
        due, reason=reason, until=None, gates=also(due.gates, gate, reason, because), due=False
    )
