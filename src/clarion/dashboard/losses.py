"""Whom we lose, beside who taps: a row for each category, template or campaign, with the intervals of both rates."""

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from clarion.dashboard import figures, words
from clarion.dashboard.rendering import page
from clarion.dashboard.session import Visit
from clarion.intelligence.proportions import Proportion, proportion
from clarion.journey.loss_watch import Standing
from clarion.ports import Dimension, LossAlert
from clarion.web.http import Answer

_MOST = 100
_DIMENSIONS = {Dimension.CATEGORY: "Category", Dimension.TEMPLATE: "Template", Dimension.CAMPAIGN: "Campaign"}
_DAYS = (1, 7, 30)
_USUAL = 7
_NOTHING = Proportion(0.0, 0.0, 1.0)


async def show(visit: Visit) -> Answer:
    """`GET /dashboard/losses?by=category&days=7`."""
    by = next((one for one in Dimension if one.value == visit.request.query.get("by")), Dimension.CATEGORY)
    days = next((each for each in _DAYS if str(each) == visit.request.query.get("days")), _USUAL)
    _, standings = await visit.services.pipeline.losses.standings(visit.project.key, by, days)
    worst = sorted(standings, key=lambda each: (-_lost(each).low, -each.counts.lost, -each.counts.reached))[:_MOST]
    lost, tapped = _scale(map(_lost, worst)), _scale(map(_tapped, worst))
    zone = words.zone_of(visit.project.settings.default_timezone)
    return page(
        visit,
        "losses",
        by=by.value,
        days=days,
        dimensions=[{"name": one.value, "title": title, "current": one is by} for one, title in _DIMENSIONS.items()],
        ranges=[{"days": each, "title": f"{each} d", "current": each == days} for each in _DAYS],
        rows=[_row(each, lost, tapped, zone) for each in worst],
        more=len(standings) - len(worst),
    )


def times(alert: LossAlert) -> str:
    """How many times as many people are lost as usual, in a few words."""
    return "many more than usual" if alert.ratio is None else f"{alert.ratio:.1f} times as many as usual"


def _lost(standing: Standing) -> Proportion:
    return proportion(standing.counts.lost, standing.counts.reached) or _NOTHING


def _tapped(standing: Standing) -> Proportion:
    return proportion(standing.counts.tapped, standing.counts.reached) or _NOTHING


def _scale(rates: Iterable[Proportion]) -> float:
    """What the whole width stands for: intervals of a few people do not squeeze all others, and are cut."""
    return max((min(rate.high, 4 * rate.value + 0.005) for rate in rates), default=1.0)


def _row(standing: Standing, lost: float, tapped: float, zone: ZoneInfo) -> dict[str, Any]:
    counts, alert = standing
    ways = (("said no", counts.opt_outs), ("device says no", counts.permissions), ("device gone", counts.subscriptions))
    since = None if alert is None else words.moment(alert.since, zone)
    return {
        "name": counts.name,
        "reached": counts.reached,
        "lost": _whisker(_lost(standing), lost),
        "tapped": _whisker(_tapped(standing), tapped),
        "people": counts.lost,
        "ways": ", ".join(f"{words.whole(count)} {way}" for way, count in ways if count),
        "doubled": None if alert is None else {"times": times(alert), "since": since},
    }


def _whisker(rate: Proportion, scale: float) -> dict[str, Any]:
    drawn = figures.whisker(*rate, scale)._asdict()
    between = f"{words.rate(rate.low)} to {words.rate(rate.high)}"
    return {**drawn, "text": words.rate(rate.value), "between": between}
