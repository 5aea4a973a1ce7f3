"""Measures a rank while it trains, at next to no cost: clocks, and a barrier every few steps.

In: the batches and steps of a training loop. Out: figures for each epoch's log line, and at the end `Evidence` of all
ranks. Gradients are exchanged in every step, so all ranks' steps take equally long however uneven they are. Where the
ranks meet at a barrier between their own gradients and the exchange, the slow one is the one that does not wait.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import TypeVar

import numpy as np

from seaway.observe import logs
from seaway.training.cores import cores
from seaway.training.evidence import peak, usage, verdict
from seaway.training.evidence.evidence import Epoch, Evidence, RankEvidence, Scaling, evenness
from seaway.training.evidence.row import of_epoch, of_row, to_row
from seaway.training.evidence.tally import Tally
from seaway.training.peers import Peers

T = TypeVar("T")
Computed = Callable[[], None]

EVERY = 32
"""Steps from one sample to the next: a barrier of 0.3 ms in 32 steps of 3 ms costs 0.3 %."""
_EARLY = (2, 4, 8)
"""Steps of this process that are sampled too, so that short trainings have samples; not the first, which warms up."""

_logger = logging.getLogger(__name__)


class Meter:
    """Of one rank; every rank has one, and they call it alike.

    Works without any step too: then it knows time, cores and memory.

    Args:
        peers: the ranks.
        rows_total: training rows of all ranks.
        flops_per_row: floating point operations of the model for one row's step; 0 where they cannot be counted.
        every: steps from one sample to the next.
        precision: of the products, see `seaway.training.evidence.peak.of_chip`.
        unit: what `epoch` is called after.
    """

    def __init__(
        self,
        peers: Peers,
        *,
        rows_total: int,
        flops_per_row: int = 0,
        every: int = EVERY,
        precision: str = "float32",
        unit: str = "epoch",
    ) -> None:
        self._peers = peers
        self._rows_total = rows_total
        self._flops_per_row = flops_per_row
        self._every = max(1, every)
        self._precision = precision
        self._unit = unit
        self._gpu: usage.Gpu | None = None
        self._scaling: Scaling | None = None
        self._epochs: list[Epoch] = []
        self._begin()

    def _begin(self) -> None:
        self._all, self._now = Tally(), Tally()
        self._cpu_peak = 0.0
        self._first = True

    @property
    def gpu(self) -> usage.Gpu:
        """Of this rank; asked for once the framework has begun to use it."""
        if self._gpu is None:
            self._gpu = usage.Gpu()
        return self._gpu

    def batches(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches, or groups of them; how long each was waited for is noted."""
        iterator = iter(batches)
        while True:
            at = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._data(time.perf_counter() - at)
            try:
                yield batch
            finally:
                self._loop(time.perf_counter() - at)

    def _data(self, seconds: float) -> None:
        if self._first:  # whatever starts with the first batch is no part of a step
            self._first = False
            return
        for tally in (self._all, self._now):
            tally.data_s += seconds

    def _loop(self, seconds: float) -> None:
        for tally in (self._all, self._now):
            tally.loop_s += seconds

    def step(self, number: int, rows: int) -> AbstractContextManager[Computed | None]:
        """Times a step of all ranks.

        Args:
            number: of the step, the same on all ranks.
            rows: of this rank.

        Returns:
            A context that gives None, but on sampled steps a callable: to be called once this rank's own gradients are
            there, before they are exchanged. It returns when all ranks have come so far.
        """
        sampled = number % self._every == self._every // 2 or self._all.steps in _EARLY
        return _Step(self, rows, sampled=sampled)

    def took(
        self, seconds: float, rows: int, sample: tuple[float, float, float] | None, cpu_s: float | None = None
    ) -> None:
        """Note a step that has ended.

        Args:
            seconds: that it took.
            rows: of this rank.
            sample: seconds of computing, waiting for the slowest rank, and exchange, where they were told apart.
            cpu_s: CPU time of the computing.
        """
        for tally in (self._all, self._now):
            tally.steps += 1
            tally.rows += rows
            tally.steps_s += seconds
            if sample is not None:
                tally.samples.append(sample)
                if cpu_s is not None:
                    tally.computing_s += sample[0]
                    tally.computing_cpu_s += cpu_s

    def meet(self) -> None:
        """Until all ranks have come."""
        self._peers.barrier()

    def epoch(self, number: int, losses: Mapping[str, float] | None = None) -> dict[str, float]:
        """This rank's figures since the epoch before, for its log line; called by all ranks.

        Where one of them keeps the others waiting, rank 0 logs which and why.

        Args:
            number: of the epoch that has ended.
            losses: of the epoch, for the report: ``loss`` and others whose names end so; all else is left out.
        """
        now, place = self._now, self._peers.place
        cpu = now.cpu_util()
        self._cpu_peak = max(self._cpu_peak, cpu)
        compute, wait, exchange = now.sampled_ms()
        kept = {k: float(v) for k, v in (losses or {}).items() if k.endswith("loss") and math.isfinite(v)}
        own = np.array([len(now.samples), now.data_ms(), compute, wait, exchange, now.rows_per_s()], np.float64)
        ranks = [of_epoch(rank, row.tolist()) for rank, row in enumerate(self._peers.gather(own))]
        rows_per_s = sum(r.rows_per_s or 0.0 for r in ranks)
        self._epochs.append(Epoch(number=number, rows_per_s=rows_per_s or None, losses=kept))
        if place.leads and (said := verdict.straggler(ranks)):
            logs.info(_logger, f"{self._unit} {number}: {said}")
        self._now = Tally()
        found = {
            "data_ms": now.data_ms(),
            "compute_ms": compute,
            "wait_ms": wait,
            "rows_per_s": now.rows_per_s(),
            "cpu": cpu,
            "rss_mb": usage.rss_mb(),
        }
        return {k: float(f"{v:.4g}") for k, v in found.items()}

    def baseline(self, rows_per_s_alone: float, rows_per_s_together: float) -> None:
        """Rows a second of one rank by itself, and of all ranks together; what was measured so far is forgotten."""
        size = self._peers.place.world_size
        self._scaling = Scaling(ranks=size, alone=float(rows_per_s_alone), together=float(rows_per_s_together))
        self._begin()

    def finish(self) -> Evidence | None:
        """What all ranks did, on rank 0; None on the others. Called by all, once, after the last step."""
        own, said = self._own()
        rows = self._peers.gather(np.array(own))
        if not self._peers.place.leads:
            return None
        ranks = tuple(of_row(k, row.tolist()) for k, row in enumerate(rows))
        if said and not self.gpu.there:
            ranks, said = against_the_greatest(ranks, threads=usage.threads())
        found = Evidence(
            ranks=ranks,
            rows=self._rows_total,
            evenness=evenness(ranks),
            scaling=self._scaling,
            peak=said,
            epochs=tuple(self._epochs),
            unit=self._unit,
        )
        return verdict.judged(found)

    def _own(self) -> tuple[list[float], str]:
        """This rank's figures for the other ranks, and what its FLOP/s are held against."""
        tally, gpu = self._all, self.gpu
        gpu.wait()
        cpu = tally.cpu_util()  # before the peak is measured, which uses some
        seconds = tally.seconds()
        memory = usage.peak_rss_mb()
        compute, wait, exchange = tally.sampled_ms()
        stepped = tally.steps > 0
        rows_per_s = tally.rows_per_s() if stepped and tally.rows else None
        flops = rows_per_s * self._flops_per_row if rows_per_s and self._flops_per_row else None
        most: tuple[float, str] | None = None
        if flops:
            most = peak.of_chip(gpu.name, self._precision) if gpu.there else peak.of_cores(usage.threads())
        sampled = bool(tally.samples)
        values = {
            "steps": float(tally.steps),
            "samples": float(len(tally.samples)),
            "data_ms": tally.data_ms() if stepped else None,
            "compute_ms": compute if stepped else None,
            "wait_ms": wait if sampled else None,
            "exchange_ms": exchange if sampled else None,
            "cpu_util": cpu,
            "cpu_peak": max(self._cpu_peak, cpu),
            "computing_cores": tally.computing_cores(),
            "cores": float(cores()),
            "gpu_util": gpu.utilization(),
            "peak_rss_mb": memory,
            "peak_gpu_mb": gpu.peak_mb() if gpu.there else None,
            "seconds": seconds,
            "rows_per_s": rows_per_s,
            "flops_per_s": flops,
            "mfu": flops / most[0] if flops and most and most[0] else None,
        }
        return to_row(values), most[1] if most else ""


