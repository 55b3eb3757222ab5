"""Straight into the folder or database on this machine, beside a running server or without one."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from clarion.api import automations, batches, linting, messages, previewing, segments
from clarion.api.answers.alerts import AlertList
from clarion.api.answers.automations import CountsAnswer
from clarion.api.answers.base import Answer
from clarion.api.answers.campaigns import CampaignList, CampaignSummary
from clarion.api.answers.losses import LossList
from clarion.api.answers.project import KeyAnswer, KeyList, NewKeyAnswer
from clarion.api.answers.results import ResultsAnswer
from clarion.api.answers.sending import Created, NotificationSummary
from clarion.api.answers.story import ChapterAnswer, StoryAnswer
from clarion.api.batches import Batches
from clarion.api.campaigns import shown as shown_campaign
from clarion.api.decoding import Reader
from clarion.api.plain import event
from clarion.api.schemas import (
    EventBatch,
    EventBody,
    KeyPost,
    LintBody,
    NotificationBody,
    PeopleBody,
    PreviewBody,
    ReplaceBody,
    SegmentPreview,
)
from clarion.api.schemas.automations import CancelRunsBody
from clarion.bootstrap import Platform
from clarion.cli import settings
from clarion.cli.problem import Problem
from clarion.config import Settings
from clarion.errors import NotFound
from clarion.journey import resealing
from clarion.journey.automations.flow import Flow
from clarion.journey.automations.kept_automations import AUTOMATIONS
from clarion.journey.experiments.winning import results_of
from clarion.journey.founding import add_key, found
from clarion.journey.texts.words import project_facts
from clarion.model import Automation, Json, Project
from clarion.ports import Dimension

_MOST = 10_000
_read_notification = Reader[NotificationBody](NotificationBody).read
_read_events = Batches(EventBody, EventBatch).read
_read_lint = Reader[LintBody](LintBody).read
_read_segment_preview = Reader[SegmentPreview](SegmentPreview).read
_read_people = Reader[PeopleBody](PeopleBody).read
_read_preview = Reader[PreviewBody](PreviewBody).read
_read_replace = Reader[ReplaceBody](ReplaceBody).read
_read_cancel = Reader[CancelRunsBody](CancelRunsBody).read
_read_key = Reader[KeyPost](KeyPost).read


class Folder:
    """`Door` to the store itself; nobody asks for a key here, whoever may read the folder may do everything."""

    def __init__(self, data: Path | None, project: str | None) -> None:
        self._settings = settings.load(data=data)
        self._wanted = project
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        _must_exist(self._settings)
        self._platform = await self._stack.enter_async_context(Platform(self._settings, server=False).opened())
        try:
            self._project = await _the_project(self._platform, self._wanted)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def notify(self, body: Json) -> Json:
        wanted = _read_notification(msgspec.json.encode(body))
        notification = await self._platform.pipeline.notify(
            self._project,
            messages.message(wanted),
            messages.audience(wanted.to),
            send_at=messages.send_at(wanted),
            local_time=messages.local_time(wanted.local_time, wanted.local_time_passed, self._platform.clock.now()),
            arm=bool(wanted.arm),
        )
        return _json(Created(id=notification.id))

    async def events(self, body: Json) -> Json:
        now = self._platform.clock.now()
        events, errors = _read_events(
            msgspec.json.encode(body), lambda item: event(item, item.user_id, self._project, now)
        )
        new = await self._platform.pipeline.ingest(self._project, events) if events else []
        answer: Json = msgspec.json.decode(batches.answer(new, errors).body)
        return answer

    async def lint(self, body: Json) -> Json:
        wanted, project, catalog = _read_lint(msgspec.json.encode(body)), self._project, self._platform.catalog
        categories, partials = await catalog.categories(project.key), await catalog.partials(project.key)
        templates = await catalog.templates_for(project.key, [messages.message(wanted)])
        return _json(linting.lint(wanted, project.settings, categories, templates, project_facts(project), partials))

    async def preview(self, template: str, body: Json) -> Json:
        wanted = _read_preview(msgspec.json.encode(body))
        platform = self._platform
        return _json(
            await previewing.preview(
                platform.store, platform.catalog, self._project, template, wanted, platform.clock.now()
            )
        )

    async def fire(self, notification_id: str) -> Json:
        return _json(NotificationSummary.of(await self._platform.pipeline.fire(self._project, notification_id)))

    async def replace(self, notification_id: str, changes: Json) -> Json:
        wanted, updating = _read_replace(msgspec.json.encode(changes)), self._platform.pipeline.updating
        told, renotify = messages.changes(wanted), bool(wanted.renotify)
        return _json(Created(id=(await updating.replace(self._project, notification_id, told, renotify=renotify)).id))

    async def withdraw(self, notification_id: str) -> Json:
        return _json(Created(id=(await self._platform.pipeline.updating.withdraw(self._project, notification_id)).id))

    async def results(self, notification_id: str) -> Json:
        platform = self._platform
        notification = await platform.store.trail.notification(self._project.key, notification_id)
        if notification is None:
            raise NotFound(f"there is no notification {notification_id}")
        found = await results_of(platform.store, notification, platform.clock.now())
        return _json(ResultsAnswer.of(notification, found))

    async def preview_segment(self, body: Json) -> Json:
        wanted, platform = _read_segment_preview(msgspec.json.encode(body)), self._platform
        now = platform.clock.now()
        return _json(await segments.preview(platform.store, platform.catalog, self._project, wanted, now))

    async def automations(self) -> list[Json]:
        return await self._platform.store.definitions.all(self._project.key, AUTOMATIONS)

    async def automation(self, name: str) -> tuple[Json, Json]:
        store = self._platform.store
        body = await store.definitions.get(self._project.key, AUTOMATIONS, name)
        if body is None:
            raise NotFound(f"there is no automation {name}")
        flow = Flow(msgspec.convert(body, Automation))
        return body, _json(CountsAnswer.of(flow, await store.runs.counts(self._project.key, name)))

    async def cancel_runs(self, name: str, which: Json) -> Json:
        wanted, platform = _read_cancel(msgspec.json.encode(which)), self._platform
        return _json(await automations.cancel(platform.store, self._project, name, wanted, platform.clock.now()))

    async def add_to_segment(self, name: str, users: Sequence[str]) -> Json:
        wanted, platform = _read_people(msgspec.json.encode({"users": users})), self._platform
        now = platform.clock.now()
        return _json(await segments.add(platform.store, self._project, name, wanted.users, now))

    async def story(self, user_id: str, notification_id: str | None) -> Json:
        chapters = await self._platform.pipeline.story(self._project, user_id, notification_id)
        return _json(StoryAnswer(user_id=user_id, chapters=[ChapterAnswer.of(chapter) for chapter in chapters]))

    async def campaigns(self) -> Json:
        campaigns = self._platform.pipeline.campaigns
        page = await campaigns.page(self._project.key, None, _MOST)
        return _json(CampaignList(items=[CampaignSummary.of(one) for one in page.items]))

    async def campaign(self, name: str) -> Json:
        return _json(await shown_campaign(self._platform.pipeline.campaigns, self._project.key, name))

    async def turn_campaign(self, name: str, verb: str) -> Json:
        campaigns = self._platform.pipeline.campaigns
        turns = {
            "start": campaigns.start,
            "pause": campaigns.pause,
            "resume": campaigns.resume,
            "cancel": campaigns.cancel,
        }
        await turns[verb](self._project, name)
        return await self.campaign(name)

    async def keys(self) -> Json:
        keys = await self._platform.store.projects.keys(self._project.key)
        return _json(KeyList(items=[KeyAnswer.of(key) for key in keys]))

    async def create_key(self, body: Json) -> Json:
        wanted = _read_key(msgspec.json.encode(body))
        key, text = await add_key(
            self._platform.store,
            self._platform.chance,
            self._project,
            self._platform.clock.now(),
            kind=wanted.kind,
            name=wanted.name or wanted.kind,
            scopes=list(wanted.scopes) if wanted.scopes else None,
        )
        return _json(NewKeyAnswer(**msgspec.structs.asdict(KeyAnswer.of(key)), key=text))

    async def alerts(self) -> Json:
        project, store = self._project.key, self._platform.store
        return _json(AlertList.of(await store.stoppages.of_project(project), await store.losses.alerts(project)))

    async def losses(self, by: str, days: int) -> Json:
        span, standings = await self._platform.pipeline.losses.standings(self._project.key, Dimension(by), days)
        return _json(LossList.of(Dimension(by), *span, standings))

    async def revoke_key(self, id: str) -> None:
        now = self._platform.clock.now()
        if not await self._platform.store.projects.revoke_key(self._project.key, id, now):
            raise NotFound(f"there is no key {id} in the project {self._project.id}")
        await self._platform.catalog.changed()


async def create_project(data: Path | None, name: str) -> Json:
    """A new project in the folder, which is made if it is missing; the answer has its keys for the only time."""
    async with Platform(settings.load(data=data), server=False).opened() as platform:
        founded = await found(platform.store, platform.sealer, platform.chance, platform.clock.now(), name)
    return {
        "id": founded.project.id,
        "server_key": founded.server_key,
        "public_key": founded.public_key,
        "vapid_public_key": founded.project.vapid_public_key,
    }


async def reseal(data: Path | None) -> Json:
    """All that is kept encrypted, under the first secret key."""
    wanted = settings.load(data=data)
    _must_exist(wanted)
    async with Platform(wanted, server=False).opened() as platform:
        done = await resealing.reseal(platform.store, platform.sealer)
        await platform.catalog.changed()
    return {"resealed": done.sealed, "lost": done.lost}


def _must_exist(settings: Settings) -> None:
    """Looking into a folder never makes one."""
    if settings.database_url is None and not (settings.data / "clarion.db").exists():
        raise Problem("There is no Clarion here", f"The folder {settings.data} has no database (--data, CLARION_DATA).")


async def _the_project(platform: Platform, id: str | None) -> Project:
    projects = {project.id: project for project in await platform.store.projects.all()}
    if id is not None and id in projects:
        return projects[id]
    if id is None and len(projects) == 1:
        return next(iter(projects.values()))
    if not projects:
        raise Problem("There is no project yet", "clarion project create NAME makes one.")
    names = ", ".join(sorted(projects))
    raise Problem("Which project?" if id is None else f"There is no project {id}", f"--project takes one of {names}")


def _json(answer: Answer) -> Json:
    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return plain
