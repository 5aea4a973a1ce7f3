"""The HTML report of `featurize`: what became of every column, and which categories were kept."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seaway.features.fitted import Fitted
from seaway.features.fitted_plan import FittedPlan
from seaway.model.contract import Contract
from seaway.observe.html import Section, page, table

SHOWN = 20
"""Categories listed for each column; the rest is counted."""


def html(fitted: FittedPlan, contract: Contract, rows: Sequence[tuple[str, int, float]]) -> str:
    """The page.

    Args:
        fitted: the plan with its statistics.
        contract: the raw columns.
        rows: name of a split, its rows, the seconds its transform took.
    """
    unused = [c for c in contract.columns if c.name not in fitted.plan.columns]
    sections = [
        Section(
            title="Rows",
            html=table(
                ["split", "rows", "seconds", "rows per second"],
                [(name, n, round(s, 2), round(n / s) if s else None) for name, n, s in rows],
            ),
        ),
        Section(
            title=f"{len(fitted.features)} transforms of {len(fitted.plan.columns)} columns",
            html=table(
                ["column", "dtype", "transform", "options", "missing in training", "statistics"],
                [
                    (
                        f.column,
                        f.dtype,
                        f.feature.transform,
                        _options(f),
                        f"{f.missing / fitted.rows:.2%}",
                        _learnt(f),
                    )
                    for f in fitted.features
                ],
            ),
            note=f"They become {len(fitted.feature_names)} float32 columns; all statistics are of training rows.",
        ),
    ]
    if kept := [f for f in fitted.features if f.categories]:
        sections.append(
            Section(
                title="Categories kept",
                html=table(
                    ["column", "transform", "kept", "share of rows", "most frequent first"],
                    [
                        (
                            f.column,
                            f.feature.transform,
                            len(f.categories),
                            f"{sum(f.counts) / fitted.rows:.1%}",
                            _shown(f),
                        )
                        for f in kept
                    ],
                ),
                note="Every other value counts as unknown.",
            )
        )
    if unused:
        sections.append(
            Section(
                title="Columns not used",
                html=table(["column", "dtype"], [(c.name, c.dtype) for c in unused]),
                note="Constant, a name of the row, or left out of the plan by hand. They are no inputs of the graph.",
            )
        )
    names = [(k, name) for k, name in enumerate(fitted.feature_names)]
    sections.append(Section(title="Columns of the feature matrix", html=table(["index", "name"], names)))
    return page("Features", sections)


def _options(f: Fitted) -> str:
    options = {k: v for k, v in f.feature.to_dict().items() if k not in ("column", "transform")}
    return ", ".join(
        f"{k} {v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)}" for k, v in options.items()
    )


def _learnt(f: Fitted) -> str:
    found = []
    if f.fill is not None:
        found.append(f"missing becomes {f.fill:.6g}")
    if f.offset != 0 or f.scale != 1:
        found.append(f"minus {f.offset:.6g}, divided by {f.scale:.6g}")
    if f.edges:
        found.append(f"edges {', '.join(f'{e:.6g}' for e in f.edges[:SHOWN])}{' ...' if len(f.edges) > SHOWN else ''}")
    return "; ".join(found)


def _shown(f: Fitted) -> str:
    shown = ", ".join(f"{v} ({n:,})" for v, n in zip(f.categories[:SHOWN], f.counts, strict=False))
    more = len(f.categories) - SHOWN
    return shown + (f", and {more:,} more" if more > 0 else "")