def against_the_greatest(ranks: Sequence[RankEvidence], *, threads: int) -> tuple[tuple[RankEvidence, ...], str]:
    """The ranks with their MFU held against the greatest peak that one of them measured, and that peak in words.

    Cores are the same for all ranks, but whoever measures while another rank computes finds less.
    """
    most = max((r.flops_per_s / r.mfu for r in ranks if r.mfu and r.flops_per_s), default=0.0)
    if not most:
        return tuple(ranks), ""
    shared = (replace(r, mfu=r.flops_per_s / most if r.flops_per_s else None) for r in ranks)
    return tuple(shared), peak.of_cores_in_words(threads, most)


class _Step:
    """A step under way; a class of its own because a generator's context costs ten times as much."""

    def __init__(self, meter: Meter, rows: int, *, sampled: bool) -> None:
        self._meter, self._rows, self._sampled = meter, rows, sampled
        self._began = self._met = self._cpu = 0.0
        self._parts: tuple[float, float] | None = None

    def __enter__(self) -> Computed | None:
        if self._sampled:
            self._cpu = time.process_time()
        self._began = time.perf_counter()
        return self._computed if self._sampled else None

    def _computed(self) -> None:
        self._meter.gpu.wait()
        at = time.perf_counter()
        self._cpu = time.process_time() - self._cpu
        self._meter.meet()
        self._met = time.perf_counter()
        self._parts = at - self._began, self._met - at

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        sample, cpu_s = None, None
        if self._parts is not None:
            self._meter.gpu.wait()
            self._meter.gpu.sample()
            sample, cpu_s = (*self._parts, time.perf_counter() - self._met), self._cpu
        self._meter.took(time.perf_counter() - self._began, self._rows, sample, cpu_s)
