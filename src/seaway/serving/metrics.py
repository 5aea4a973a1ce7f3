"""Prometheus metrics, counted in plain integers on the event loop's thread and rendered when scraped.

The histograms have the names that KServe's own servers use (``request_preprocess_seconds`` ...), so that dashboards
fit, with buckets from 25 microseconds, because a prediction takes tens of them. ``preprocess`` is parsing and the
contract, ``predict`` the graph, ``postprocess`` the answer's encoding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

BUCKETS_S = (
    *(25e-6, 50e-6, 75e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 750e-6),
    *(1e-3, 2e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
PHASES = ("preprocess", "predict", "postprocess")


class Histogram:
    """Counts of durations in BUCKETS_S and their sum, in seconds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, how many were at most that), as Prometheus wants them."""
        total, out = 0, []
        for bound, count in zip((*map(_bound, BUCKETS_S), "+Inf"), self.counts, strict=True):
            total += count
            out.append((bound, float(total)))
        return out


def _bound(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".") if seconds < 1 else str(seconds)


class ModelMetrics:
    """What is counted for one model."""

    __slots__ = ("name", "phases", "requests", "rows", "version", "violations")

    def __init__(self, name: str, version: str) -> None:
        self.name, self.version = name, version
        self.requests: dict[tuple[str, int], int] = {}
        """By protocol and HTTP status."""
        self.rows = 0
        self.violations: dict[str, int] = {}
        """Rows by the column whose rule they broke."""
        self.phases = tuple(Histogram() for _ in PHASES)

    def answered(self, protocol: str, status: int) -> None:
        """Count one request for an answer."""
        key = (protocol, status)
        self.requests[key] = self.requests.get(key, 0) + 1


class Metrics(Collector):
    """All of a server's metrics as a Prometheus collector.

    Args:
        models: one for each served model.
        in_flight: how many requests for an answer are being worked on now.
    """

    def __init__(self, models: Sequence[ModelMetrics], in_flight: Callable[[], int]) -> None:
        self._models = models
        self._in_flight = in_flight
        self.elsewhere: dict[tuple[str, int], int] = {}
        """Refused requests that reached no model, by protocol and HTTP status."""
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The metric families, as prometheus_client asks for them."""
        labels = ["model", "version"]
        requests = CounterMetricFamily(
            "seaway_requests", "Requests for an answer.", labels=[*labels, "protocol", "code"]
        )
        rows = CounterMetricFamily("seaway_rows", "Rows answered.", labels=labels)
        violations = CounterMetricFamily(
            "seaway_contract_violations", "Rows that broke the contract, by column.", labels=[*labels, "column"]
        )
        for m in self._models:
            for (protocol, status), count in m.requests.items():
                requests.add_metric([m.name, m.version, protocol, str(status)], count)
            rows.add_metric([m.name, m.version], m.rows)
            for column, count in m.violations.items():
                violations.add_metric([m.name, m.version, column], count)
        for (protocol, status), count in self.elsewhere.items():
            requests.add_metric(["", "", protocol, str(status)], count)
        yield from (requests, rows, violations)
        in_flight = GaugeMetricFamily("seaway_requests_in_flight", "Requests for an answer now being worked on.")
        in_flight.add_metric([], self._in_flight())
        yield in_flight
        for i, phase in enumerate(PHASES):
            family = HistogramMetricFamily(
                f"request_{phase}_seconds", f"Time to {phase} a request.", labels=["model_name"]
            )
            for m in self._models:
                family.add_metric([m.name], m.phases[i].cumulative(), m.phases[i].sum_s)
            yield family
