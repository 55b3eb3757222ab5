"""Runs of automations, in memory."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from clarion.model import Ended, Key, Millis, Run
from clarion.ports import Effects, NewWork, Page, RunRecord, RunsQuery, RunsWork, StepCount
from clarion.testing.memory.tables import Tables, page, stored
from clarion.testing.memory.work import MemoryWork


class MemoryRuns:
    """`ports.Runs`."""

    def __init__(self, tables: Tables, work: MemoryWork) -> None:
        self._tables = tables
        self._work = work

    async def hand_out(self, now: Millis, limit: int) -> int:
        rows = self._tables.runs
        due = [key for key, (_, run) in rows.items() if run.due_at is not None and run.due_at <= now]
        due = sorted(due, key=lambda key: (rows[key][1].due_at, key))[:limit]
        together: defaultdict[tuple[Key, str, int, int], list[Key]] = defaultdict(list)
        for key in due:
            project, run = rows[key]
            rows[key] = project, msgspec.structs.replace(run, due_at=None)
            together[project, run.automation, run.version, run.step].append(key)
        for (project, automation, version, _), keys in together.items():
            self._work.put(NewWork(project, RunsWork(automation, version, keys), now))
        return len(due)

    async def load(self, project: Key, keys: Sequence[Key]) -> list[Run]:
        return runs_of(self._tables, project, (), RunsQuery(keys=keys))

    async def under_way(self, project: Key, users: Sequence[Key]) -> list[Run]:
        return runs_of(self._tables, project, users, RunsQuery(under_way=True))

    async def cancel(self, project: Key, automation: str, user: Key | None, run_key: str | None, now: Millis) -> int:
        chosen = [run for run in self._chosen(project, automation, user, run_key) if run.ended is None]
        for run in chosen:
            over = msgspec.structs.replace(run, ended=Ended.CANCELLED, due_at=None, waits=False, since=now)
            self._tables.runs[_key(run)] = project, over
        return len(chosen)

    async def page(
        self, project: Key, automation: str, user: Key | None, run_key: str | None, cursor: str | None, limit: int
    ) -> Page[RunRecord]:
        users = self._tables.users
        chosen = self._chosen(project, automation, user, run_key)
        return page([RunRecord(users[run.user].user_id, run) for run in chosen], cursor, limit)

    async def newest(
        self,
        project: Key,
        automation: str,
        user: Key | None,
        run_key: str | None,
        limit: int,
        *,
        under_way: bool = False,
    ) -> list[RunRecord]:
        chosen = [run for run in self._chosen(project, automation, user, run_key) if not (under_way and run.ended)]
        last_first = sorted(chosen, key=lambda run: (run.began_at, run.key), reverse=True)
        return [RunRecord(self._tables.users[run.user].user_id, run) for run in last_first[:limit]]

    async def counts(self, project: Key, automation: str) -> list[StepCount]:
        chosen = self._chosen(project, automation, None, None)
        counted = Counter((run.version, run.step, run.ended) for run in chosen)
        return [StepCount(*where, count) for where, count in counted.items()]

    async def totals(self, project: Key, automations: Sequence[str]) -> dict[str, Mapping[Ended | None, int]]:
        return {name: Counter(run.ended for run in self._chosen(project, name, None, None)) for name in automations}

    def _chosen(self, project: Key, automation: str, user: Key | None, run_key: str | None) -> list[Run]:
        return [
            run
            for _, (owner, run) in sorted(self._tables.runs.items())
            if (owner, run.automation) == (project, automation)
            and user in (None, run.user)
            and run_key in (None, run.run_key)
        ]


def runs_of(tables: Tables, project: Key, users: Sequence[Key], query: RunsQuery) -> list[Run]:
    """Those that a query asks for, of these people."""
    keys, people, named = set(query.keys), set(users), set(query.named)
    return [
        run
        for key, (owner, run) in sorted(tables.runs.items())
        if owner == project
        and (
            key in keys
            or (query.under_way and run.ended is None and run.user in people)
            or (run.automation, run.run_key, run.user) in named
        )
    ]


def write_runs(tables: Tables, effects: Effects) -> None:
    """Runs as a step left them, and what it made of people's attributes."""
    for run in effects.runs:
        if run.key is None:
            _begin(tables, tables.users[run.user].project, run)
        elif run.key in tables.runs and tables.runs[run.key][1].ended is None:
            project, was = tables.runs[run.key]
            moved = {name: getattr(run, name) for name in ("step", "waits", "due_at", "since", "moves", "ended")}
            tables.runs[run.key] = project, msgspec.structs.replace(was, **moved)
    for users, values in effects.attributes:
        for key in users:
            user = tables.users.get(key)
            if user is not None:
                told = {name: value for name, value in (user.attributes | values).items() if value is not None}
                tables.users[key] = msgspec.structs.replace(user, attributes=told, updated_at=tables.now())


def write_listed(tables: Tables, effects: Effects) -> None:
    """Onto lists and off them, of those who are still there."""
    for kind, name, users, on in effects.listed:
        for user in users:
            if user in tables.users:
                whose = (tables.users[user].project, kind, name)
                these = tables.rosters.setdefault(whose, set())
                these.add(user) if on else these.discard(user)


def merge_runs(tables: Tables, old: Key, new: Key) -> None:
    """The runs of the one become the other's; of two under one key that of the known person stays, if it goes on."""
    for key, (project, run) in list(tables.runs.items()):
        if run.user != old:
            continue
        same = (run.automation, run.run_key)
        others = [k for k, (_, r) in tables.runs.items() if (r.automation, r.run_key) == same and r.user == new]
        if others and (run.ended is not None or tables.runs[others[0]][1].ended is None):
            del tables.runs[key]
            continue
        for other in others:
            del tables.runs[other]
        tables.runs[key] = project, msgspec.structs.replace(run, user=new)


def _begin(tables: Tables, project: Key, run: Run) -> None:
    same = (project, run.automation, run.run_key, run.user)
    for key, (owner, was) in tables.runs.items():
        if (owner, was.automation, was.run_key, was.user) == same:
            if was.ended is not None:
                tables.runs[key] = project, stored(msgspec.structs.replace(run, key=key), Run)
            return
    key = next(tables.keys)
    tables.runs[key] = project, stored(msgspec.structs.replace(run, key=key), Run)


def _key(run: Run) -> Key:
    assert run.key is not None
    return run.key
