"""What the figures of a training mean, in plain words: which rank keeps the others waiting, and what to do about it.

In: `Evidence`. Out: sentences. Nothing is measured here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from statistics import median

from seaway.training.evidence.evidence import Evidence, RankEvidence
from seaway.training.evidence.recommend import FULL_SHARE, HALF, recommend, wanted_cores

EVEN = 0.9
"""Ranks at least this even are alike: below, every tenth machine or more is paid for waiting."""
STRAGGLES_MS = 0.5
"""A rank that is slower by less a step is not named: schedulers and clocks differ by as much."""
OWN_WAIT = 0.5
"""Of what the others wait: a rank that waits longer itself is not the one that all wait for."""
WAIT_SHARE = 0.15
"""Of a step: from here on, that all ranks wait for each other deserves a word."""
DATA_SHARE = 0.2
"""Of a step: from here on, loading deserves a word; overlapped well it is next to nothing."""
EXCHANGE_SHARE = 0.5
"""Of a step: where ranks spend more than half of it on each other, they cost more than they compute."""
POOR = 0.7
"""Scaling efficiency below which a third of the machines is lost."""
SPARE = 0.75
"""Of its cores: where a rank needs fewer, headroom included, it has some to spare."""
GPU_IDLE = 0.5
"""A GPU that works less than half of the time waits for its host."""


def judged(evidence: Evidence) -> Evidence:
    """The evidence with its verdict and a recommendation."""
    return dataclasses.replace(evidence, verdict=verdict(evidence), recommendation=recommend(evidence))


def verdict(evidence: Evidence) -> tuple[str, ...]:
    """Sentences for people, the most telling first; at least one."""
    return tuple(_sentences(evidence))


def straggler(ranks: Sequence[RankEvidence]) -> str:
    """Which rank keeps the others waiting, whether by its data or by its computing, and what to do.

    Args:
        ranks: of one epoch or of a whole training.

    Returns:
        A sentence; empty where all ranks are alike, or busy could not be told from waiting.
    """
    slow = _slowest(ranks)
    if slow is None:
        return ""
    others = [r for r in ranks if r is not slow]
    data = (slow.data_ms or 0.0) - median(r.data_ms or 0.0 for r in others)
    compute = (slow.compute_ms or 0.0) - median(r.compute_ms or 0.0 for r in others)
    waits = f"the others wait {_ms(median(r.wait_ms or 0.0 for r in others))} a step for it"
    if data > compute:
        return (
            f"rank {slow.rank} waits for data {slow.data_share:.0%} of the time, {_ms(data)} a step more than the "
            f"others, and {waits}: more loader workers or faster storage"
        )
    return (
        f"rank {slow.rank} computes {_ms(compute)} a step longer than the others, and {waits}: look at that replica's "
        "node (CPU limit, other work)"
    )


def _slowest(ranks: Sequence[RankEvidence]) -> RankEvidence | None:
    """The rank with the longest busy time, where that sets it apart."""
    busy = {r.rank: r.busy_ms for r in ranks if r.samples and r.busy_ms is not None}
    if len(busy) < len(ranks) or len(busy) < 2:
        return None
    slow = max(ranks, key=lambda r: busy[r.rank])
    least = min(busy.values())
    if least >= EVEN * busy[slow.rank]:
        return None
    # one rank may be fast and the others alike: the slowest is only a straggler where the middle is faster than it
    others = [r for r in ranks if r is not slow]
    apart = busy[slow.rank] - median(busy[r.rank] for r in others)
    # where it waits as well, ranks are slow by turns
    alone = (slow.wait_ms or 0.0) <= OWN_WAIT * median(r.wait_ms or 0.0 for r in others)
    return slow if alone and apart >= STRAGGLES_MS and apart >= (1 - EVEN) * busy[slow.rank] else None


def _sentences(evidence: Evidence) -> Iterator[str]:
    ranks, even = evidence.ranks, evidence.evenness
    if found := straggler(ranks):
        yield found
    elif len(ranks) > 1 and even is not None:
        word = "are busy alike" if even >= EVEN else "are busy unevenly, though none of them stands out"
        yield f"all ranks {word} (evenness {even:.2f})"
    elif len(ranks) > 1:
        yield "whether the ranks are even is not known: no step was sampled"
    if not found and (share := min(_share(r, r.wait_ms) for r in ranks)) >= WAIT_SHARE:
        yield (
            f"the ranks wait for each other by turns, {share:.0%} of the time and more: steps that are uneven by "
            "chance, or cores that other work takes for moments"
        )
    if not found and (share := median(r.data_share for r in ranks)) >= DATA_SHARE:
        yield f"{_every(ranks)} for data {share:.0%} of the time: more loader workers or faster storage"
    if len(ranks) > 1 and (share := median(_share(r, r.exchange_ms) for r in ranks)) >= EXCHANGE_SHARE:
        yield (
            f"the ranks spend {share:.0%} of a step on exchanging gradients and updating: larger batches, a faster "
            "network or fewer ranks"
        )
    yield from _scaling(evidence)
    yield from _gpus(ranks)
    if starved := [r for r in ranks if r.starved]:
        least = min(starved, key=lambda r: r.computing_cores or 0.0)
        yield (
            f"rank {least.rank} has {least.computing_cores:.2f} of a core while it computes: its CPU limit is too low, "
            "or other work takes the cores"
        )
    yield _cores(ranks)


def _every(ranks: Sequence[RankEvidence]) -> str:
    return "all ranks wait" if len(ranks) > 1 else "the training waits"


def _share(rank: RankEvidence, part_ms: float | None) -> float:
    step = rank.step_ms
    return (part_ms or 0.0) / step if step else 0.0


def _scaling(evidence: Evidence) -> Iterator[str]:
    scaling = evidence.scaling
    if scaling is None or scaling.ranks < 2:
        return
    word = "adding ranks pays" if scaling.efficiency >= POOR else "adding ranks gains less than it costs"
    if scaling.efficiency < HALF:
        word = "adding ranks gains little"
    yield (
        f"{word}: efficiency {scaling.efficiency:.2f}, {scaling.ranks} ranks do {scaling.together:,.0f} rows a second "
        f"and one by itself {scaling.alone:,.0f}"
    )


def _gpus(ranks: Sequence[RankEvidence]) -> Iterator[str]:
    known = [(r.gpu_util, r.rank) for r in ranks if r.gpu_util is not None]
    if known and min(known)[0] < GPU_IDLE:
        share, rank = min(known)
        yield f"the GPU of rank {rank} works {share:.0%} of the time: larger batches, or data that comes faster"


def _cores(ranks: Sequence[RankEvidence]) -> str:
    most = max(ranks, key=lambda r: r.cpu_util / max(r.cores, 1))
    who = "the ranks use" if len(ranks) > 1 else "the training uses"
    used, cores = most.cpu_util, most.cores
    said = f"{who} {'up to ' if len(ranks) > 1 else ''}{used:.1f} of {cores} core{'s' if cores > 1 else ''}"
    if used >= FULL_SHARE * cores:
        return f"{said}: all there is, more may make it faster"
    if any(r.starved for r in ranks):
        return f"{said}, and would use more"
    enough = wanted_cores(ranks)
    if enough <= SPARE * cores:
        return f"{said}: {'one core is' if enough == 1 else f'{enough:g} cores are'} enough"
    return said


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
