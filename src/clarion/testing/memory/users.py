"""People and their consents, in memory."""

from collections.abc import Sequence

import msgspec

from clarion.errors import Conflict
from clarion.model import (
    Channel,
    Consent,
    Json,
    Key,
    Millis,
    PersonPreference,
    PreferenceChange,
    User,
    UserChange,
    Verdict,
    verdict_of,
)
from clarion.model.segments import bucket_of
from clarion.ports import ANY_CATEGORY, last_said, opt_outs, told_news
from clarion.testing.memory.collecting import move_collected
from clarion.testing.memory.runs import merge_runs
from clarion.testing.memory.tables import DecisionRow, Tables, drop, stored

MERGE_SOURCE = "merge"


class MemoryUsers:
    """`ports.Users`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def put(self, project: Key, user_id: str, change: UserChange, now: Millis) -> tuple[User, bool]:
        known = await self.get(project, user_id)
        user = known or self._create(project, user_id, now)
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
        if "attributes" in given:
            given["attributes"] = _merged(user.attributes, given["attributes"])
        user = msgspec.structs.replace(user, **given, updated_at=now)
        self._tables.users[user.key] = user
        return user, known is None

    async def get(self, project: Key, user_id: str) -> User | None:
        key = self._tables.user_keys.get((project, user_id))
        return None if key is None else self._tables.users[key]

    async def by_key(self, project: Key, key: Key) -> User | None:
        return self._tables.user(project, key)

    async def resolve(self, project: Key, user_ids: Sequence[str], now: Millis, *, create: bool) -> dict[str, Key]:
        if create:
            for user_id in user_ids:
                if (project, user_id) not in self._tables.user_keys:
                    self._create(project, user_id, now)
        known = {user_id: self._tables.user_keys.get((project, user_id)) for user_id in user_ids}
        return {user_id: key for user_id, key in known.items() if key is not None}

    async def ids(self, project: Key, keys: Sequence[Key]) -> dict[Key, str]:
        found = {key: self._tables.user(project, key) for key in keys}
        return {key: user.user_id for key, user in found.items() if user is not None}

    async def create_anonymous(self, project: Key, user_id: str, now: Millis) -> User:
        if (project, user_id) in self._tables.user_keys:
            raise Conflict(f"user_id: there is a user {user_id!r} already")
        return self._create(project, user_id, now, anonymous=True)

    async def erase(self, project: Key, user_id: str) -> bool:
        user = await self.get(project, user_id)
        if user is None:
            return False
        key, tables = user.key, self._tables
        tables.departed.append((project, key, None, tables.now()))
        drop(tables.devices, lambda _, device: device.user == key)
        tables.consents[:] = [line for line in tables.consents if line.user != key]
        tables.preferences.pop(key, None)
        drop(tables.events, lambda _, row: row[1].user == key)
        drop(tables.event_ids, lambda _, event: event not in tables.events)
        drop(tables.decisions, lambda _, row: row.decision.user == key)
        drop(tables.deliveries, lambda _, row: row.delivery.user == key)
        drop(tables.receipts, lambda _, receipt: receipt.user == key)
        drop(tables.sent_content, lambda pair, _: pair[0] == key)
        drop(tables.collected, lambda pair, _: pair[0] == key)
        drop(tables.slots, lambda pair, _: pair[0] == key)
        drop(tables.runs, lambda _, row: row[1].user == key)
        for on in tables.rosters.values():
            on.discard(key)
        drop(tables.losses, lambda row, _: row[1].user == key)
        del tables.user_keys[project, user_id], tables.users[key]
        return True

    async def merge(self, project: Key, anonymous: Key, known: Key, now: Millis) -> None:
        old, new = self._tables.user(project, anonymous), self._tables.user(project, known)
        if old is None or new is None:
            return
        refused = _refused(self._tables.consents, {old.key}) | _refused(self._tables.consents, {new.key})
        self._tables.departed.append((project, old.key, new.key, now))
        self._move_belongings(old, new, now)
        merge_runs(self._tables, old.key, new.key)
        self._move_trail(old.key, new.key)
        self._move_consents(old.key, new.key, refused, now)
        self._move_preferences(old.key, new.key, now)
        del self._tables.user_keys[project, old.user_id], self._tables.users[old.key]
        successors = self._tables.successors
        for former in [each for each, present in successors.items() if present == old.key]:
            successors[former] = new.key
        successors[project, old.key] = new.key

    async def successors(self, project: Key, keys: Sequence[Key]) -> dict[Key, Key]:
        known = self._tables.successors
        return {key: known[project, key] for key in keys if (project, key) in known}

    async def merged_since(self, project: Key, span: tuple[Key, Key], since: Millis) -> dict[Key, Key]:
        return {
            former: successor
            for owner, former, successor, at in self._tables.departed
            if owner == project and span[0] <= former <= span[1] and successor is not None and at >= since
        }

    def _create(self, project: Key, user_id: str, now: Millis, *, anonymous: bool = False) -> User:
        user = User(
            key=next(self._tables.keys),
            project=project,
            user_id=user_id,
            anonymous=anonymous,
            created_at=now,
            updated_at=now,
        )
        self._tables.users[user.key] = user
        self._tables.user_keys[project, user_id] = user.key
        self._tables.buckets[user.key] = bucket_of(user_id)
        return user

    def _move_belongings(self, old: User, new: User, now: Millis) -> None:
        tables, replace = self._tables, msgspec.structs.replace
        if new.created_at > old.created_at:  # who we have known for longer keeps the bucket
            tables.buckets[new.key] = tables.buckets[old.key]
        for on in tables.rosters.values():
            if old.key in on:
                on.remove(old.key)
                on.add(new.key)
        for key, device in tables.devices.items():
            if device.user == old.key:
                tables.devices[key] = replace(device, user=new.key, user_id=new.user_id, updated_at=now)
        for key, (project, event) in tables.events.items():
            if event.user == old.key:
                tables.events[key] = project, replace(event, user=new.key, user_id=new.user_id)

    def _move_decisions(self, old: Key, new: Key) -> None:
        """One candidate, one decision: that of `new`, unless `old` was sent the notification."""
        tables = self._tables
        for row in [row for row in tables.decisions.values() if row.decision.user == old]:
            notification = row.decision.notification
            del tables.decisions[notification, old]
            collected = tables.collected.pop((old, notification), None)
            moved = DecisionRow(msgspec.structs.replace(row.decision, user=new), row.revision)
            kept = tables.decisions.setdefault((notification, new), moved)
            if _sends(moved) and not _sends(kept):
                tables.decisions[notification, new] = kept = moved
            if kept is moved:
                move_collected(tables, notification, new, collected)

    def _move_trail(self, old: Key, new: Key) -> None:
        tables, replace = self._tables, msgspec.structs.replace
        self._move_decisions(old, new)
        for (notification, user, device), row in list(tables.deliveries.items()):
            if user == old:
                del tables.deliveries[notification, user, device]
                row.delivery = replace(row.delivery, user=new)
                tables.deliveries.setdefault((notification, new, device), row)
        for (notification, user, *what), receipt in list(tables.receipts.items()):
            if user == old:
                del tables.receipts[notification, user, *what]
                tables.receipts.setdefault((notification, new, *what), replace(receipt, user=new))
        for (user, hash_), at in list(tables.sent_content.items()):
            if user == old:
                del tables.sent_content[old, hash_]
                tables.sent_content[new, hash_] = max(at, tables.sent_content.get((new, hash_), 0))
        for (user, notification), slot in list(tables.slots.items()):
            if user == old:
                del tables.slots[old, notification]
                tables.slots.setdefault((new, notification), replace(slot, user=new))
        for project, each in [row for row in tables.losses if row[1].user == old]:
            del tables.losses[project, each]
            tables.losses[project, replace(each, user=new)] = None

    def _move_consents(self, old: Key, new: Key, refused: set[tuple[str, Channel]], now: Millis) -> None:
        ledger = self._tables.consents
        moved = [msgspec.structs.replace(line, user=new) if line.user == old else line for line in ledger]
        ledger[:] = sorted(moved, key=lambda line: line.at)
        for category, channel in sorted(refused - _refused(ledger, {new})):
            if category == ANY_CATEGORY:
                continue
            ledger.append(
                Consent(user=new, category=category, channel=channel, granted=False, source=MERGE_SOURCE, at=now)
            )

    def _move_preferences(self, old: Key, new: Key, now: Millis) -> None:
        """What either asked holds: the longer pause; quiet hours of the known person, else of the anonymous one."""
        former, _ = self._tables.preferences.pop(old, (None, now))
        if former is None:
            return
        kept, _ = self._tables.preferences.get(new, (PersonPreference(), now))
        pauses = [one.marketing_paused_until for one in (former, kept) if one.marketing_paused_until is not None]
        joint = PersonPreference(
            quiet_hours=kept.quiet_hours or former.quiet_hours, marketing_paused_until=max(pauses, default=None)
        )
        self._tables.preferences[new] = joint, now


class MemoryConsents:
    """`ports.Consents`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def append(self, project: Key, lines: Sequence[Consent]) -> None:
        said = [line for line in lines if self._tables.user(project, line.user)]
        self._tables.consents += said
        self._tables.losses |= dict.fromkeys((project, each) for each in opt_outs(said))

    async def take_over(self, project: Key, lines: Sequence[Consent]) -> list[bool]:
        known = [line for line in lines if self._tables.user(project, line.user)]
        users = {line.user for line in known}
        news = told_news(known, last_said(line for line in self._tables.consents if line.user in users))
        told = [line for line, new in zip(known, news, strict=True) if new]
        self._tables.consents += sorted(told, key=lambda line: line.said_at or line.at)
        each = iter(news)
        return [line.user in users and next(each) for line in lines]

    async def of_user(self, project: Key, user: Key) -> list[Consent]:
        if self._tables.user(project, user) is None:
            return []
        return [line for line in self._tables.consents if line.user == user]


