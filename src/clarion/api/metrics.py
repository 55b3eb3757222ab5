"""What `/metrics` tells: answers by route and status, and the work that waits. Prometheus' text form."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from clarion.ports import family_of


class Metrics:
    """Counts in plain integers, so that a hot route pays next to nothing; turned into Prometheus' form when asked."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], int] = {}
        self._backlog: dict[str, int] = {}
        self._stopped: Sequence[tuple[str, str, str]] = ()
        self._lossy: Sequence[tuple[str, str, str]] = ()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, route: str, status: int) -> None:
        """One more answer. `route` is a template, never a caller's path: their number is bounded."""
        key = (route, status)
        self._answers[key] = self._answers.get(key, 0) + 1

    def text(
        self,
        backlog: Mapping[str, int],
        stopped: Sequence[tuple[str, str, str]],
        lossy: Sequence[tuple[str, str, str]] = (),
    ) -> bytes:
        """Ours, and what the other parts of this process registered. Lanes are told together: labels stay few.

        `stopped`: project, kind and lane of each stoppage; `lossy`: project, dimension and name of each alert.
        """
        self._backlog = {}
        for queue, jobs in backlog.items():
            family = family_of(queue)
            self._backlog[family] = self._backlog.get(family, 0) + jobs
        self._stopped, self._lossy = stopped, lossy
        return generate_latest(self._registry) + generate_latest(REGISTRY)

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        answers = CounterMetricFamily(
            "clarion_http_answers", "HTTP answers by route and status", labels=["route", "status"]
        )
        for (route, status), number in sorted(self._answers.items()):
            answers.add_metric([route, str(status)], number)
        yield answers
        waiting = GaugeMetricFamily("clarion_backlog_jobs", "Jobs that wait, by queue", labels=["queue"])
        for queue, number in sorted(self._backlog.items()):
            waiting.add_metric([queue], number)
        yield waiting
        words = "1 while nothing is sent to a push service, because it refuses our keys or does not answer"
        stopped = GaugeMetricFamily("clarion_provider_stopped", words, labels=["project", "kind", "lane"])
        for place in self._stopped:
            stopped.add_metric(place, 1)
        yield stopped
        words = "1 while messages lose at least twice as many people as usual"
        lossy = GaugeMetricFamily("clarion_losses_doubled", words, labels=["project", "by", "name"])
        for about in self._lossy:
            lossy.add_metric(about, 1)
        yield lossy
