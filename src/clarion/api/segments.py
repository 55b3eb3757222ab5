"""What callers say of a segment, as the story's own noun; and the answer to who is in it."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from clarion.api.answers.segments import Added, PreviewAnswer
from clarion.api.decoding import wrong
from clarion.api.schemas.segments import SegmentPreview, SegmentRules
from clarion.errors import Conflict, InvalidRequest, NotFound
from clarion.journey import segments
from clarion.journey.catalog import Catalog
from clarion.journey.segments.looking import look
from clarion.journey.segments.ready_made import READY_MADE, Template
from clarion.journey.segments.sentences import sentence
from clarion.model import Key, Millis, Project, Segment
from clarion.ports import Store

SEGMENTS = "segments"
SAMPLE = 20
_WAYS = ("rule", "ready_made", "list")
_TRIED = "\0"  # no name that a segment can have


def segment(body: SegmentRules, name: str, description: str | None = None) -> Segment:
    """The noun. Raises InvalidRequest unless it is told in one way, and for parameters that do not fit."""
    if body.ready_made is not None:
        return _ready_made(body, name, description or "")
    if body.parameters is not None:
        raise InvalidRequest.field("parameters", "go with ready_made only")
    if (body.rule is None) is not bool(body.list):
        raise InvalidRequest.field(
            "rule" if body.rule is None else "list", f"must be exactly one of {', '.join(_WAYS)}"
        )
    if body.list and body.exit is not None:
        raise InvalidRequest.field("exit", "goes with a rule: who is taken off a list is out")
    return Segment(name=name, description=description or "", rule=body.rule, exit=body.exit)


def _ready_made(body: SegmentRules, name: str, description: str) -> Segment:
    kind = READY_MADE.get(body.ready_made or "")
    if kind is None:
        raise InvalidRequest.field("ready_made", f"must be one of {', '.join(READY_MADE)}")
    told = {key: value for key, value in (body.parameters or {}).items() if value is not None}
    try:
        template: Template = msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise wrong(error, kind, "parameters") from None
    unfit = template.wrong()
    if unfit is not None:
        raise InvalidRequest.field(f"parameters.{unfit[0]}", unfit[1])
    made = Segment(
        name=name,
        description=description,
        rule=template.rule,
        exit=template.exit,
        ready_made=body.ready_made,
        parameters=msgspec.to_builtins(template),
    )
    # Who sends back what was read, sends the rule too.
    for field in ("rule", "exit"):
        if getattr(body, field) not in (None, getattr(made, field)):
            raise InvalidRequest.field(field, "must be left out: ready_made makes it")
    if body.list:
        raise InvalidRequest.field("list", "must be left out: ready_made makes a rule")
    return made


async def checked(catalog: Catalog, project: Project, noun: Segment) -> Segment:
    """The same. Raises InvalidRequest with every place where it cannot work."""
    known = await catalog.segments(project.key)
    categories, topics = await catalog.categories(project.key), await catalog.topics(project.key)
    problems = segments.check(noun, known, categories, topics)
    if problems and noun.ready_made is not None:
        parameters = ", ".join(sorted({one.message for one in problems}))
        raise InvalidRequest.field("parameters", f"make no segment: {parameters}")
    if problems:
        raise InvalidRequest("; ".join(f"{field}: {words}" for field, words in problems), errors=problems)
    return noun


async def preview(store: Store, catalog: Catalog, project: Project, body: SegmentPreview, now: Millis) -> PreviewAnswer:
    """How many are in it, and some of them. Raises InvalidRequest."""
    begun = time.perf_counter()
    if body.segment is None:
        noun = await checked(catalog, project, segment(body, _TRIED))
        if noun.rule is None:
            raise InvalidRequest.field("list", "has nobody on it before it is made")
    else:
        noun = await _named(catalog, project.key, body)
    known = {**await catalog.segments(project.key), noun.name: noun}
    size, sample = await look(store, project.key, noun.name, known, now, SAMPLE)
    took_ms = round((time.perf_counter() - begun) * 1000, 3)
    return PreviewAnswer(sentence=sentence(noun), count=size, sample=sample, took_ms=took_ms)


async def found(store: Store, project: Project, name: str) -> Segment:
    """The segment of this name. Raises NotFound."""
    body = await store.definitions.get(project.key, SEGMENTS, name)
    if body is None:
        raise NotFound(f"there is no segment {name}")
    return msgspec.convert(body, Segment)


async def listing(store: Store, project: Project, name: str) -> None:
    """Raises NotFound, and Conflict for a segment that is no list."""
    if (await found(store, project, name)).rule is not None:
        raise Conflict(f"{name} is no list: its rule says who is in it")


async def add(store: Store, project: Project, name: str, users: Sequence[str], now: Millis) -> Added:
    """Put people on its list. Raises as `listing`."""
    await listing(store, project, name)
    return Added(added=await store.audiences.add(project.key, "list", name, users, now))


async def _named(catalog: Catalog, project: Key, body: SegmentPreview) -> Segment:
    others = [name for name in (*_WAYS, "exit", "parameters") if getattr(body, name) is not None]
    if others:
        raise InvalidRequest.field(others[0], "must be left out: segment names one that is there")
    known = (await catalog.segments(project)).get(str(body.segment))
    if known is None:
        raise InvalidRequest.field("segment", f"there is no segment {body.segment}")
    return known


def stored(noun: Any) -> dict[str, Any]:
    """The JSON form in which it is kept."""
    kept: dict[str, Any] = msgspec.to_builtins(noun)
    return kept
