"""Segments: the list with what each means and how many it has, and one of them with who is in it."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import msgspec

from clarion.dashboard import figures, words
from clarion.dashboard.rendering import page
from clarion.dashboard.session import PREFIX, Visit
from clarion.errors import NotFound
from clarion.journey.segments.looking import look
from clarion.journey.segments.lookup import crowd_in
from clarion.journey.segments.ready_made import READY_MADE
from clarion.journey.segments.sentences import length, sentence
from clarion.model import Segment
from clarion.model.segments import Duration
from clarion.ports import Reach
from clarion.web.http import Answer

PAGE = 20
_SEGMENTS = "segments"
_SAMPLE = 20


async def show_list(visit: Visit) -> Answer:
    """`GET /dashboard/segments?cursor=`."""
    cursor, project = visit.request.query.get("cursor"), visit.project.key
    found = await visit.services.store.definitions.page(project, _SEGMENTS, cursor, PAGE)
    segments = msgspec.convert(found.items, list[Segment])
    everybody = await visit.services.store.campaigns.people(project)
    sizes = await visit.recent.sizes(project, segments)
    return page(
        visit,
        "segments",
        rows=[{**_told(one), **_share(sizes.get(one.name), everybody)} for one in segments],
        everybody=everybody,
        uncounted=len(segments) - len(sizes),
        next=f"{PREFIX}/segments?{urlencode({'cursor': found.next_cursor})}" if found.next_cursor else None,
        is_first=cursor is None,
    )


async def show_one(visit: Visit, name: str) -> Answer:
    """`GET /dashboard/segments/{name}`."""
    store, project, now = visit.services.store, visit.project.key, visit.services.clock.now()
    known = await visit.services.catalog.segments(project)
    segment = known.get(name)
    if segment is None:
        raise NotFound(f"There is no segment {name} in this project.")
    looked = await look(store, project, name, known, now, _SAMPLE)
    everybody = await store.campaigns.people(project)
    reached = await store.audiences.reach(project, crowd_in(name, known, now))
    return page(
        visit,
        "segment",
        segment=_told(segment),
        parameters=_parameters(segment),
        enters=_sentence(segment.rule),
        leaves=_sentence(segment.exit),
        **_share(looked.size, everybody),
        everybody=everybody,
        sample=looked.sample,
        more=looked.size - len(looked.sample),
        reached=_reached(reached, looked.size),
        compose=f"{PREFIX}/compose?{urlencode({'to': 'segment', 'segment': name})}",
    )


def _told(segment: Segment) -> dict[str, Any]:
    kind = READY_MADE.get(segment.ready_made or "")
    return {
        "name": segment.name,
        "description": segment.description,
        "sentence": sentence(segment),
        "kind": "list" if segment.rule is None else "rule",
        "ready_made": segment.ready_made,
        "about": kind.about if kind is not None else None,
    }


def _sentence(rule: Any) -> str | None:
    return None if rule is None else sentence(Segment(name="", rule=rule))


def _share(size: int | None, everybody: int) -> dict[str, Any]:
    """As numbers, and as a stripe; None: it was not counted."""
    if size is None:
        return {"size": None, "others": None, "share": "-", "divided": []}
    # People may have come between the two readings.
    width = round(min(100.0, 100 * size / everybody), 2) if everybody else 0
    return {
        "size": size,
        "others": max(everybody - size, 0),
        "share": words.percent(min(size, everybody), everybody),
        "divided": [{"name": "clicked", "x": 0, "width": width}] if size else [],
    }


def _parameters(segment: Segment) -> list[dict[str, str]]:
    """Those of a ready-made one, in words; as they are kept where its template does not know them any more."""
    told: dict[str, Any] = dict(segment.parameters or {})
    kind = READY_MADE.get(segment.ready_made or "")
    if kind is not None:
        with suppress(msgspec.ValidationError):
            told = msgspec.structs.asdict(msgspec.convert(told, kind))
    return [{"name": name, "value": _value(value)} for name, value in told.items()]


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    return length(value) if isinstance(value, Duration) else str(value)


def _reached(found: Reach, size: int) -> dict[str, Any]:
    """By which devices, the commonest first, and who by none."""
    nobody = max(size - found.people, 0)
    rows = [(kind.value, words.KINDS[kind], count, "good") for kind, count in found.by_kind.items()]
    rows.append(("none", "No device that may show anything", nobody, "off"))
    return {
        "people": found.people,
        "share": words.percent(min(found.people, size), size),
        "bars": [bar._asdict() for bar in figures.bars(rows)],
    }
