"""An automation's steps as a page draws them: what each does, who is there, how many went on, and where to."""

from collections.abc import Sequence
from typing import Any

from clarion.dashboard import words
from clarion.journey.automations.flow import END, Flow
from clarion.journey.automations.passage import Passage, passages
from clarion.journey.automations.sentences import Way, said, told, ways
from clarion.model import Automation
from clarion.ports import StepCount


def drawn(flow: Flow, counts: Sequence[StepCount]) -> list[dict[str, Any]]:
    """The steps of one version, in order; bars are parts of all runs of it."""
    found = passages(flow, counts)
    runs = sum(one.runs for one in counts if one.version == flow.automation.version)
    return [_step(flow, at, one, runs) for at, one in enumerate(found)]


def single(automation: Automation) -> list[dict[str, Any]]:
    """The one thing that an automation without steps does; nobody waits there."""
    message = automation.notification
    does = "Nothing" if message is None else f"Send {said(message)}"
    step: dict[str, Any] = {"number": 1, "id": None, "kind": "send", "does": does, "ways": [], "goes_down": True}
    return [step | {"here": 0, "went": None, "bar": [], "ended": []}]


def _step(flow: Flow, at: int, passage: Passage, runs: int) -> dict[str, Any]:
    step, every = flow.steps[at], list(ways(flow, at))
    below = at + 1 if at + 1 < len(flow.steps) else END
    return {
        "number": at + 1,
        "id": step.id,
        "kind": str(step.__struct_config__.tag),
        "does": told(step),
        "here": passage.here,
        "went": _went(passage),
        "bar": _bar(passage, runs),
        "ended": [f"{words.whole(count)} {words.ENDS[how][0].lower()}" for how, count in passage.ended.items()],
        # What goes on below at once needs no words: the line says it.
        "ways": [_way(flow, way) for way in every if way.when or way.to not in (below, END)],
        "goes_down": any(way.to == below for way in every),
    }


def _went(passage: Passage) -> str:
    least, most = words.whole(passage.least), words.whole(passage.most)
    return least if passage.least == passage.most else f"{least} to {most}"


def _bar(passage: Passage, runs: int) -> list[dict[str, Any]]:
    """Who went on for certain, who may have, and who is there now."""
    parts, left = [], 0.0
    shares = (("shown", passage.least), ("sent", passage.most - passage.least), ("queued", passage.here))
    for name, count in shares:
        width = 100 * count / runs if runs else 0.0
        if count:
            parts.append({"name": name, "x": round(left, 2), "width": round(width, 2)})
        left += width
    return parts


def _way(flow: Flow, way: Way) -> dict[str, Any]:
    if way.to == END:
        return {"when": way.when, "to": "the end", "anchor": "end"}
    step = flow.steps[way.to]
    return {"when": way.when, "to": f"{way.to + 1}{f' {step.id}' if step.id else ''}", "anchor": f"step-{way.to + 1}"}
