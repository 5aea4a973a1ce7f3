"""A training's evidence as one HTML page that people read.

In: `Evidence`. Out: HTML (`seaway.observe.html`), and the files of a package's folder ``reports``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from seaway.observe import html as pages
from seaway.training.evidence.evidence import Epoch, Evidence, RankEvidence, Recommendation, Scaling
from seaway.training.evidence.stacks import stacked

DATA, PAGE = "training.json", "training.html"
"""Names of the files."""
_DRAWN = 32
"""Ranks in the chart, the busiest ones; the table has all."""
_LOSSES = {"loss": "training", "validation_loss": "validation"}
_PARTS = ("data", "compute", "wait for the slowest rank", "exchange and update")


def reports(evidence: Evidence) -> dict[str, str]:
    """Texts by file name."""
    text = json.dumps(evidence.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    return {DATA: text + "\n", PAGE: html(evidence)}


def html(evidence: Evidence, *, title: str = "Training") -> str:
    """The page."""
    count = len(evidence.ranks)
    return pages.page(
        title,
        list(_sections(evidence)),
        subtitle=f"how busy {f'its {count} ranks were, and how evenly' if count > 1 else 'it was'}",
    )


def _sections(evidence: Evidence) -> Iterator[pages.Section]:
    yield pages.Section("Verdict", _verdict(evidence))
    if any(r.steps for r in evidence.ranks):
        yield pages.Section("Where a step's time goes", _shares(evidence.ranks), _how_sampled(evidence.ranks))
    yield pages.Section("Ranks", _ranks(evidence), _peak(evidence))
    if evidence.epochs:
        yield pages.Section(f"{evidence.unit.capitalize()}s", pages.beside(*_curves(evidence.epochs, evidence.unit)))
    if evidence.scaling is not None and evidence.scaling.ranks > 1:
        yield pages.Section(
            "Scaling",
            _scaling(evidence.scaling),
            "Measured before the training: rank 0 by itself, then all ranks together.",
        )
    if evidence.recommendation is not None:
        yield pages.Section(
            "Next run", _next(evidence.recommendation), "What a replica used, with headroom; the rules are below."
        )


def _verdict(evidence: Evidence) -> str:
    ranks = evidence.ranks
    figures = evidence.figures()
    cards: list[tuple[str, Any]] = [("ranks", len(ranks))]
    if evidence.rows:
        cards.append(("training rows", evidence.rows))
    for name, shown in (("evenness", "evenness"), ("scaling_efficiency", "scaling efficiency")):
        if name in figures and len(ranks) > 1:
            cards.append((shown, f"{figures[name]:.2f}"))
    if (rate := evidence.rows_per_s) is not None:
        cards.append(("rows per second", round(rate)))
    cards.append(("cores used by a rank", f"{figures['cpu_util']:.2f} of {ranks[0].cores}"))
    cards.append(("memory of a rank, peak", f"{figures['peak_rss_mb']:,.0f} MiB"))
    if "gpu_util" in figures:
        cards.append(("GPU use", f"{figures['gpu_util']:.0%}"))
    if "mfu" in figures:
        cards.append(("MFU", f"{figures['mfu']:.1%}"))
    return "".join(pages.paragraph(f"{v[:1].upper()}{v[1:]}.") for v in evidence.verdict) + pages.facts(cards)


def _shares(ranks: tuple[RankEvidence, ...]) -> str:
    shown = sorted(ranks, key=lambda r: -(r.busy_ms or 0.0))[:_DRAWN]
    shown.sort(key=lambda r: r.rank)
    values = [[v or 0.0 for v in (r.data_ms, r.compute_ms, r.wait_ms, r.exchange_ms)] for r in shown]
    parts: tuple[str, ...] = _PARTS
    if not any(r.samples for r in ranks):
        values, parts = [row[:2] for row in values], ("data", "step")
    drawn = stacked([f"rank {r.rank}" for r in shown], parts, values, unit="ms")
    if len(shown) < len(ranks):
        drawn += pages.paragraph(f"The {len(shown)} busiest of {len(ranks)} ranks.")
    return drawn


def _how_sampled(ranks: tuple[RankEvidence, ...]) -> str:
    samples = ranks[0].samples
    if not samples:
        return "Mean of all steps; how long a rank waits for others within them was not measured."
    return (
        f"Data is the mean of {ranks[0].steps:,} steps. In {samples:,} of them computing was told from waiting for the "
        "slowest rank: the other parts are the medians of these. A step takes all ranks equally long; the slow one is "
        "the one that does not wait."
    )


def _ranks(evidence: Evidence) -> str:
    columns: list[tuple[str, list[Any]]] = [("rank", [str(r.rank) for r in evidence.ranks])]
    for name, of in _COLUMNS:
        values = [of(r) for r in evidence.ranks]
        if any(v is not None for v in values):
            columns.append((name, values))
    rows = zip(*(values for _, values in columns), strict=True)
    return pages.table([name for name, _ in columns], list(rows), numeric=range(1, len(columns)))


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}" if value < 100 else f"{value:,.0f}"


_COLUMNS: tuple[tuple[str, Callable[[RankEvidence], Any]], ...] = (
    ("data ms", lambda r: _ms(r.data_ms)),
    ("compute ms", lambda r: _ms(r.compute_ms)),
    ("wait ms", lambda r: _ms(r.wait_ms)),
    ("exchange ms", lambda r: _ms(r.exchange_ms)),
    ("busy ms", lambda r: _ms(r.busy_ms)),
    ("rows/s", lambda r: None if r.rows_per_s is None else round(r.rows_per_s)),
    ("cores used", lambda r: f"{r.cpu_util:.2f} of {r.cores}"),
    ("memory MiB", lambda r: round(r.peak_rss_mb)),
    ("GPU use", lambda r: None if r.gpu_util is None else f"{r.gpu_util:.0%}"),
    ("GPU memory MiB", lambda r: None if r.peak_gpu_mb is None else round(r.peak_gpu_mb)),
    ("GFLOP/s", lambda r: None if r.flops_per_s is None else f"{r.flops_per_s / 1e9:,.1f}"),
    ("MFU", lambda r: None if r.mfu is None else f"{r.mfu:.1%}"),
    ("seconds", lambda r: f"{r.seconds:,.1f}"),
)


def _peak(evidence: Evidence) -> str:
    if not evidence.peak:
        return ""
    return f"MFU, model FLOPs utilization, is the model's operations a second as a share of {evidence.peak}."


def _curves(epochs: tuple[Epoch, ...], unit: str) -> Iterator[str]:
    names = sorted({name for e in epochs for name in e.losses})
    dots = len(epochs) <= 40
    if names:
        series = {}
        for name in names:
            known = [e for e in epochs if name in e.losses]
            series[_LOSSES.get(name, name)] = ([e.number for e in known], [e.losses[name] for e in known])
        drawn = pages.lines(series, x_label=unit, y_label="mean loss", markers=dots, size=(480, 280))
        yield pages.titled("Losses", drawn)
    timed = [(e.number, e.rows_per_s / 1000) for e in epochs if e.rows_per_s is not None]
    if timed:
        numbers, rates = zip(*timed, strict=True)
        drawn = pages.lines(
            {"all ranks": (numbers, rates)},
            x_label=unit,
            y_label="1,000 rows per second",
            markers=dots,
            y_range=(0.0, 1.1 * max(rates)),
            size=(480, 280),
        )
        yield pages.titled("Speed", drawn)


def _scaling(scaling: Scaling) -> str:
    count = scaling.ranks
    labels = ["one rank by itself", f"{count} ranks", f"{count} ranks, each like one by itself"]
    return pages.bars(
        labels, [round(scaling.alone), round(scaling.together), round(count * scaling.alone)], unit="rows/s"
    )


def _next(advice: Recommendation) -> str:
    yaml = (
        f"resources:\n  requests:\n    cpu: {advice.cpu}\n    memory: {advice.memory}\n"
        f"  limits:\n    memory: {advice.memory}\n"
    )
    given = f"--param cpu={advice.cpu} --param memory={advice.memory} --param replicas={advice.replicas}\n"
    return pages.beside(
        pages.titled("Of a replica, in a job's manifest", f"<pre>{escape(yaml)}</pre>"),
        pages.titled(
            "As parameters of the train component", f"<pre>{escape(given.replace(' --', chr(10) + '--'))}</pre>"
        ),
    ) + "".join(pages.paragraph(f"{b[:1].upper()}{b[1:]}.") for b in advice.because)
