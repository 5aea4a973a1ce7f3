"""Small charts as inline SVG or HTML, coloured by the page's CSS variables so that light, dark and print agree.

In: plain sequences of numbers. Out: a string for `seaway.observe.html.Section`. The same input gives the same bytes:
no random ids, coordinates with one decimal. Series differ in dash as well as in colour (Okabe and Ito's palette, which
colour-blind readers tell apart).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

SERIES = 6
"""How many colours the style sheet has; further series repeat them with another dash."""
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "4 2")
TINY, HUGE = 1e-150, 1e150
"""Between these sizes differences and quotients of doubles neither vanish nor overflow."""

Points = tuple[Sequence[float], Sequence[float]]


def number(value: float | int | str | bool | None) -> str:
    """A value as people read it: thousands separators, four significant digits; None is a dash.

    Not escaped: what comes from data must still go through ``html.escape``.
    """
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e15 or size < 1e-3:
        return f"{value:.3g}"
    decimals = max(0, 3 - math.floor(math.log10(size)))
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text and value == int(value) else text


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """About ``count`` round numbers from ``low`` to ``high``, both finite and ``low < high``."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _tick(value: float) -> str:
    return f"{value:,.12g}" if 1e-4 <= abs(value) < 1e7 or value == 0 else f"{value:.3g}"


def _empty(what: str) -> str:
    return f'<p class="none">{escape(what)}</p>'


def _finite(values: Sequence[float | int | None]) -> list[float]:
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def bars(labels: Sequence[str], values: Sequence[float | int | None], *, unit: str = "") -> str:
    """Horizontal bars in the given order, one row a label; a negative value's bar has its size, and another colour."""
    if not labels:
        return _empty("nothing to show")
    largest = max((abs(v) for v in _finite(values)), default=0.0) or 1.0
    suffix = f" {escape(unit)}" if unit else ""
    rows = []
    for label, value in zip(labels, values, strict=True):
        known = value is not None and math.isfinite(value)
        width = 100 * abs(float(value)) / largest if known and value is not None else 0.0
        sign = " minus" if known and value is not None and value < 0 else ""
        rows.append(
            f'<div class="bar"><span class="label">{escape(str(label))}</span>'
            f'<span class="track"><span class="fill{sign}" style="width:{width:.1f}%"></span></span>'
            f'<span class="value">{escape(number(value))}{suffix}</span></div>'
        )
    return f'<div class="bars">{"".join(rows)}</div>'


def histogram(
    edges: Sequence[float],
    counts: Sequence[float | int],
    *,
    x_label: str = "",
    series: int = 0,
    size: tuple[int, int] = (300, 120),
) -> str:
    """Counts between ``edges`` (one more than counts): drawn at their edges, first and last edge named below.

    ``series`` chooses the colour, as the n-th line of `lines` has it; ``size`` is in pixels.
    """
    if not counts or len(edges) != len(counts) + 1 or not TINY < edges[-1] - edges[0] < HUGE or max(counts) <= 0:
        return _empty("no values to count")
    width, height = size
    left, right, top, bottom = 4, width - 4, 16, height - (34 if x_label else 20)
    span, tallest = edges[-1] - edges[0], max(counts)
    out = []
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        x = left + (low - edges[0]) / span * (right - left)
        w = max(0.5, (high - low) / span * (right - left) - 1)
        h = count / tallest * (bottom - top)
        out.append(
            f'<rect class="f{series % SERIES}" x="{x:.1f}" y="{bottom - h:.1f}" width="{w:.1f}" height="{h:.1f}">'
            f"<title>{_tick(low)} to {_tick(high)}: {number(count)}</title></rect>"
        )
    axis = f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
    texts = (
        f'<text x="{left}" y="{bottom + 13}">{escape(number(edges[0]))}</text>'
        f'<text x="{right}" y="{bottom + 13}" text-anchor="end">{escape(number(edges[-1]))}</text>'
        f'<text x="{left}" y="{top - 5}">highest {number(tallest)}</text>'
    )
    if x_label:
        texts += f'<text x="{(left + right) / 2:.1f}" y="{height - 6}" text-anchor="middle">{escape(x_label)}</text>'
    return _svg(size, f"histogram of {x_label or 'values'}", "".join(out) + axis + texts)


