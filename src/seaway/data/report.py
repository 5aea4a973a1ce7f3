"""The data report: one HTML page about a table that was taken in, or refused.

In: the contract, the profile, warnings, violations, sizes. Out: a self-contained page.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import pairwise
from typing import Any

from seaway.errors import Violation
from seaway.model.contract import Contract
from seaway.observe.html import Section, bars, beside, facts, histogram, number, page, paragraph, table

MAX_CHARTS = 60
"""A page with a chart for each of a thousand columns opens no more."""


def accepted(
    *,
    contract: Contract,
    profile: dict[str, Any],
    warnings: Sequence[str],
    sizes: tuple[int, int, int],
    rows: int,
    source: str,
    how: str,
    scheduled_time: str = "",
) -> str:
    """The page about a table that keeps its contract.

    Args:
        contract: the contract, given or inferred.
        profile: what `seaway.data.profile.profile` returned.
        warnings: what a person should know.
        sizes: rows of train, validation and test.
        rows: rows of the table, also those without a target.
        source: the table's URI.
        how: how it was split, in words.
        scheduled_time: when the recurring run was due; empty for none.
    """
    goal = contract.target
    head = facts(
        [
            ("rows", rows),
            ("rows without target", rows - profile["rows"]),
            ("columns", len(contract.columns)),
            ("target", goal.name),
            ("task", goal.task),
            *([("scheduled for", scheduled_time)] if scheduled_time else []),
        ]
    )
    sections = [Section(title="Table", html=head)]
    sections.append(
        Section(title="Warnings", html=table(["warning"], [[w] for w in warnings]) if warnings else paragraph("None."))
    )
    sections.append(Section(title="Contract", html=paragraph("Every row keeps the contract.") + _contract(contract)))
    sections.append(Section(title="Split", html=bars(["train", "validation", "test"], sizes, unit="rows"), note=how))
    sections.append(Section(title=f"Target: {goal.name}", html=_target(profile["target"])))
    sections.append(Section(title="Columns", html=_numbers(profile["columns"])))
    shown = [_chart(c) for c in profile["columns"][:MAX_CHARTS]]
    note = f"The first {MAX_CHARTS} columns." if len(profile["columns"]) > MAX_CHARTS else ""
    sections.append(Section(title="Values", html=beside(*shown), note=note))
    return page("Data report", sections, subtitle=source)


def refused(*, contract: Contract, violations: Sequence[Violation], source: str) -> str:
    """The page about a table that breaks its contract."""
    rows = [[v.column, v.rule, v.found, v.rows, v.row] for v in violations]
    broken = table(["column", "must be", "first found", "rows", "first row"], rows)
    return page(
        "Data report: refused",
        [
            Section(
                title="Broken rules",
                html=broken,
                note="Rows count from 0. Nothing else was written: mend the table, or the contract if it is wrong.",
            ),
            Section(title="Contract", html=_contract(contract)),
        ],
        subtitle=source,
    )


def _contract(contract: Contract) -> str:
    rows = []
    for c in contract.columns:
        values = (
            None
            if c.values is None
            else ", ".join(str(v) for v in c.values[:8]) + (" ..." if len(c.values) > 8 else "")
        )
        rows.append([c.name, c.dtype, "yes" if c.nullable else "no", c.minimum, c.maximum, values])
    return table(["column", "dtype", "may be missing", "at least", "at most", "one of"], rows, numeric=(3, 4))


def _target(described: dict[str, Any]) -> str:
    if "balance" in described:
        balance = described["balance"]
        rows = [[str(b["class"]), b["rows"], f"{100 * b['share']:.1f} %"] for b in balance]
        return beside(
            table(["class", "rows", "share"], rows),
            bars([str(b["class"]) for b in balance], [b["rows"] for b in balance]),
        )
    return beside(_numbers([described]), _chart(described))


def _numbers(columns: Sequence[dict[str, Any]]) -> str:
    rows = []
    for c in columns:
        q = c.get("quantiles", {})
        distinct = c["distinct"] if c["exact_distinct"] else f"about {c['distinct']:,}"
        ends = [_plain(c.get("min")), *(q.get(k) for k in ("5", "50", "95")), _plain(c.get("max"))]
        rows.append([c["name"], c["dtype"], c["nulls"], distinct, c.get("mean"), c.get("std"), *ends])
    headers = ["column", "dtype", "missing", "distinct", "mean", "std", "min", "5 %", "50 %", "95 %", "max"]
    return table(headers, rows, numeric=range(2, len(headers)))


def _plain(value: Any) -> Any:
    return str(value)[:19] if isinstance(value, bool | str) else value


def _chart(column: dict[str, Any]) -> str:
    title = (
        f"<h3>{escape(column['name'])} ({column['dtype']})</h3>"
        f'<p class="note">{column["count"]:,} values, {column["nulls"]:,} missing</p>'
    )
    if "histogram" in column:
        edges, counts = column["histogram"]["edges"], column["histogram"]["counts"]
        spans = zip(pairwise(edges), counts, strict=True)
        if column["dtype"] == "timestamp":
            return title + table(["from", "to", "rows"], [[_day(a), _day(b), n] for (a, b), n in spans])
        return title + histogram(edges, counts)
    if column.get("top"):
        rows = [[_short(e["value"]), e["count"], f"{100 * e['count'] / column['count']:.1f} %"] for e in column["top"]]
        return title + table(["value", "rows", "share"], rows)
    return title + paragraph(f"about {number(column['distinct'])} different values")


def _day(microseconds: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat(" ", "minutes")[:16]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
