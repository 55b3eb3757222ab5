"""Results: the rate of each wording with where it may lie, and whether one of them is ahead."""

from typing import Any

from clarion.dashboard import figures, words
from clarion.dashboard.listing import title_of
from clarion.dashboard.rendering import page
from clarion.dashboard.session import Visit
from clarion.errors import NotFound
from clarion.journey.experiments.results import Arm, Results, Versus
from clarion.journey.experiments.winning import results_of
from clarion.model import CONTROL, Goal, Message, Notification, Variant
from clarion.web.http import Answer

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


async def show(visit: Visit, id: str) -> Answer:
    """`GET /dashboard/notifications/{id}/results`."""
    notification = await visit.services.store.trail.notification(visit.project.key, id)
    if notification is None:
        raise NotFound(f"There is no notification {id} in this project.")
    found = await results_of(visit.services.store, notification, visit.services.clock.now())
    scale = figures.scale(one.interval.high for one in found.arms if one.interval is not None and one.counts.people)
    return page(
        visit,
        "results",
        id=id,
        title=title_of(notification),
        campaign=notification.campaign,
        goal=_goal(notification.message.goal),
        rows=[_row(one, notification.message, scale) for one in found.arms],
        ticks=[words.rate(scale * part / 2) for part in range(3)],
        verdict=_verdict(found),
        winner=_winner(visit, notification, found),
    )


def wordings(message: Message) -> list[dict[str, str]]:
    """The variants of a message, with what each says."""
    return [{"key": one.key, "says": _says(one.key, message)} for one in message.variants]


def _goal(goal: Goal) -> str:
    size, unit = next(one for one in _UNITS if goal.within_s % one[0] == 0)
    count = goal.within_s // size
    within = f"{words.whole(count)} {unit}{'' if count == 1 else 's'}"
    return f"a tap within {within}" if goal.event is None else f"{goal.event} within {within}"


def _row(arm: Arm, message: Message, scale: float) -> dict[str, Any]:
    interval, settled = arm.interval, arm.counts.people
    drawn = None
    if interval is not None and settled:
        drawn = figures.whisker(arm.counts.rate, interval.low, interval.high, scale)._asdict()
        drawn |= {"text": words.rate(arm.counts.rate), "between": _between(interval.low, interval.high)}
    return {
        "key": arm.key,
        "says": _says(arm.key, message),
        "people": arm.people,
        "settled": settled,
        "successes": arm.counts.successes,
        "delivered": arm.delivered,
        "clicked": arm.clicked,
        "rate": drawn,
        "versus": [_versus(one) for one in arm.versus] if settled else [],
    }


def _says(key: str, message: Message) -> str:
    if key == CONTROL:
        return "got nothing: the control group"
    variant: Variant | Message = next((one for one in message.variants if one.key == key), message)
    if variant.template is not None and variant.title is None:
        return f"the template {variant.template}"
    title = variant.title or message.title
    return title if title is not None else f"the template {message.template}"


def _versus(one: Versus) -> dict[str, Any]:
    told = one.difference
    low, high = told.interval.low, told.interval.high
    return {
        "arm": one.arm,
        "text": f"{_points(told.estimate)} points",
        "between": f"{_points(low)} to {_points(high)}",
        "tone": "good" if low > 0 else "bad" if high < 0 else "plain",
    }


def _verdict(found: Results) -> dict[str, str]:
    """Which one is ahead, or why nobody can say so yet."""
    wordings = [one for one in found.arms if one.key != CONTROL]
    if found.ahead is not None:
        return {"tone": "good", "text": f"{found.ahead} is ahead: clear of all others, however often you look."}
    if not any(one.counts.people for one in wordings):
        return {"tone": "plain", "text": "Nothing to compare yet: the time for a success is over for nobody."}
    if len(wordings) == 1:
        return {"tone": "plain", "text": "There is one wording only, so there is none to be ahead of."}
    best = max(wordings, key=lambda one: one.counts.rate if one.counts.people else -1.0)
    if all(one.counts.rate == best.counts.rate for one in wordings if one.counts.people):
        return {"tone": "plain", "text": "Nobody is ahead: the rates are the same so far."}
    return {
        "tone": "plain",
        "text": f"Nobody is ahead yet. {best.key} has the highest rate so far, and that may still be chance.",
    }


def _winner(visit: Visit, notification: Notification, found: Results) -> dict[str, Any] | None:
    """What took over, or when it will."""
    rule, due_at, chosen = notification.message.winner, notification.winner_at, found.winner
    if rule is None or due_at is None:
        return None
    zone = words.zone_of(visit.project.settings.default_timezone)
    return {
        "by_chance": rule.rule == "best_rate",
        "share": f"{rule.share:g}",
        "due": words.moment(due_at, zone),
        "chosen": None if chosen is None else words.moment(chosen.at, zone),
        "variant": None if chosen is None else chosen.variant,
        "people": found.rest,
    }


def _between(low: float, high: float) -> str:
    return f"{words.rate(low)} to {words.rate(high)}"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")