def lines(
    series: Mapping[str, Points],
    *,
    x_label: str,
    y_label: str,
    diagonal: bool = False,
    markers: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    size: tuple[int, int] = (480, 360),
) -> str:
    """Lines through points, with axes, round ticks and a legend; points that are not finite are left out.

    Args:
        series: name of a line to its xs and ys, of equal length.
        x_label: what x is.
        y_label: what y is.
        diagonal: draw y = x, faint.
        markers: draw a dot at every point.
        x_range: ends of the axis, from the points if not given.
        y_range: ends of the axis, from the points if not given.
        size: width and height in pixels.
    """
    kept: dict[str, list[tuple[float, float]]] = {}
    for name, (xs, ys) in series.items():
        pairs = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
        kept[name] = [(x, y) for x, y in pairs if abs(x) < HUGE and abs(y) < HUGE]
    every = [p for points in kept.values() for p in points]
    if not every:
        return _empty("no points to draw")
    x0, x1 = x_range or _padded([p[0] for p in every])
    y0, y1 = y_range or _padded([p[1] for p in every])
    width, height = size
    left, right, top, bottom = 58, width - 14, 12, height - 46

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

    out = []
    for value in ticks(x0, x1):
        x, _ = at(value, y0)
        out.append(f'<line class="rule" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_tick(value)}</text>')
    for value in ticks(y0, y1):
        _, y = at(x0, value)
        out.append(f'<line class="rule" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        out.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{_tick(value)}</text>')
    out.append(f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>')
    if diagonal and max(x0, y0) < min(x1, y1):
        (ax, ay), (bx, by) = at(max(x0, y0), max(x0, y0)), at(min(x1, y1), min(x1, y1))
        out.append(f'<line class="diagonal" x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by:.1f}"/>')
    for k, points in enumerate(kept.values()):
        spots = [at(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        out.append(f'<polyline class="s{k % SERIES}" stroke-dasharray="{_dash(k)}" points="{path}"/>')
        if markers:
            out.extend(f'<circle class="f{k % SERIES}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in spots)
    middle = (top + bottom) / 2
    out.append(f'<text x="{(left + right) / 2:.1f}" y="{height - 10}" text-anchor="middle">{escape(x_label)}</text>')
    out.append(
        f'<text x="14" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 14 {middle:.1f})">'
        f"{escape(y_label)}</text>"
    )
    drawing = _svg(size, f"{y_label} over {x_label}: {', '.join(kept)}", "".join(out))
    return f'<div class="chart">{_legend(list(kept))}{drawing}</div>'


def heatmap(row_labels: Sequence[str], column_labels: Sequence[str], values: Sequence[Sequence[float | int]]) -> str:
    """A table whose cells are shaded by their share of their row, as a confusion matrix is read."""
    if not row_labels or not column_labels:
        return _empty("nothing to show")
    head = "".join(f'<th scope="col">{escape(str(c))}</th>' for c in column_labels)
    body = []
    for label, row in zip(row_labels, values, strict=True):
        total = sum(row)
        cells = []
        for value, _ in zip(row, column_labels, strict=True):
            share = value / total if total > 0 else 0.0
            text = f"<b>{escape(number(value))}</b> <small>{100 * share:.1f} %</small>"
            cells.append(f'<td style="--share:{share:.3f}">{text}</td>')
        body.append(f'<tr><th scope="row">{escape(str(label))}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="wide"><table class="heat"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _dash(k: int) -> str:
    return DASHES[(k + k // SERIES) % len(DASHES)] or "none"


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        '<span><svg width="26" height="10" aria-hidden="true">'
        f'<line class="s{k % SERIES}" x1="0" y1="5" x2="26" y2="5" stroke-dasharray="{_dash(k)}"/></svg>'
        f"{escape(name)}</span>"
        for k, name in enumerate(names)
    )
    return f'<div class="legend">{items}</div>'


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high)) or high - low < TINY:
        pad = max(abs(low) * 0.05, 0.5 if low == 0 else TINY)
        return low - pad, high + pad
    pad = (high - low) * 0.03
    return low - pad, high + pad


def _svg(size: tuple[int, int], label: str, inner: str) -> str:
    width, height = size
    return (
        f'<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}">{inner}</svg>'
    )
