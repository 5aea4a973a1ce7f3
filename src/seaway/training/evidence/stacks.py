"""Bars of several parts, one a label, as inline SVG in the style of `seaway.observe.charts`.

In: labels and the sizes of each one's parts. Out: a string for `seaway.observe.html.Section`; the same input gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from seaway.observe.charts import SERIES, number, ticks

_LEFT, _RIGHT, _ROW, _THICK, _TOP, _WIDTH = 80, 110, 26, 16, 6, 900


def stacked(labels: Sequence[str], parts: Sequence[str], values: Sequence[Sequence[float]], *, unit: str) -> str:
    """Horizontal bars in the given order.

    Args:
        labels: one a bar.
        parts: names of the parts, from the left; for the legend.
        values: of each label one a part, none below 0.
        unit: of the values.
    """
    most = max((sum(row) for row in values), default=0.0)
    if most <= 0:
        return '<p class="none">nothing to show</p>'
    bottom = _TOP + _ROW * len(labels)
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    out = []
    for value in ticks(0.0, most):
        x = _LEFT + value * scale
        out.append(f'<line class="rule" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(number(value))}</text>')
    for k, (label, row) in enumerate(zip(labels, values, strict=True)):
        y, x = _TOP + k * _ROW + (_ROW - _THICK) / 2, float(_LEFT)
        out.append(f'<text x="{_LEFT - 8}" y="{y + 12:.1f}" text-anchor="end">{escape(label)}</text>')
        for j, (part, value) in enumerate(zip(parts, row, strict=True)):
            out.append(
                f'<rect class="f{j % SERIES}" x="{x:.1f}" y="{y:.1f}" width="{value * scale:.1f}" height="{_THICK}">'
                f"<title>{escape(label)}, {escape(part)}: {escape(number(value))} {escape(unit)}</title></rect>"
            )
            x += value * scale
        total = f"{escape(number(sum(row)))} {escape(unit)}"
        out.append(f'<text class="strong" x="{x + 8:.1f}" y="{y + 12:.1f}">{total}</text>')
    out.append(f'<line class="axis" x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{bottom}"/>')
    height = bottom + 24
    drawing = (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(", ".join(parts))} in {escape(unit)}">{"".join(out)}</svg>'
    )
    return f'<div class="chart">{_legend(parts)}{drawing}</div>'


def _legend(parts: Sequence[str]) -> str:
    items = "".join(
        '<span><svg width="12" height="12" aria-hidden="true">'
        f'<rect class="f{k % SERIES}" width="12" height="12"/></svg>{escape(part)}</span>'
        for k, part in enumerate(parts)
    )
    return f'<div class="legend">{items}</div>'
