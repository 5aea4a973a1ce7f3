"""What a training's ranks did with their time, their cores and their memory.

In: figures of every rank. Out: a record that JSON holds, with finite numbers only; what was not measured is None.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seaway.errors import InputError

FORMAT = 1
LIVE = ("data_ms", "compute_ms", "wait_ms")
"""Shares of a step that every epoch's log line tells."""


STARVED = 0.75
"""Cores in use while a rank computes: a thread with a core to itself has one, less a little for what it reads."""


@dataclass(frozen=True, kw_only=True)
class RankEvidence:
    """One rank. Times are of one step, in ms."""

    rank: int
    steps: int = 0
    """That it took; 0 where the framework has none that others could see."""
    samples: int = 0
    """Steps after whose gradients the ranks met at a barrier, which tells computing from waiting."""
    data_ms: float | None = None
    """Blocked until the next batch was there: mean over all steps, the very first wait left out."""
    compute_ms: float | None = None
    """Until the rank's own gradients were there: median of the samples; without samples the whole step."""
    wait_ms: float | None = None
    """At the barrier, for the slowest rank: median of the samples."""
    exchange_ms: float | None = None
    """Gradients exchanged and weights updated, once all had come: median of the samples."""
    cpu_util: float = 0.0
    """Cores in use, mean over the training."""
    cpu_peak: float = 0.0
    """Cores in use, mean over the busiest epoch."""
    computing_cores: float | None = None
    """Cores in use while it computed, mean of the samples; below 1 somebody else had the core in between."""
    cores: int = 1
    """That it may use."""
    gpu_util: float | None = None
    """Share of the time in which the GPU worked, 0 to 1."""
    peak_rss_mb: float = 0.0
    """Memory of the process at its largest, in MiB."""
    peak_gpu_mb: float | None = None
    """Memory of the GPU that tensors held, at its largest, in MiB."""
    seconds: float = 0.0
    """Of the training, all else but its steps included."""
    rows_per_s: float | None = None
    """This rank's rows a second of its epochs' steps."""
    flops_per_s: float | None = None
    """Floating point operations of the model, a second of its epochs' steps."""
    mfu: float | None = None
    """Model FLOPs utilization: their share of the peak, 0 to 1; see `Evidence.peak`."""

    @property
    def busy_ms(self) -> float | None:
        """Of a step: what this rank took by itself, data and compute."""
        return None if self.compute_ms is None else (self.data_ms or 0.0) + self.compute_ms

    @property
    def step_ms(self) -> float | None:
        """A whole step."""
        if self.compute_ms is None:
            return None
        return sum(ms or 0.0 for ms in (self.data_ms, self.compute_ms, self.wait_ms, self.exchange_ms))

    @property
    def starved(self) -> bool:
        """Whether it had work to do and no core to do it on; not told of a rank that waits for its GPU."""
        return self.computing_cores is not None and self.computing_cores < STARVED and self.peak_gpu_mb is None

    @property
    def data_share(self) -> float:
        """Of a step's time that is spent waiting for data, 0 to 1."""
        step = self.step_ms
        return (self.data_ms or 0.0) / step if step else 0.0


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """All ranks together against one of them by itself, on the same batches."""

    ranks: int
    alone: float
    """Rows a second of one rank."""
    together: float
    """Rows a second of all."""

    @property
    def efficiency(self) -> float:
        """1 where N ranks are N times as fast as one."""
        return self.together / (self.ranks * self.alone) if self.alone > 0 else 0.0

    @property
    def speedup(self) -> float:
        """How many times one rank's rows a second."""
        return self.together / self.alone if self.alone > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the rows."""

    number: int
    rows_per_s: float | None = None
    """Of all ranks."""
    losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """By name: ``loss`` of the training, ``validation_loss``."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What a replica of the next such training should request; empty where nothing says so."""

    cpu: str
    """As Kubernetes writes quantities, for instance 750m."""
    memory: str
    """For instance 640Mi."""
    replicas: int
    because: tuple[str, ...] = ()
    """The rule behind each, in words."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All ranks of one training."""

    ranks: tuple[RankEvidence, ...]
    evenness: float | None = None
    """Least over greatest busy time of the ranks, 0 to 1; None where busy could not be told from waiting."""
    scaling: Scaling | None = None
    """None where no rank was timed by itself."""
    verdict: tuple[str, ...] = ()
    """Sentences for people, the most telling first."""
    recommendation: Recommendation | None = None
    peak: str = ""
    """What `RankEvidence.mfu` is a share of, in words; empty where there is none."""
    epochs: tuple[Epoch, ...] = ()
    unit: str = "epoch"
    """What `epochs` are."""
    rows: int = 0
    """Training rows of all ranks."""

    @property
    def rows_per_s(self) -> float | None:
        """Of all ranks."""
        known = [r.rows_per_s for r in self.ranks if r.rows_per_s is not None]
        return sum(known) if known else None

    def figures(self) -> dict[str, float]:
        """The whole as a few numbers by name, for a step's metrics; what is not known is left out."""
        least = [r.mfu for r in self.ranks if r.mfu is not None]
        gpu = [r.gpu_util for r in self.ranks if r.gpu_util is not None]
        found = {
            "evenness": self.evenness,
            "train_rows_per_s": self.rows_per_s,
            "cpu_util": sum(r.cpu_util for r in self.ranks) / len(self.ranks),
            "gpu_util": sum(gpu) / len(gpu) if gpu else None,
            "peak_rss_mb": max(r.peak_rss_mb for r in self.ranks),
            "mfu": min(least) if least else None,
            "scaling_efficiency": self.scaling.efficiency if self.scaling else None,
        }
        return {k: float(f"{v:.4g}") for k, v in found.items() if v is not None and math.isfinite(v)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON; numbers that are not finite become None."""
        raw = dataclasses.asdict(self)
        for rank, made in zip(raw["ranks"], self.ranks, strict=True):
            rank["busy_ms"] = made.busy_ms
        if self.scaling is not None:
            raw["scaling"]["efficiency"] = self.scaling.efficiency
        plain: dict[str, Any] = _finite({"format": FORMAT, **raw})
        return plain

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Evidence:
        """What `to_dict` gave.

        Raises:
            InputError: it is no such record.
        """
        try:
            if raw["format"] != FORMAT:
                raise ValueError(f"format {raw['format']!r}")
            scaling, advice = raw["scaling"], raw["recommendation"]
            return cls(
                ranks=tuple(_made(RankEvidence, r) for r in raw["ranks"]),
                evenness=raw["evenness"],
                scaling=None if scaling is None else _made(Scaling, scaling),
                verdict=tuple(raw["verdict"]),
                recommendation=None
                if advice is None
                else Recommendation(**{**advice, "because": tuple(advice["because"])}),
                peak=raw["peak"],
                unit=raw["unit"],
                rows=raw["rows"],
                epochs=tuple(_made(Epoch, e) for e in raw["epochs"]),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise InputError(
                f"a training's evidence must be what its worker wrote in format {FORMAT}: {e!r}: train again"
            ) from None


def evenness(ranks: Sequence[RankEvidence]) -> float | None:
    """Least over greatest busy time; 1 for a rank by itself, None where busy could not be told from waiting."""
    if len(ranks) == 1:
        return 1.0
    busy = [r.busy_ms for r in ranks if r.samples and r.busy_ms is not None]
    if len(busy) < len(ranks):
        return None
    return min(busy) / max(busy) if max(busy) > 0 else 1.0


def _made(kind: Any, raw: Mapping[str, Any]) -> Any:
    """The record, less what `Evidence.to_dict` derived for readers."""
    known = {f.name for f in dataclasses.fields(kind)}
    return kind(**{k: v for k, v in raw.items() if k in known})


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
