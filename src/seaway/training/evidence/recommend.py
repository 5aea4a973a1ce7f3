"""What a replica of the next such training should request, from what this one used.

In: `Evidence`. Out: a `Recommendation`: the greatest measured use of all ranks, with headroom, and as many replicas as
pay. Nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from seaway.training.evidence.evidence import Evidence, RankEvidence, Recommendation, Scaling

HEADROOM = 1.25
"""Of the greatest use: the next run's rows and the node's neighbours are not the same."""
CORE_STEP = 0.25
"""Cores are recommended in quarters: finer than that no two runs agree."""
MEMORY_STEP_MB = 64
"""Memory in steps that people read at a glance."""
FULL_SHARE = 0.9
"""Of its cores: a rank that uses more waits for them."""
HALF = 0.5
"""Scaling efficiency below which half of the machines is lost."""
LEAST_CORE = 0.1
"""Of a core: a rank that got less was rather asleep than starved."""
NO_GAIN = 1.1
"""Ranks that together are less than this times as fast as one are not worth their start."""


def recommend(evidence: Evidence) -> Recommendation:
    """Requests of a replica and how many of them."""
    cpu, cpu_rule = _cpu(evidence)
    peak = max(r.peak_rss_mb for r in evidence.ranks)
    memory = math.ceil(peak * HEADROOM / MEMORY_STEP_MB) * MEMORY_STEP_MB
    replicas, replicas_rule = _replicas(len(evidence.ranks), evidence.scaling)
    extra = f"{HEADROOM - 1:.0%}"
    return Recommendation(
        cpu=cpu,
        memory=f"{memory}Mi",
        replicas=replicas,
        because=(
            cpu_rule,
            f"memory: the greatest rank's peak of {peak:,.0f} MiB and {extra}, in steps of {MEMORY_STEP_MB} MiB",
            replicas_rule,
        ),
    )


def wanted_cores(ranks: Sequence[RankEvidence]) -> float:
    """Cores of a replica: of the busiest rank's busiest epoch and headroom, no more than there were.

    That more would be used cannot be concluded from the use of all there were.
    """
    found = 0.0
    for rank in ranks:
        full = rank.cpu_util >= FULL_SHARE * rank.cores
        wanted = math.ceil(_used(rank) * HEADROOM / CORE_STEP - 1e-9) * CORE_STEP
        found = max(found, rank.cores if full else min(rank.cores, max(CORE_STEP, wanted)))
    return found


def _used(rank: RankEvidence) -> float:
    """Cores in use at most; of a rank that had too little of a core, what it would have used of a whole one."""
    used = max(rank.cpu_peak, rank.cpu_util)
    return used / max(rank.computing_cores or 1.0, LEAST_CORE) if rank.starved else used


def _cpu(evidence: Evidence) -> tuple[str, str]:
    most = max(evidence.ranks, key=_used)
    if most.cpu_util >= FULL_SHARE * most.cores:
        rule = f"CPU: a rank used all of its {most.cores} cores, fewer would slow it down"
    else:
        used = f"{_used(most):.2f} cores {'would have been' if most.starved else 'were'} in use"
        rule = (
            f"CPU: {used} in the busiest rank's busiest {evidence.unit}, and {HEADROOM - 1:.0%}, in steps of "
            f"{CORE_STEP:g}, at most the {most.cores} there were"
        )
    return _quantity(wanted_cores(evidence.ranks)), rule


def _quantity(cores: float) -> str:
    """As Kubernetes writes cores."""
    return f"{cores:.0f}" if cores == int(cores) else f"{round(1000 * cores)}m"


def _replicas(ranks: int, scaling: Scaling | None) -> tuple[int, str]:
    """As many as still are half as efficient as one by itself.

    By Amdahl's law: with the share f of the work that is not divided, S = N / (1 + f (N - 1)) for N ranks, and so the
    efficiency S / N is one half at N = 1 + 1 / f.
    """
    if scaling is None or scaling.ranks < 2 or scaling.speedup <= 0:
        said = "as many as there were" + ("" if ranks < 2 else ", measure_scaling tells whether they pay")
        return ranks, f"replicas: {said}"
    if scaling.speedup < NO_GAIN:
        return 1, f"replicas: {scaling.ranks} ranks were {scaling.speedup:.2f} times as fast as one"
    if scaling.efficiency >= HALF:
        return ranks, f"replicas: as many as there were, {scaling.efficiency:.0%} of each was of use"
    undivided = (scaling.ranks / scaling.speedup - 1) / (scaling.ranks - 1)
    most = max(1, min(ranks, math.floor(1 + 1 / undivided)))
    return most, f"replicas: by Amdahl's law {most} of them are at least half as efficient each as one by itself"
