"""The first page: how much was sent in the last days, what came of it, why not, and what needs somebody."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from clarion.dashboard import figures, words
from clarion.dashboard.listing import rows_of
from clarion.dashboard.losses import times
from clarion.dashboard.recent import MOST
from clarion.dashboard.rendering import page
from clarion.dashboard.session import Visit
from clarion.model import DeliveryState, Millis, Reason, Verdict, verdict_of
from clarion.ports import HOUR_MS, Stoppage, Tally
from clarion.web.http import Answer

_LATEST = 8
_SERIES = ("clicked", "shown", "sent", "failed")
_SERIES_OF = {
    DeliveryState.CLICKED: "clicked",
    DeliveryState.DISMISSED: "shown",
    DeliveryState.DISPLAYED: "shown",
    DeliveryState.DELIVERED: "shown",
    DeliveryState.ACCEPTED: "sent",
    DeliveryState.SENT: "sent",
    DeliveryState.EXPIRED: "failed",
    DeliveryState.FAILED: "failed",
}
_TITLES = {"clicked": "Clicked", "shown": "Delivered", "sent": "Sent, nothing heard yet", "failed": "Failed or expired"}


class Range(NamedTuple):
    """How far back: so many buckets, each an hour or a day."""

    name: str
    title: str
    buckets: int
    hourly: bool


RANGES = (Range("1d", "24 h", 24, True), Range("7d", "7 d", 7, False), Range("30d", "30 d", 30, False))
_USUAL = RANGES[1]


class Bucket(NamedTuple):
    """What belongs to one hour or day."""

    title: str
    deliveries: Counter[str]
    verdicts: Counter[str]


async def show(visit: Visit) -> Answer:
    """`GET /dashboard?range=7d`."""
    store, key = visit.services.store, visit.project.key
    chosen = next((one for one in RANGES if one.name == visit.request.query.get("range")), _USUAL)
    zone = words.zone_of(visit.project.settings.default_timezone)
    now = visit.services.clock.now()
    tally = await visit.recent.tally(key)
    first, buckets = _buckets(tally, chosen, zone, now)
    latest = await store.trail.notifications(key, None, _LATEST)
    reasons = Counter[str]()
    for one in tally.decisions:
        if one.hour >= first:
            reasons[one.reason] += one.count
    plot = figures.columns([bucket.deliveries for bucket in buckets], _SERIES, words.short)
    return page(
        visit,
        "overview",
        ranges=[{**one._asdict(), "current": one is chosen} for one in RANGES],
        tiles=_tiles(buckets),
        plot=plot._asdict() | {"boxes": [box._asdict() for box in plot.boxes]},
        ticks=_ticks(buckets),
        columns=_columns(buckets),
        series=[{"name": name, "title": _TITLES[name]} for name in _SERIES],
        is_empty=not any(bucket.deliveries.total() for bucket in buckets),
        unsent=bars_of(
            (code, count) for code, count in reasons.items() if verdict_of(Reason(code)) is not Verdict.SEND
        ),
        decided=reasons.total(),
        whole=tally.whole,
        most=MOST,
        alerts=[_alert(one, zone) for one in await store.stoppages.of_project(key)],
        doubled=[
            {"name": one.name, "by": one.dimension.value, "times": times(one), "lost": one.lost}
            for one in await store.losses.alerts(key)
        ],
        latest=await rows_of(visit, latest.items),
    )


def bars_of(counts: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Reasons as a bar plot."""
    rows = [(code, words.reason(code), count, words.tone(code)) for code, count in counts]
    return [bar._asdict() for bar in figures.bars(rows)]


def _buckets(tally: Tally, chosen: Range, zone: ZoneInfo, now: Millis) -> tuple[Millis, list[Bucket]]:
    """The beginning of the first, and all of them, oldest first."""
    starts = list(_starts(chosen, zone, now))
    buckets = [Bucket(_title(start, chosen), Counter(), Counter()) for start in starts]
    begins = [round(start.timestamp() * 1000) for start in starts]
    for one in tally.deliveries:
        at = _place(begins, one.hour)
        if at is not None and one.state in _SERIES_OF:
            buckets[at].deliveries[_SERIES_OF[one.state]] += one.count
    for decided in tally.decisions:
        at = _place(begins, decided.hour)
        if at is not None:
            buckets[at].verdicts[verdict_of(decided.reason)] += decided.count
    return begins[0], buckets


def _starts(chosen: Range, zone: ZoneInfo, now: Millis) -> Iterable[datetime]:
    local = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone)
    if chosen.hourly:
        last = datetime.fromtimestamp((now - now % HOUR_MS) / 1000, UTC)
        return ((last - timedelta(hours=back)).astimezone(zone) for back in reversed(range(chosen.buckets)))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - timedelta(days=back) for back in reversed(range(chosen.buckets)))


def _title(start: datetime, chosen: Range) -> str:
    return f"{start:%H:%M}" if chosen.hourly else f"{start.day} {start:%b}"


def _place(begins: Sequence[Millis], hour: Millis) -> int | None:
    """The last bucket that begins by then. Where a zone is half an hour off, an hour counts for where it begins."""
    if hour < begins[0]:
        return None
    return sum(begin <= hour for begin in begins) - 1


def _tiles(buckets: Sequence[Bucket]) -> list[dict[str, Any]]:
    def total(*series: str) -> int:
        return sum(bucket.deliveries[name] for bucket in buckets for name in series)

    def decided(verdict: Verdict) -> int:
        return sum(bucket.verdicts[verdict] for bucket in buckets)

    def line(*series: str) -> str:
        return figures.spark([sum(bucket.deliveries[name] for name in series) for bucket in buckets])

    def verdicts(verdict: Verdict) -> str:
        return figures.spark([bucket.verdicts[verdict] for bucket in buckets])

    sent, shown, clicked = total("sent", "shown", "clicked"), total("shown", "clicked"), total("clicked")
    held, dropped = decided(Verdict.HOLD), decided(Verdict.DROP)
    everybody = held + dropped + decided(Verdict.SEND)
    return [
        _tile("Sent", words.short(sent), "to devices", line("sent", "shown", "clicked")),
        _tile("Delivered", words.percent(shown, sent), f"{words.short(shown)} of sent", line("shown", "clicked")),
        _tile("Clicked", words.percent(clicked, shown), f"{words.short(clicked)} of delivered", line("clicked")),
        _tile("Held", words.short(held), "waiting now", verdicts(Verdict.HOLD)),
        _tile(
            "Dropped",
            words.short(dropped),
            f"{words.percent(dropped, everybody)} of decisions",
            verdicts(Verdict.DROP),
        ),
    ]


def _tile(title: str, figure: str, about: str, line: str) -> dict[str, Any]:
    return {"title": title, "figure": figure, "about": about, "line": line}


def _ticks(buckets: Sequence[Bucket]) -> list[str]:
    """A title for each bucket: at most eight of them, evenly, empty for the others."""
    step = -(-len(buckets) // 8)
    return [bucket.title if at % step == step // 2 else "" for at, bucket in enumerate(buckets)]


def _columns(buckets: Sequence[Bucket]) -> list[dict[str, Any]]:
    """The plot as a table, for who cannot see it."""
    return [
        {"title": bucket.title, "counts": [bucket.deliveries[name] for name in _SERIES]}
        for bucket in buckets
        if bucket.deliveries.total()
    ]


def _alert(one: Stoppage, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "kind": words.KINDS[one.kind],
        "lane": one.lane,
        "reason": words.reason(one.reason),
        "detail": one.detail,
        "credential": one.credential,
        "since": words.moment(one.since, zone),
        "failures": one.failures,
    }
