"""Stepping: how a run moves on, as a pure function of where it is, what is known of the person, and the time."""

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from clarion.journey.automations.flow import END, Flow, matches
from clarion.journey.local_time import next_time, next_window
from clarion.model import Ended, Event, Json, Key, Millis, Rule, Run
from clarion.model.automations import Branch, Delay, EventMatch, Exit, Path, Send, UpdateUser, Wait, Webhook

MOST_MOVES = 1_000
"""Steps that a run goes without a pause: more than any that is let in can."""
_SCALE = 1 << 64


class Seen(NamedTuple):
    """What is known of one person. `happened`: their events of the names that are watched, oldest first."""

    user_id: str
    zone: ZoneInfo
    happened: Iterable[tuple[str, Millis, Json]]
    holds: Callable[[Rule], bool]


class Act(NamedTuple):
    """What a run wants done: by which step, and in which state the run was."""

    run: Run
    step: Send | UpdateUser | Webhook


def advance(flow: Flow, run: Run, seen: Seen, now: Millis) -> tuple[Run, list[Act]]:
    """A run whose time has come, as it is when it waits again or is over; and what is to be done.

    `since` of the run: when what brought it here happened, which may have been told late.
    """
    acts: list[Act] = []
    run = msgspec.structs.replace(run, due_at=None)
    for _ in range(MOST_MOVES):
        step = flow.steps[run.step]
        if run.waits:
            came = _came(step.for_, run, seen) if isinstance(step, Wait) else None
            run = _move(run, _left(flow, run.step, came=came is not None), came or now)
        elif isinstance(step, Delay | Wait | Branch):
            run = _pause(flow, run, step, seen, now)
            if run.waits:
                return run, acts
        elif (ended := _early_end(flow, run, seen)) is not None:
            return _end(run, ended, now), acts
        else:
            if not isinstance(step, Exit):
                acts.append(Act(run, step))
            run = _move(run, flow.after(run.step), run.since)
        if run.ended is not None:
            return run, acts
    return cancelled(run, now), acts


def _pause(flow: Flow, run: Run, step: Delay | Wait | Branch, seen: Seen, now: Millis) -> Run:
    """It waits from now on, or has gone on."""
    match step:
        case Branch():
            return _move(run, _way(flow, run, step, seen), run.since)
        case Wait():
            came = _came(step.for_, run, seen)
            if came is not None:
                return _move(run, flow.after(run.step), came)
            return msgspec.structs.replace(run, waits=True, due_at=now + step.timeout.ms)
        case Delay():
            due = _due(step, now, seen.zone)
            if due <= now:
                return _move(run, flow.after(run.step), run.since)
            return msgspec.structs.replace(run, waits=True, due_at=due)


def on_event(flow: Flow, run: Run, event: Event, now: Millis) -> Run | None:
    """What an event makes of a run that is under way: over, or due at its next step. None: nothing.

    What happened before the run began, or before it came to where it waits, is no answer.
    """
    automation = flow.automation
    if not is_news(run, event.key, event.occurred_at):
        return None
    for match, ended in ((automation.goal, Ended.GOAL), (automation.exit_on, Ended.EXIT)):
        if match is not None and matches(match, event.name, event.properties, run.data):
            return _end(run, ended, now)
    step = flow.steps[run.step]
    if not (run.waits and isinstance(step, Wait)) or event.occurred_at < run.since:
        return None
    if not matches(step.for_, event.name, event.properties, run.data):
        return None
    moved = _move(run, flow.after(run.step), event.occurred_at)
    return moved if moved.ended is not None else msgspec.structs.replace(moved, due_at=now)


def is_news(run: Run, event: Key | None, at: Millis) -> bool:
    """Whether an event happened after what began the run; of those at the same moment, what was told later."""
    if at == run.began_at and run.event is not None and event is not None:
        return event > run.event
    return at >= run.began_at


def may_begin(flow: Flow, before: Run | None, at: Millis) -> bool:
    """Whether a run may begin at a moment, beside or after the last one under its key."""
    if before is None:
        return True
    if before.ended is None or flow.automation.on.attribute is not None:  # a date comes once
        return False
    match flow.automation.reentry:
        case "always":
            return True
        case "never":
            return False
        case wait:
            return at >= before.began_at + wait.ms


def in_part(automation: str, step: str, user_id: str) -> float:
    """Where chance puts a person at a branch: 0 up to 100, the same always."""
    seed = f"{automation}\n{step}\n{user_id}".encode()
    return int.from_bytes(blake2b(seed, digest_size=8).digest()) / _SCALE * 100


def cancelled(run: Run, now: Millis) -> Run:
    """It ends here."""
    return _end(run, Ended.CANCELLED, now)


def _move(run: Run, to: int, since: Millis) -> Run:
    if to == END:
        return _end(run, Ended.DONE, since)
    return msgspec.structs.replace(run, step=to, waits=False, due_at=None, since=since, moves=run.moves + 1)


def _end(run: Run, how: Ended, at: Millis) -> Run:
    return msgspec.structs.replace(run, ended=how, waits=False, due_at=None, since=at, moves=run.moves + 1)


def _left(flow: Flow, at: int, *, came: bool) -> int:
    step = flow.steps[at]
    if isinstance(step, Wait) and not came and step.on_timeout is not None:
        return flow.number(step.on_timeout)
    return flow.after(at)


def _early_end(flow: Flow, run: Run, seen: Seen) -> Ended | None:
    automation = flow.automation
    for match, ended in ((automation.goal, Ended.GOAL), (automation.exit_on, Ended.EXIT)):
        if match is not None and _times(match, run, seen, run.began_at):
            return ended
    if automation.exit_if is not None and seen.holds(automation.exit_if):
        return Ended.EXIT
    return None


def _came(match: EventMatch, run: Run, seen: Seen) -> Millis | None:
    """When what a run waits for happened first, after it came there: each event answers one wait."""
    return min(_times(match, run, seen, run.since + 1), default=None)


def _times(match: EventMatch, run: Run, seen: Seen, since: Millis) -> list[Millis]:
    return [at for name, at, told in seen.happened if at >= since and matches(match, name, told, run.data)]


def _due(step: Delay, now: Millis, zone: ZoneInfo) -> Millis:
    if step.until is not None:
        return next_time(step.until, now, zone)
    if step.window is not None:
        return next_window(step.window, now, zone)
    assert step.for_ is not None
    return now + step.for_.ms


def _way(flow: Flow, run: Run, step: Branch, seen: Seen) -> int:
    place = in_part(flow.name, flow.label(run.step), seen.user_id)
    below = 0.0
    for path in step.paths:
        if path.percent is not None:
            below += path.percent
        if _fits(path, place, below, seen):
            return flow.number(path.to)
    return flow.after(run.step)


def _fits(path: Path, place: float, below: float, seen: Seen) -> bool:
    if path.percent is not None:
        return place < below
    return path.if_ is not None and seen.holds(path.if_)


def kept_of(flow: Flow, properties: Mapping[str, object]) -> Json:
    """What a run remembers of what it began with."""
    return {name: properties[name] for name in flow.kept if name in properties}
