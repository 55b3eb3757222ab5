"""The sentences of the live page: what each chapter and reason means to someone who reads them for the first time."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from clarion.journey.story import Chapter
from clarion.model import Json, Reason


class Words(NamedTuple):
    """A line, what it means, and how it feels: good, wait, bad or plain."""

    title: str
    text: str = ""
    tone: str = "plain"


REASONS: Mapping[str, str] = {
    Reason.SEND: "Allowed, wanted and worth it",
    Reason.IN_DIGEST: "Sent together with others, as one message",
    Reason.QUIET_HOURS: "It is night where this person is",
    Reason.BEST_TIME: "This person reads at another hour",
    Reason.CAP_WAIT: "Enough for now; the next one goes out later",
    Reason.SCHEDULE: "Its hour has not come",
    Reason.PROVIDER_DOWN: "The push service does not answer; nothing is lost",
    Reason.DIGEST: "It goes out together with others",
    Reason.EXPERIMENT: "Others get it first, to see which words are better",
    Reason.PAUSED: "Its campaign is paused",
    Reason.NO_PERMISSION: "The browser was told not to show notifications",
    Reason.NO_CONSENT: "Nobody asked for this kind of message, and it is off by default",
    Reason.OPTED_OUT: "This person said no to this kind of message",
    Reason.NO_DEVICE: "There is no browser or phone to send it to",
    Reason.CAP_REACHED: "Enough for now",
    Reason.SUPERSEDED: "A newer message took its place",
    Reason.DUPLICATE: "The same was said already",
    Reason.EXPIRED: "Its time is over: stale is worse than silent",
    Reason.CANCELLED: "The sender called it off",
    Reason.HOLDOUT: "Part of the group that gets nothing, to measure the difference",
    Reason.NOT_IN_SEGMENT: "Not one of the people it was meant for",
    Reason.NOT_SUBSCRIBED: "Not subscribed to the topic any more",
    Reason.TIME_PASSED: "Its hour was over where this person is",
    Reason.IRRELEVANT: "Not worth this person's attention",
    Reason.CATEGORY_MISMATCH: "It may not wear this category",
    Reason.TEMPLATE_ERROR: "Its text does not render",
    Reason.TOO_LARGE: "It does not fit into a push message",
    Reason.DEVICE_GONE: "The push service says that this address is gone",
    Reason.BAD_CREDENTIALS: "The push service refuses our keys",
    Reason.REJECTED: "The push service refuses this message",
    Reason.PROVIDER_ERROR: "The push service failed",
}

_SOURCES = {"sdk_prompt": "in the prompt", "sdk": "on the page"}

_ANSWERS = {
    "granted": Words("The browser may show notifications", tone="good"),
    "provisional": Words("The system shows notifications quietly", tone="good"),
    "denied": Words("The browser may not show notifications", tone="bad"),
    "default": Words("The browser has not been asked yet"),
}

_STATES = {
    "queued": Words("Waiting to be handed over", tone="wait"),
    "failed": Words("Could not be delivered", tone="bad"),
    "expired": Words("Too late", tone="bad"),
}

_RECEIPTS = {
    "delivered": Words("Arrived at the device", "Decrypted by the service worker", "good"),
    "displayed": Words("Shown", "On the screen, or on the lock screen", "good"),
    "clicked": Words("Tapped", "The page behind it was opened", "good"),
    "dismissed": Words("Dismissed", "Seen and put away"),
}


def entry(chapter: Chapter, categories: Mapping[str, str]) -> Words:
    """What to say about a chapter. `categories`: title by name."""
    if chapter.stage == "permission" and "category" in chapter.detail:
        return _consent(chapter.detail, categories)
    tell = _BY_STAGE.get(chapter.stage)
    return tell(chapter.detail) if tell is not None else Words(chapter.what)


def _consent(detail: Json, categories: Mapping[str, str]) -> Words:
    said, tone = ("yes", "good") if detail["granted"] else ("no", "bad")
    title = categories.get(detail["category"], detail["category"])
    where = _SOURCES.get(detail["source"], f"by {detail['source']}")
    return Words(f"Said {said} to “{title}”", f"for {detail['channel']}, {where}", tone)


def _permission(detail: Json) -> Words:
    words = _ANSWERS.get(detail["permission"], Words(str(detail["permission"])))
    return words._replace(text=detail.get("model") or "")


def _registration(detail: Json) -> Words:
    words = Words("Got an address", f"{detail.get('model') or 'A device'}, by {detail['kind']}", "good")
    return words if detail["state"] == "active" else words._replace(tone="plain")


def _decide(detail: Json) -> Words:
    reason, verdict = detail["reason"], detail["decision"]
    text = REASONS.get(reason, "")
    if verdict == "send":
        return Words("Send", text, "good")
    if verdict == "hold":
        until = f", until {_clock_time(detail['until'])}" if detail.get("until") else ""
        return Words(f"Hold: {reason}", f"{text}{until}", "wait")
    return Words(f"Drop: {reason}", text, "bad")


def _deliver(detail: Json) -> Words:
    if detail["reason"] == Reason.PROVIDER_DOWN:
        return Words("Held back", REASONS.get(detail["reason"], ""), "wait")
    words = _STATES.get(detail["state"], Words("Queued, then handed to the push service", tone="good"))
    tries = f"attempt {detail['attempts']}" if detail["attempts"] > 1 else ""
    text = ", ".join(part for part in (REASONS.get(detail["reason"] or "", ""), tries) if part)
    return words._replace(text=text or f"by {detail['kind']}, encrypted end to end")


def _receipt(detail: Json) -> Words:
    if "notification_id" not in detail:
        return Words(f"The device is {detail['state']}", str(detail.get("reason") or ""), "bad")
    words = _RECEIPTS.get(detail["kind"], Words(str(detail["kind"])))
    return words._replace(title=f"{words.title}: “{detail['action']}”") if detail.get("action") else words


def _trigger(detail: Json) -> Words:
    properties = ", ".join(f"{name} {value}" for name, value in detail["properties"].items())
    return Words("The shop's server told us", properties)


def _clock_time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%d %B, %H:%M UTC")


_BY_STAGE: Mapping[str, Callable[[Json], Words]] = {
    "permission": _permission,
    "registration": _registration,
    "trigger": _trigger,
    "decide": _decide,
    "deliver": _deliver,
    "display": _receipt,
    "learn": _receipt,
}
