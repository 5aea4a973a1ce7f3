"""One self-contained HTML page: what a step reports, as the pipelines UI shows it in a sandboxed frame.

In: titles, tables of values and the charts of `seaway.observe.charts`. Out: a string that needs no script, no network
and no other file, reads in light and dark and on paper, and is the same bytes for the same input. Everything but
``Section.html`` is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from seaway.observe.charts import bars, heatmap, histogram, lines, number

__all__ = [
    "Section",
    "bars",
    "beside",
    "facts",
    "heatmap",
    "histogram",
    "lines",
    "number",
    "page",
    "paragraph",
    "table",
    "titled",
]


@dataclass(frozen=True)
class Section:
    """One part of a page."""

    title: str
    html: str
    """From this module's functions; not escaped again."""
    note: str = ""
    """A sentence under the title: how to read it."""


def page(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """The whole document."""
    parts = []
    for section in sections:
        note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
        parts.append(f"<section><h2>{escape(section.title)}</h2>{note}{section.html}</section>")
    under = f"<p>{escape(subtitle)}</p>" if subtitle else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # a value of the data that slipped through unescaped still could not run or fetch anything
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main><header><h1>{escape(title)}</h1>{under}</header>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, numeric: Sequence[int] | None = None) -> str:
    """A table; numbers get thousands separators, None is a dash, everything is escaped.

    Args:
        headers: one a column.
        rows: cells: str, int, float, bool or None; anything else by ``str``.
        numeric: indices of the columns to align right; those that hold only numbers if not given.
    """
    body = [list(r) for r in rows]
    if not body:
        return '<p class="none">no rows</p>'
    if numeric is None:
        numeric = [k for k in range(len(headers)) if _is_numeric([r[k] for r in body])]
    right = [' class="n"' if k in numeric else "" for k in range(len(headers))]
    head = "".join(f'<th scope="col"{c}>{escape(str(h))}</th>' for h, c in zip(headers, right, strict=True))
    lines_ = "".join(
        "<tr>" + "".join(f"<td{c}>{_cell(v)}</td>" for v, c in zip(r, right, strict=True)) + "</tr>" for r in body
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines_}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, Any]]) -> str:
    """Names and values as a row of cards; values as in `table`."""
    cards = "".join(f"<div><dt>{escape(str(k))}</dt><dd>{_cell(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="facts">{cards}</dl>'


def beside(*parts: str) -> str:
    """Charts or tables side by side where there is room for them, else one under the other."""
    return '<div class="beside">' + "".join(f"<div>{p}</div>" for p in parts) + "</div>"


def titled(title: str, html: str) -> str:
    """A chart or table under a small title."""
    return f"<h3>{escape(title)}</h3>{html}"


def paragraph(text: str) -> str:
    """Plain text, escaped."""
    return f"<p>{escape(text)}</p>"


def _cell(value: Any) -> str:
    return escape(number(value if value is None or isinstance(value, str | int | float) else str(value)))


def _is_numeric(cells: Sequence[Any]) -> bool:
    known = [c for c in cells if c is not None]
    return bool(known) and all(isinstance(c, int | float) and not isinstance(c, bool) for c in known)


STYLE = """
:root{--ink:#1b2430;--dim:#5b6775;--rule:#dfe4ea;--paper:#fff;--card:#f5f7f9;--accent:0,114,178;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b0568b;--c4:#b87d00;--c5:#3a93c9;
--bad:#c2182b;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e4e9ef;--dim:#9aa6b3;--rule:#333d49;--paper:#14191f;--card:#1c232b;
--accent:86,180,233;--c0:#56b4e9;--c1:#f0803c;--c2:#2fc79b;--c3:#dc92bd;--c4:#e8ac2c;--c5:#9ad2f5;
--bad:#ff6b78}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 28px 48px}
header{border-bottom:2px solid var(--ink);margin-bottom:8px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
header p{margin:0 0 12px;color:var(--dim);overflow-wrap:anywhere}
section{margin-top:30px}
h2{font-size:17px;margin:0 0 6px;overflow-wrap:anywhere}
h3{font-size:14px;margin:0 0 4px;font-weight:600}
.note,.none{color:var(--dim);margin:0 0 10px;max-width:75ch}
.none{font-style:italic}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:10px 0}
.facts div{background:var(--card);border-radius:6px;padding:9px 12px}
dt{color:var(--dim);font-size:12.5px}
dd{margin:0;font-size:18px;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere;line-height:1.3}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:6px 0;font-size:14px}
th,td{padding:5px 14px 5px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}
th+th,td+td{padding-left:14px}
thead th{color:var(--dim);font-weight:600;border-bottom-color:var(--dim);vertical-align:bottom}
.n{text-align:right}
td.n{white-space:nowrap}
.heat th,.heat td{border:0;padding:9px 14px}
.heat thead th{text-align:center}
.heat tbody th{text-align:right;font-weight:600;color:var(--dim)}
.heat tbody td{text-align:center;
border:1px solid var(--paper);background:rgba(var(--accent),calc(.05 + .5*var(--share)))}
.heat b{display:block}
small{color:inherit;opacity:.8;font-size:12px}
.beside{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:20px 28px;align-items:start}
.plot{display:block;max-width:100%;height:auto}
.plot text{fill:var(--dim);font-size:12px;font-variant-numeric:tabular-nums}
.axis{stroke:var(--dim);fill:none}
.rule{stroke:var(--rule)}
.diagonal{stroke:var(--dim);stroke-dasharray:2 4}
polyline,.legend line{fill:none;stroke-width:2;stroke-linejoin:round}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}
.run{fill:var(--dim)}.fail{fill:var(--bad)}
.plot .strong{fill:var(--ink);font-weight:600}.plot .bad{fill:var(--bad)}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;font-size:13px;padding-left:58px}
.legend span{display:inline-flex;align-items:center;gap:7px}
.bars{display:grid;gap:4px;max-width:760px;font-size:14px}
.bar{display:grid;grid-template-columns:minmax(90px,220px) 1fr minmax(80px,auto);gap:12px;align-items:center}
.label{overflow-wrap:anywhere;text-align:right;line-height:1.25}
.track{background:var(--card);border-radius:3px;height:14px}
.fill{display:block;height:14px;border-radius:3px;background:var(--c0)}
.fill.minus{background:var(--c1)}
.value{font-variant-numeric:tabular-nums;white-space:nowrap}
@media print{main{max-width:none;padding:0}section,.plot,table{break-inside:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