class MemoryPreferences:
    """`ports.Preferences`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, project: Key, user: Key) -> PersonPreference:
        known, _ = self._tables.preferences.get(user, (PersonPreference(), 0))
        return known if self._tables.user(project, user) else PersonPreference()

    async def put(self, project: Key, user: Key, change: PreferenceChange, now: Millis) -> PersonPreference | None:
        who = user if self._tables.user(project, user) else self._tables.successors.get((project, user))
        if who is None:
            return None
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
        changed = msgspec.structs.replace(await self.get(project, who), **given)
        self._tables.preferences[who] = stored(changed, PersonPreference), now
        return changed


def last_words(ledger: Sequence[Consent], users: set[Key]) -> dict[tuple[Key, str, str], bool]:
    """(user, category, channel) → granted, as the last line says."""
    return {(line.user, line.category, line.channel): line.granted for line in ledger if line.user in users}


def _refused(ledger: Sequence[Consent], users: set[Key]) -> set[tuple[str, Channel]]:
    words = last_words(ledger, users)
    return {(category, Channel(channel)) for (_, category, channel), granted in words.items() if not granted}


def _merged(attributes: Json, change: Json) -> Json:
    both = attributes | stored(change, Json)
    return {name: value for name, value in both.items() if value is not None}


def _sends(row: DecisionRow) -> bool:
    return verdict_of(row.decision.reason) is Verdict.SEND
