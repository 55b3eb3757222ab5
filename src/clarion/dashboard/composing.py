"""Compose: write a message, hear what the rules say of its title, see what would become of it, and then send it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from clarion.dashboard import words
from clarion.dashboard.draft import Written
from clarion.dashboard.forms import posted
from clarion.dashboard.overview import bars_of
from clarion.dashboard.rendering import away, page, part
from clarion.dashboard.session import PREFIX, Visit
from clarion.errors import FieldError, InvalidRequest
from clarion.intelligence.honesty import Finding
from clarion.journey.draft import check_message
from clarion.journey.dry_run import DryRun
from clarion.journey.segments.lookup import check_audience
from clarion.journey.segments.sentences import sentence
from clarion.journey.texts import honesty
from clarion.journey.texts.words import project_facts
from clarion.web.http import Answer

_SAMPLES = 3
_FIELDS = ("title", "body", "url", "category", "to", "segment", "topic", "users")


class Looked(NamedTuple):
    """What is wrong with a text, by field, and what the rules of title honesty say of it."""

    problems: list[FieldError]
    findings: list[Finding]

    @property
    def blocked(self) -> bool:
        """Whether the project lets nothing like it through."""
        return any(finding.blocks for finding in self.findings)


async def show_empty(visit: Visit) -> Answer:
    """`GET /dashboard/compose?to=segment&segment=`: with an audience chosen, where a page leads here for it."""
    visit.demand("send")
    query, catalog, project = visit.request.query, visit.services.catalog, visit.project.key
    chosen: dict[str, str] = {name: query[name] for name in ("to", "segment", "topic") if name in query}
    written = Written.of(chosen)._replace(once=visit.services.chance.token(16).hex())
    unknown = check_audience(written.audience, await catalog.segments(project), await catalog.topics(project))
    return await _page(visit, written, Looked(unknown, []), status=404 if unknown else 200)


async def look(visit: Visit) -> Answer:
    """`POST /dashboard/compose/look`: as somebody types, what the rules say so far. A part of the page."""
    written = Written.of(await posted(visit))
    visit.demand("send")
    looked = await _look(visit, written) if written.title else Looked([], [])
    return part(visit, "findings", **_findings(looked))


async def submit(visit: Visit) -> Answer:
    """`POST /dashboard/compose`: try it out, or send what was tried out."""
    fields = await posted(visit)
    visit.demand("send")
    written = Written.of(fields)
    looked = await _look(visit, written)
    if looked.problems:
        return await _page(visit, written, looked, status=400)
    wants_send = fields.get("action") == "send"
    if wants_send and written.tried == written.digest:
        return await _send(visit, written, looked)
    return await _try(visit, written, looked, wants_send=wants_send)


async def _send(visit: Visit, written: Written, looked: Looked) -> Answer:
    await visit.services.backlog(visit.project.key)
    id = written.id
    try:
        made = await visit.services.pipeline.notify(
            visit.project, written.message, written.audience, id=id, sent_by=visit.key.id
        )
    except InvalidRequest as error:
        return await _page(visit, written, Looked(error.errors, looked.findings), status=400)
    return away(f"{PREFIX}/notifications/{made.id}")


async def _try(visit: Visit, written: Written, looked: Looked, *, wants_send: bool) -> Answer:
    """A dry run. `wants_send`: somebody pressed Send, but not for what they had seen."""
    if looked.blocked:
        return await _page(visit, written, looked, status=400)
    begun = time.perf_counter()
    try:
        run = await visit.services.pipeline.dry_run(
            visit.project, written.message, written.audience, sent_by=visit.key.id
        )
    except InvalidRequest as error:
        return await _page(visit, written, Looked(error.errors, looked.findings), status=400)
    trial = _trial(visit, run) | {"took_ms": round((time.perf_counter() - begun) * 1000), "again": wants_send}
    return await _page(visit, written._replace(tried=written.digest), looked, trial=trial)


async def _look(visit: Visit, written: Written) -> Looked:
    """The checks of the API, without sending anything."""
    problems = written.problems()
    catalog, project = visit.services.catalog, visit.project
    categories, templates = await catalog.categories(project.key), await catalog.templates(project.key)
    partials, facts, message = await catalog.partials(project.key), project_facts(project), written.message
    problems += check_message(message, categories, templates, facts, partials)
    if problems:
        return Looked(problems, [])
    draft = honesty.of_message(message, categories, templates, facts, partials=partials)
    return Looked([], await asyncio.to_thread(honesty.findings, draft, project.settings))


async def _page(
    visit: Visit, written: Written, looked: Looked, *, status: int = 200, trial: dict[str, Any] | None = None
) -> Answer:
    catalog, project = visit.services.catalog, visit.project.key
    categories, segments = await catalog.categories(project), await catalog.segments(project)
    wrong: dict[str, str] = {}
    for field, message in looked.problems:
        name = field.removeprefix("to.").partition("[")[0]
        wrong.setdefault(name if name in _FIELDS else "other", message)
    return page(
        visit,
        "compose",
        status=status,
        written=written._asdict(),
        categories=[
            {"name": one.name, "title": one.title or one.name, "class": one.class_.value} for one in categories.values()
        ],
        segments=[{"name": name, "sentence": sentence(one)} for name, one in sorted(segments.items())],
        topics=sorted(await catalog.topics(project)),
        wrong={name: wrong.get(name) for name in (*_FIELDS, "other")},
        trial=trial,
        **_findings(looked),
    )


def _findings(looked: Looked) -> dict[str, Any]:
    return {
        "findings": [finding._asdict() for finding in sorted(looked.findings, key=lambda one: not one.blocks)],
        "blocked": looked.blocked,
        "problems": [{"field": field, "message": message} for field, message in looked.problems],
    }


def _trial(visit: Visit, run: DryRun) -> dict[str, Any]:
    """Counts by reason, and a few people for each with what decided about them."""
    zone = words.zone_of(visit.project.settings.default_timezone)
    samples = defaultdict[str, list[dict[str, Any]]](list)
    for one in run.decisions:
        if len(samples[one.reason]) < _SAMPLES:
            samples[one.reason].append(
                {"user_id": one.user_id, "until": words.moment(one.until, zone), "gates": _told(one.gates)}
            )
    total, sent = sum(run.counts.values()), run.counts.get("send", 0)
    return {
        "total": total,
        "sent": sent,
        "share": words.percent(sent, total),
        "bars": bars_of(run.counts.items()),
        "samples": [
            {"reason": reason, "people": samples[reason]}
            for reason in sorted(samples, key=lambda reason: -run.counts[reason])
        ],
    }


def _told(gates: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(gate) for gate in gates]
