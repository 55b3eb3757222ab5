"""Tells a person's story for the eye: each notification with the way it took, lit as far as it came."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.demo.words import entry
from clarion.journey.story import WAY, Chapter
from clarion.model import Event, Millis, Notification

_GROUNDS = ("permission", "registration")
MOST_JOURNEYS = 12

DONE, OPEN, WAIT, STOP = "done", "open", "wait", "stop"


class Origin(NamedTuple):
    """Where a notification came from: the stored request and, through an automation, the event."""

    notification: Notification
    event: Event | None


class Entry(msgspec.Struct, frozen=True):
    """One line of the timeline. `tone` is good, wait, bad or plain; `gates` are those of a decision, in order."""

    at: Millis
    stage: str
    title: str
    text: str
    tone: str
    gates: list[list[str]] = []


class Step(msgspec.Struct, frozen=True):
    """One of the nine stages: how far it is, when it was reached and how many milliseconds after the one before."""

    stage: str
    state: str
    at: Millis | None = None
    took: Millis | None = None


class Journey(msgspec.Struct, frozen=True):
    """One notification from its trigger to what was learned; before its decision `id` is None."""

    key: str
    id: str | None
    title: str
    category: str | None
    at: Millis
    way: list[Step]
    entries: list[Entry]


class View(msgspec.Struct, frozen=True):
    """What the live page shows: who this is to us, and the newest journeys first."""

    user: str
    person: list[Entry]
    journeys: list[Journey]


def tell(user: str, chapters: Sequence[Chapter], origins: Mapping[str, Origin], titles: Mapping[str, str]) -> View:
    """The view of a story. `origins`: what the chapters name, by its id; `titles`: of categories."""
    person = [chapter for chapter in chapters if _is_personal(chapter)]
    told: dict[str, list[Chapter]] = defaultdict(list)
    for chapter in chapters:
        if (id := chapter.detail.get("notification_id")) is not None and id in origins:
            told[id].append(chapter)
    triggers = [chapter for chapter in chapters if chapter.stage == "trigger"]
    journeys = []
    for id, own in told.items():
        origin = origins[id]
        event = _event_of(origin, triggers)
        if event is not None:
            triggers.remove(event)
        journeys.append(_journey(origin, event, own, person, titles))
    journeys += [_unanswered(event, person, titles) for event in triggers]
    journeys.sort(key=lambda journey: journey.at, reverse=True)
    return View(user, [_entry(chapter, titles) for chapter in person], journeys[:MOST_JOURNEYS])


def _is_personal(chapter: Chapter) -> bool:
    """About the person and the devices, not about one notification."""
    return chapter.stage in _GROUNDS or (chapter.stage == "learn" and "notification_id" not in chapter.detail)


def _event_of(origin: Origin, triggers: Iterable[Chapter]) -> Chapter | None:
    if origin.event is None:
        return None
    wanted = (origin.event.occurred_at, origin.event.properties)
    return next((one for one in triggers if (one.at, one.detail.get("properties")) == wanted), None)


def _journey(
    origin: Origin, event: Chapter | None, own: list[Chapter], person: list[Chapter], titles: Mapping[str, str]
) -> Journey:
    notification = origin.notification
    chapters = [event, *own] if event is not None else own
    at = event.at if event is not None else notification.created_at
    name = origin.event.name if origin.event is not None else notification.message.title or notification.id
    entries = [_entry(chapter, titles) for chapter in chapters]
    if event is None:
        asked = Entry(at, "trigger", "A call asked for it", notification.message.title or "", "plain")
        entries.insert(0, asked)
    return Journey(
        key=f"{at}:{name}",
        id=notification.id,
        title=name,
        category=titles.get(notification.message.category, notification.message.category),
        at=at,
        way=_way(_reached(at, notification.created_at, own, person)),
        entries=entries,
    )


def _unanswered(event: Chapter, person: list[Chapter], titles: Mapping[str, str]) -> Journey:
    """An event that has started nothing, or nothing yet."""
    name = event.what.removeprefix("Event ")
    steps = _grounds(person, None) | {"trigger": (DONE, event.at)}
    return Journey(
        key=f"{event.at}:{name}",
        id=None,
        title=name,
        category=None,
        at=event.at,
        way=_way(steps),
        entries=[_entry(event, titles)],
    )


def _entry(chapter: Chapter, titles: Mapping[str, str]) -> Entry:
    words = entry(chapter, titles)
    gates = [[str(part) for part in gate] for gate in chapter.detail.get("gates", [])]
    return Entry(chapter.at, chapter.stage, words.title, words.text, words.tone, gates)


# --- the way ---------------------------------------------------------------------------------------------------------

_Reached = dict[str, tuple[str, Millis | None]]


def _grounds(person: Iterable[Chapter], until: Millis | None) -> _Reached:
    """What stood before anything was triggered: the yes and the address."""
    steps: _Reached = {}
    for chapter in person:
        if until is not None and chapter.at > until:
            continue
        said_yes = chapter.stage == "permission" and chapter.detail.get("permission") in ("granted", "provisional")
        if said_yes or chapter.stage == "registration":
            steps.setdefault(chapter.stage, (DONE, chapter.at))
    return steps


def _reached(at: Millis, created_at: Millis, own: list[Chapter], person: list[Chapter]) -> _Reached:
    decision = next((chapter for chapter in own if chapter.stage == "decide"), None)
    if decision is None:
        return _grounds(person, None) | {"trigger": (DONE, at)}
    steps = _grounds(person, decision.at) | {"trigger": (DONE, at), "audience": (DONE, created_at)}
    verdict = decision.detail["decision"]
    steps["decide"] = ({"send": DONE, "hold": WAIT}.get(verdict, STOP), decision.at)
    if verdict != "send":
        return steps
    steps["compose"] = (DONE, decision.at)
    return steps | _delivered(own)


def _delivered(own: list[Chapter]) -> _Reached:
    """The way of the delivery that came furthest; a delivery has no other dates than its receipts."""
    receipts = {
        chapter.detail["kind"]: chapter.at for chapter in reversed(own) if chapter.stage in ("display", "learn")
    }
    states = {chapter.detail["state"] for chapter in own if chapter.stage == "deliver"}
    steps: _Reached = {}
    if states and states <= {"failed", "expired"}:
        return {"deliver": (STOP, None)}
    if states:
        handed_over = bool(states - {"queued", "failed", "expired"})
        steps["deliver"] = (DONE if handed_over else WAIT, receipts.get("delivered"))
    if "displayed" in receipts:
        steps["display"] = (DONE, receipts["displayed"])
        steps["learn"] = (WAIT, None)
    answer = receipts.get("clicked", receipts.get("dismissed"))
    if answer is not None:
        steps["learn"] = (DONE, answer)
    return steps


def _way(reached: _Reached) -> list[Step]:
    way: list[Step] = []
    before: Millis | None = None
    for stage in WAY:
        state, at = reached.get(stage, (OPEN, None))
        if stage in _GROUNDS or at is None:
            way.append(Step(stage, state, at))
            continue
        # A device's clock may run behind ours: a time that cannot be is not shown.
        way.append(Step(stage, state, at, at - before if before is not None and at >= before else None))
        before = max(at, before or 0)
    return way
