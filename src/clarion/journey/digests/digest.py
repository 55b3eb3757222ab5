"""Digest: what was collected for a person is made into one message, over the words of those that it stands for."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from minijinja import TemplateError

from clarion.journey.candidate import Candidate, Decided
from clarion.journey.conditions import Around
from clarion.journey.rules import content_hash
from clarion.journey.rules.digest import Group, is_surely_open
from clarion.journey.texts.taming import Refused, tamed
from clarion.journey.texts.wordings import worded
from clarion.journey.texts.words import (
    Setting,
    Texts,
    chosen,
    detail_of,
    environment,
    event_facts,
    has_marks,
    template_of,
    time_told,
    titled,
    user_facts,
)
from clarion.model import (
    Audience,
    Category,
    Content,
    Digest,
    Event,
    Json,
    Key,
    LockScreen,
    Message,
    Millis,
    Notification,
    Template,
    Urgency,
)
from clarion.ports import Collected, PairsWork

# --- what is collected together ---------------------------------------------------------------------------------------


def group_of(notification: Notification, digest: Digest, around: Around) -> Group:
    """By category and key; a key that does not render tells nothing."""
    key = digest.key or ""
    if has_marks(key):
        context: Json = {"data": notification.message.data, "project": around.project}
        if notification.event is not None and notification.event in around.events:
            context["event"] = event_facts(around.events[notification.event])
        try:
            key = environment().render_str(tamed(key).source, **context)
        except (TemplateError, Refused) as error:
            told = detail_of(error) if isinstance(error, TemplateError) else str(error)
            return Group(None, f"its key is not to be told: {told}")
    return Group(content_hash(f"digest\n{notification.message.category}\n{key}"))


def marks(notifications: Mapping[Key, Notification], categories: Mapping[str, Category], around: Around) -> list[int]:
    """The groups of which it matters when something was last sent."""
    found = set()
    for one in notifications.values():
        digest = digest_of(one, categories)
        if digest is not None and digest.immediate_first:
            found.add(group_of(one, digest, around).hash)
    return sorted(hash for hash in found if hash is not None)


def digest_of(notification: Notification, categories: Mapping[str, Category]) -> Digest | None:
    """The digest of its category."""
    worn = categories.get(notification.message.category)
    return None if worn is None else worn.digest


def together(
    job: PairsWork,
    waiting: Sequence[Collected],
    notifications: Mapping[Key, Notification],
    categories: Mapping[str, Category],
    now: Millis,
) -> PairsWork:
    """The job with all that may have to go with what is in it. `waiting`: what its people wait for, as collected."""
    own = set(job.pairs)
    groups: dict[tuple[Key, int], list[Collected]] = {}
    digests: dict[tuple[Key, int], Digest | None] = {}
    for one in waiting:
        group = one.user, one.group
        groups.setdefault(group, []).append(one)
        if (one.notification, one.user) in own and one.notification in notifications:
            digests[group] = digest_of(notifications[one.notification], categories)
    more = {
        (one.notification, one.user)
        for group, digest in digests.items()
        if digest is not None and not is_surely_open(digest, [one.at for one in groups[group]], now)
        for one in groups[group]
    }
    pairs = sorted(own | more, key=lambda pair: (pair[1], pair[0]))
    return msgspec.structs.replace(job, pairs=pairs)


# --- the one message --------------------------------------------------------------------------------------------------


class Words:
    """What texts of a digest see of the messages that it stands for."""

    def __init__(
        self,
        templates: Mapping[str, Template],
        events: Mapping[Key, Event],
        seen: Json,
        setting: Setting,
    ) -> None:
        """`seen`: what all texts see; `setting`: with what at hand they are compiled, whatever the language."""
        self._templates, self._events, self._seen, self._setting = templates, events, seen, setting
        self._known: dict[tuple[Key, str | None, str | None], tuple[Content, Texts]] = {}

    def of(self, decided: Decided) -> Json:
        """One message, in the person's language. Raises TextError: it says nothing, and counts for nothing."""
        notification, recipient = decided.notification, decided.recipient
        message = notification.message
        locale = recipient.locale or next((one.locale for one in recipient.targets if one.locale), None)
        about = notification.key, decided.variant, locale
        words, texts = self._known.get(about) or self._compiled(notification, decided.variant, locale)
        context: dict[str, Any] = {**self._seen, "data": message.data}
        told: Json = {"id": notification.id, "data": message.data, "at": time_told(notification.created_at)}
        if notification.event is not None and notification.event in self._events:
            context["event"] = told["event"] = event_facts(self._events[notification.event])
        if texts.personal:
            context["user"] = user_facts(recipient, locale)
        return {**told, "title": words.title, "body": words.body, "url": words.url, **texts.render(context)}

    def _compiled(self, notification: Notification, variant: str | None, locale: str | None) -> tuple[Content, Texts]:
        message = worded(notification.message, variant)
        _, words, text_locale = titled(chosen(message, template_of(message, self._templates), locale))
        # Its buttons and pictures are not told.
        texts = Texts(
            Message(title=message.title, template=message.template),
            words,
            self._setting._replace(locale=locale, text_locale=text_locale),
        )
        found = self._known[notification.key, variant, locale] = words, texts
        return found


class Made(NamedTuple):
    """A digest before it is decided: the candidate, what its texts see, and what it stands for."""

    candidate: Candidate
    seen: Json
    items: Sequence[Decided]


def made(items: Sequence[tuple[Decided, Json]], digest: Digest, key: Key, group: int, now: Millis) -> Made:
    """One message for all of these, oldest first. Its id follows from them, so that a repeated step makes the same."""
    decided = [one for one, _ in items]
    recipient, last = decided[-1].recipient, decided[-1].notification
    told = [words for _, words in items]
    notification = Notification(
        key=key,
        id=_id(decided),
        project=last.project,
        message=_message([one.notification for one in decided], digest, told[-1], now),
        to=Audience(users=[recipient.user_id]),
        created_at=now,
        automation=last.automation,
        sent_by=last.sent_by,
        digest_of=tuple(one.notification.key for one in decided),
    )
    seen = {"items": told, "count": len(told), "first": told[0], "last": told[-1]}
    named = [one.only for one in decided if one.only is not None]
    only = frozenset().union(*named) if len(named) == len(decided) else None
    return Made(Candidate(notification, recipient, only, (f"{len(told)} in one", group)), seen, decided)


def _message(items: Sequence[Notification], digest: Digest, last: Json, now: Millis) -> Message:
    """As loud and as urgent as the last, or the most urgent, of them; it is worth showing as long as one of them is."""
    messages = [one.message for one in items]
    hidden = list(LockScreen)
    return Message(
        category=messages[-1].category,
        title=digest.title,
        body=digest.body,
        template=digest.template,
        url=digest.url or ("{{ last.url }}" if last.get("url") else None),
        data={"count": len(items)},
        sound=messages[-1].sound,
        vibrate=messages[-1].vibrate,
        lock_screen=max((one.lock_screen for one in messages), key=hidden.index),
        ttl=max(0, max(one.expires_at for one in items) - now) // 1000,
        urgency=max((one.urgency for one in messages), key=list(Urgency).index),
        priority=max(one.priority for one in messages),
    )


def _id(items: Sequence[Decided]) -> str:
    person = items[0].recipient.user_id
    ids = "\n".join(one.notification.id for one in items)
    return blake2b(f"digest\n{person}\n{ids}".encode(), digest_size=16).hexdigest()
