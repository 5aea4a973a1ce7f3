"""What a rank measured in a stretch of its training: an epoch, or the whole of it.

In: seconds of steps and of waits. Out: figures of a step.
"""

from __future__ import annotations

import time
from statistics import median


class Tally:
    """Sums since it was begun."""

    def __init__(self) -> None:
        self.began, self.cpu = time.perf_counter(), time.process_time()
        self.steps = self.rows = 0
        self.data_s = self.steps_s = self.loop_s = 0.0
        self.computing_s = self.computing_cpu_s = 0.0
        self.samples: list[tuple[float, float, float]] = []
        """Seconds of compute, wait, exchange of each sampled step."""

    def seconds(self) -> float:
        """Since it was begun."""
        return time.perf_counter() - self.began

    def cpu_util(self) -> float:
        """Cores in use."""
        return (time.process_time() - self.cpu) / max(self.seconds(), 1e-9)

    def computing_cores(self) -> float | None:
        """Cores in use while it computed: of all samples together, for the clock of CPU time may be a coarse one."""
        return self.computing_cpu_s / self.computing_s if self.computing_s > 0 else None

    def data_ms(self) -> float:
        """Of a step: the mean, for batches may come many at once."""
        return 1000 * self.data_s / self.steps if self.steps else 0.0

    def sampled_ms(self) -> tuple[float, float, float]:
        """Compute, wait, exchange: medians, which a moment that somebody else had the core does not move."""
        if not self.samples:
            return (1000 * self.steps_s / self.steps if self.steps else 0.0), 0.0, 0.0
        compute, wait, exchange = (1000 * median(column) for column in zip(*self.samples, strict=True))
        return compute, wait, exchange

    def rows_per_s(self) -> float:
        """Of this rank, while it went through batches."""
        spent = self.loop_s or self.steps_s
        return self.rows / spent if spent > 0 else 0.0
