"""What runs want done, in as few pieces as there can be: notifications for many, calls, attributes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from clarion.journey.automations.stepping import Act
from clarion.journey.catalog import Catalog
from clarion.journey.texts.wordings import every
from clarion.journey.texts.words import time_told, version_key
from clarion.model import Audience, Key, Message, Millis, Notification, Partial, Project, Run, Template
from clarion.model.automations import Send, UpdateUser, Webhook
from clarion.ports import Attributes, Call, Effects, NewWork, PairsWork, Store, WebhookWork

MOST_PAIRS = 1_000
CALLS_A_JOB = 50
"""So that one answer that never comes holds up few others."""
_CONDITIONS = ("condition", "unless_event")


class _Told(NamedTuple):
    """A message for several people, and the runs that they are there by."""

    message: Message
    runs: list[Run]


class Acting:
    """Makes the effects of a batch of acts."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    async def effects(
        self, project: Project, acts: Sequence[Act], runs: Sequence[Run], work: Sequence[NewWork], now: Millis
    ) -> Effects:
        """All that is to be written, with the runs as they are now."""
        if not acts:
            return Effects(runs=runs, work=work)
        told = await self._told(project.key, [act for act in acts if isinstance(act.step, Send)])
        ids = await self._store.users.ids(project.key, sorted({act.run.user for act in acts}))
        keys = await self._store.trail.reserve(len(told))
        made = [_notification(project.key, key, one, ids, now) for key, one in zip(keys, told, strict=True)]
        pairs = sorted(
            ((key, run.user) for key, one in zip(keys, told, strict=True) for run in one.runs),
            key=lambda pair: (pair[1], pair[0]),
        )
        jobs = [
            NewWork(project.key, PairsWork(pairs=pairs[start : start + MOST_PAIRS]), now)
            for start in range(0, len(pairs), MOST_PAIRS)
        ]
        return Effects(
            notifications=made,
            runs=runs,
            attributes=_attributes(acts),
            work=[*work, *jobs, *_calls(project, acts, ids, now)],
        )

    async def _told(self, project: Key, acts: Sequence[Act]) -> list[_Told]:
        """One for all runs at a step whose texts do not look at what started them; never twice to one person."""
        steps = {id(act.step): act.step for act in acts if isinstance(act.step, Send)}
        messages = [step.notification for step in steps.values()]
        templates = await self._catalog.templates_for(project, messages) if messages else {}
        partials = await self._catalog.partials(project) if messages else {}
        alone = {at: looks_at_start(step.notification, templates, partials) for at, step in steps.items()}
        shared: defaultdict[tuple[int, int], list[Run]] = defaultdict(list)
        times: defaultdict[tuple[int, Key], int] = defaultdict(int)
        found: list[_Told] = []
        for act in acts:
            assert isinstance(act.step, Send)
            at, run = id(act.step), act.run
            if alone[at]:
                message = act.step.notification
                found.append(_Told(msgspec.structs.replace(message, data={**message.data, **run.data}), [run]))
            else:
                shared[at, times[at, run.user]].append(run)
                times[at, run.user] += 1
        found += [_Told(steps[at].notification, runs) for (at, _), runs in shared.items()]
        return found


def looks_at_start(message: Message, templates: Mapping[str, Template], partials: Mapping[str, Partial]) -> bool:
    """Whether a message says something else after another event, or other data: told by the words alone."""
    if any(getattr(message, name) is not None for name in _CONDITIONS):
        return True
    named = [templates.get(version_key(one.template or "", one.template_version)) for one in every(message)]
    texts = [msgspec.structs.replace(message, data={}), *(one for one in named if one is not None)]
    said = msgspec.json.encode(texts)
    if b"include" in said or b"import" in said:
        said += msgspec.json.encode(list(partials.values()))
    said = said.replace(b'"unless_event":', b"").replace(b'"data":', b"")
    return b"event" in said or b"data" in said


def _notification(project: Key, key: Key, told: _Told, ids: Mapping[Key, str], now: Millis) -> Notification:
    first = told.runs[0]
    return Notification(
        key=key,
        id=run_id(first),
        project=project,
        message=told.message,
        to=Audience(users=[ids[run.user] for run in told.runs if run.user in ids]),
        created_at=now,
        automation=first.automation,
        event=first.event if len(told.runs) == 1 else None,
    )


def run_id(run: Run) -> str:
    """Of what a run does at a step: the same if it is done again, and never that of another."""
    parts = (run.automation, run.version, run.user, run.run_key, run.began_at, run.event or 0, run.step, run.moves)
    return blake2b("\n".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def _attributes(acts: Iterable[Act]) -> list[Attributes]:
    """In the order of the steps, those of one step together."""
    found: dict[int, tuple[UpdateUser, dict[Key, None]]] = {}
    for act in acts:
        if isinstance(act.step, UpdateUser):
            found.setdefault(id(act.step), (act.step, {}))[1][act.run.user] = None
    return [Attributes(list(users), dict(step.attributes)) for step, users in found.values()]


def _calls(project: Project, acts: Iterable[Act], ids: Mapping[Key, str], now: Millis) -> list[NewWork]:
    by_url: defaultdict[str, list[Call]] = defaultdict(list)
    for act in acts:
        if isinstance(act.step, Webhook) and act.run.user in ids:
            by_url[act.step.url].append(Call(run_id(act.run), _body(act.run, act.step, ids[act.run.user], now)))
    return [
        NewWork(project.key, WebhookWork(url, calls[start : start + CALLS_A_JOB]), now)
        for url, calls in by_url.items()
        for start in range(0, len(calls), CALLS_A_JOB)
    ]


def _body(run: Run, step: Webhook, user_id: str, now: Millis) -> bytes:
    return msgspec.json.encode(
        {
            "type": "automation.step",
            "automation": run.automation,
            "version": run.version,
            "step": step.id or str(run.step + 1),
            "user_id": user_id,
            "key": run.run_key or None,
            "data": run.data,
            "body": step.body,
            "at": time_told(now),
        }
    )
