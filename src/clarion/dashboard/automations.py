"""Automations: the list with how their runs end, and one of them: its steps, who is at each, and the newest runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec

from clarion.dashboard import figures, flows, words
from clarion.dashboard.forms import posted
from clarion.dashboard.rendering import away, page
from clarion.dashboard.session import PREFIX, Visit
from clarion.errors import InvalidRequest, NotFound
from clarion.journey.automations.flow import Flow
from clarion.journey.automations.kept_automations import AUTOMATIONS
from clarion.journey.automations.sentences import begins, matched, reentry, rule
from clarion.model import Automation, Ended, Key
from clarion.ports import RunRecord, StepCount
from clarion.web.http import Answer

PAGE = 50
RUNS = 25


async def show_list(visit: Visit) -> Answer:
    """`GET /dashboard/automations?cursor=`."""
    cursor, project = visit.request.query.get("cursor"), visit.project.key
    found = await visit.services.store.definitions.page(project, AUTOMATIONS, cursor, PAGE)
    automations = msgspec.convert(found.items, list[Automation])
    totals = await visit.recent.totals(project, [one.name for one in automations])
    return page(
        visit,
        "automations",
        rows=[{**_told(one), **_totals(totals[one.name])} for one in automations],
        next=f"{PREFIX}/automations?{urlencode({'cursor': found.next_cursor})}" if found.next_cursor else None,
        is_first=cursor is None,
    )


async def show_one(visit: Visit, name: str) -> Answer:
    """`GET /dashboard/automations/{name}?version=&user_id=&key=&cancelled=`."""
    newest, query = await _named(visit, name), visit.request.query
    counts = await visit.services.store.runs.counts(visit.project.key, name)
    shown = await _version(visit, newest, query.get("version", ""))
    by_end: dict[Ended | None, int] = {}
    for one in counts:
        by_end[one.ended] = by_end.get(one.ended, 0) + one.runs
    who, key = query.get("user_id", "").strip(), query.get("key", "")
    runs = await _runs(visit, name, who, key)
    return page(
        visit,
        "automation",
        here=_path(name),
        automation=_told(newest),
        shown=_told(shown),
        steps=flows.single(shown) if shown.steps is None else flows.drawn(Flow(shown), counts),
        **_totals(by_end),
        has_runs=newest.steps is not None or bool(counts),
        earlier=sum(one.runs for one in counts if one.ended is None and one.version != newest.version),
        ends=_ends(by_end),
        versions=_versions(newest, shown, counts),
        runs=await _shown_runs(visit, runs),
        user_id=who,
        run_key=key,
        just_cancelled=_number(query.get("cancelled", "")),
    )


async def ask_to_cancel(visit: Visit, name: str) -> Answer:
    """`GET /dashboard/automations/{name}/cancel?user_id=&key=`: what would end, before anything does."""
    newest, (who, key) = await _named(visit, name), _chosen(visit.request.query)
    visit.demand("send")
    runs = await _runs(visit, name, who, key, under_way=True)
    return page(
        visit,
        "automation_cancel",
        here=_path(name),
        automation=_told(newest),
        user_id=who,
        run_key=key,
        runs=await _shown_runs(visit, runs),
        more=len(runs) == RUNS,
    )


async def cancel(visit: Visit, name: str) -> Answer:
    """`POST /dashboard/automations/{name}/cancel`: runs of a person, under a key, or of both end."""
    fields = await posted(visit)
    visit.demand("send")
    await _named(visit, name)
    who, key = _chosen(fields)
    project, now = visit.project.key, visit.services.clock.now()
    gone, user = 0, await _user(visit, who)
    if user is not None or not who:
        gone = await visit.services.store.runs.cancel(project, name, user, key or None, now)
    return away(f"{_path(name)}?cancelled={gone}")


# --- what is asked for ------------------------------------------------------------------------------------------------


def _path(name: str) -> str:
    return f"{PREFIX}/automations/{quote(name, safe='')}"


def _chosen(fields: Mapping[str, str]) -> tuple[str, str]:
    """Whose runs, under which key. Raises InvalidRequest for neither: that would be all of them."""
    who, key = fields.get("user_id", "").strip(), fields.get("key", "")
    if not who and not key:
        raise InvalidRequest.field("key", "or user_id is needed")
    return who, key


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None  # noqa: PLR2004 - digits


async def _named(visit: Visit, name: str) -> Automation:
    body = await visit.services.store.definitions.get(visit.project.key, AUTOMATIONS, name)
    if body is None:
        raise NotFound(f"There is no automation {name} in this project.")
    return msgspec.convert(body, Automation)


async def _version(visit: Visit, newest: Automation, wanted: str) -> Automation:
    """The one that is asked for; else the newest."""
    number = _number(wanted)
    if number is None or number == newest.version:
        return newest
    flow = await visit.services.catalog.flow(visit.project.key, newest.name, number)
    if flow is None:
        raise NotFound(f"There is no version {number} of {newest.name}.")
    return flow.automation


async def _user(visit: Visit, user_id: str) -> Key | None:
    user = await visit.services.store.users.get(visit.project.key, user_id) if user_id else None
    return None if user is None else user.key


async def _runs(visit: Visit, name: str, user_id: str, key: str, *, under_way: bool = False) -> list[RunRecord]:
    """The newest, of a person or under a key where one is given."""
    user = await _user(visit, user_id)
    if user_id and user is None:
        return []
    runs = visit.services.store.runs
    return await runs.newest(visit.project.key, name, user, key or None, RUNS, under_way=under_way)


# --- as pages show it -------------------------------------------------------------------------------------------------


def _told(one: Automation) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "enabled": one.enabled,
        "begins": begins(one.on),
        "ready_made": one.ready_made,
        "version": one.version,
        "has_runs": one.steps is not None,
        "reentry": reentry(one.reentry),
        "goal": matched(one.goal) if one.goal is not None else None,
        "exit_on": matched(one.exit_on) if one.exit_on is not None else None,
        "exit_if": rule(one.exit_if) if one.exit_if is not None else None,
    }


def _totals(by_end: Mapping[Ended | None, int]) -> dict[str, Any]:
    ended = sum(count for how, count in by_end.items() if how is not None)
    goal = by_end.get(Ended.GOAL, 0)
    return {
        "under_way": by_end.get(None, 0),
        "ended": ended,
        "goals": goal,
        "goal_share": words.percent(goal, ended),
        **{how.value: by_end.get(how, 0) for how in (Ended.DONE, Ended.EXIT, Ended.CANCELLED)},
    }


def _ends(by_end: Mapping[Ended | None, int]) -> list[dict[str, Any]]:
    rows = [(how.value, label, by_end.get(how, 0), tone) for how, (label, tone) in words.ENDS.items()]
    return [bar._asdict() for bar in figures.bars(rows)]


def _versions(newest: Automation, shown: Automation, counts: Iterable[StepCount]) -> list[dict[str, Any]]:
    """The newest, the one that is shown, and those that have runs; the newest first."""
    here = {newest.version: 0, shown.version: 0}
    ended = dict(here)
    for one in counts:
        where = here if one.ended is None else ended
        where[one.version] = where.get(one.version, 0) + one.runs
    return [
        {
            "number": number,
            "under_way": here.get(number, 0),
            "ended": ended.get(number, 0),
            "current": number == shown.version,
            "newest": number == newest.version,
        }
        for number in sorted({*here, *ended}, reverse=True)
    ]


async def _shown_runs(visit: Visit, runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    project, zone = visit.project, words.zone_of(visit.project.settings.default_timezone)
    versions = {(one.run.automation, one.run.version) for one in runs}
    known = {one: await visit.services.catalog.flow(project.key, *one) for one in versions}
    return [_run(one, known[one.run.automation, one.run.version], zone) for one in runs]


def _run(record: RunRecord, flow: Flow | None, zone: ZoneInfo) -> dict[str, Any]:
    run = record.run
    label, tone = words.ENDS[run.ended] if run.ended is not None else ("Under way", "wait")
    return {
        "user_id": record.user_id,
        "key": run.run_key,
        "version": run.version,
        "step": None if flow is None else flow.label(run.step),
        "began": words.moment(run.began_at, zone),
        "due": words.moment(run.due_at, zone),
        "ended": words.moment(run.since, zone) if run.ended is not None else None,
        "is_open": run.ended is None,
        "state": label,
        "tone": tone,
        "cancel": urlencode({"user_id": record.user_id, "key": run.run_key}),
    }
