"""A report page is one file that needs nothing else, and nothing in the data can break out of it."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.observe import charts, html

NASTY = "<script>alert('x')</script>\" onload=\"x & ü 🚢"
VOID = {"meta", "br"}


class Balance(HTMLParser):
    """Every opened tag is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def whole_page() -> str:
    points = ([0.0, 0.5, 1.0], [0.0, 0.7, 1.0])
    return html.page(
        NASTY,
        [
            html.Section(NASTY, html.table([NASTY, "n"], [[NASTY, 1], [None, 2.5]]), NASTY),
            html.Section("facts", html.facts([(NASTY, NASTY), ("rows", 12345)])),
            html.Section("bars", html.bars([NASTY], [1.0], unit=NASTY)),
            html.Section("histogram", html.histogram([0, 1, 2], [3, 4], x_label=NASTY)),
            html.Section(
                "lines", html.lines({NASTY: points}, x_label=NASTY, y_label=NASTY, diagonal=True, markers=True)
            ),
            html.Section("heatmap", html.heatmap([NASTY, "b"], ["a", NASTY], [[1, 2], [3, 4]])),
            html.Section("rest", html.beside(html.titled(NASTY, html.paragraph(NASTY)))),
        ],
        subtitle=NASTY,
    )


def parsed(text: str) -> Balance:
    found = Balance()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def test_a_page_has_no_script_and_names_no_other_file() -> None:
    text = whole_page()
    assert not parsed(text).tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?://|\bsrc=|\bhref=|url\(|@import", text)


def test_texts_of_the_data_come_out_as_texts() -> None:
    text = whole_page()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "🚢" in text


def test_the_same_input_gives_the_same_bytes() -> None:
    assert whole_page() == whole_page()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.76812, "0.7681"),
        (1234.5678, "1,235"),
        (0.0, "0"),
        (2.0, "2"),
        (-0.00001234, "-1.23e-05"),
        (math.nan, "not a number"),
        (-math.inf, "-∞"),
        ("late", "late"),
    ],
)
def test_a_number_reads_as_people_write_it(value: object, text: str) -> None:
    assert charts.number(value) == text  # type: ignore[arg-type]


def test_columns_of_numbers_stand_right_and_others_left() -> None:
    text = html.table(["name", "rows", "mixed", "yes"], [["a", 1, "x", True], ["b", None, 2, False]])
    assert text.count('<td class="n">') == 2
    assert html.table(["a", "b"], [["x", "1"]], numeric=[1]).count('<td class="n">') == 1


@given(st.floats(-1e100, 1e100), st.floats(1e-100, 1e100), st.integers(1, 12))
def test_ticks_are_few_rise_and_lie_within(low: float, width: float, count: int) -> None:
    high = low + width
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return  # charts widen such a range before they ask for ticks
    found = charts.ticks(low, high, count=count)
    assert len(found) <= count + 1
    assert found == sorted(set(found))
    slack = 1e-8 * (high - low)
    assert all(low - slack <= t <= high + slack for t in found)


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.dictionaries(st.text(max_size=5), st.lists(st.tuples(numbers, numbers), max_size=6), max_size=8))
def test_lines_draw_any_numbers_and_leave_out_those_that_are_not_finite(
    series: dict[str, list[tuple[float, float]]],
) -> None:
    split = {name: ([p[0] for p in points], [p[1] for p in points]) for name, points in series.items()}
    text = html.lines(split, x_label="x", y_label="y", diagonal=True, markers=True)
    parsed(text)
    places = re.findall(r'(?:points|x1|y1|x2|y2|cx|cy|d)="([^"]*)"', text)
    assert not any(re.search("nan|inf|e[+-]", p) for p in places)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.floats(-1e200, 1e200), st.floats(0, 1e200))
def test_a_histogram_draws_a_bar_a_count_within_its_frame(counts: list[int], first: float, width: float) -> None:
    edges = [first + width * k for k in range(len(counts) + 1)]
    text = html.histogram(edges, counts, size=(300, 120))
    parsed(text)
    heights = [float(h) for h in re.findall(r'<rect[^>]* height="([^"]*)"', text)]
    assert len(heights) in (0, len(counts))
    assert all(0 <= h <= 120 for h in heights)


def test_what_is_empty_says_so() -> None:
    assert "nothing" in html.bars([], [])
    assert "no values" in html.histogram([], [])
    assert "no points" in html.lines({"a": ([], [])}, x_label="x", y_label="y")
    assert "nothing" in html.heatmap([], [], [])
    assert "no rows" in html.table(["a"], [])


def test_a_heatmap_shades_a_cell_by_its_share_of_the_row() -> None:
    text = html.heatmap(["a", "b"], ["a", "b"], [[3, 1], [0, 0]])
    assert "--share:0.750" in text
    assert "25.0 %" in text
    assert text.count("--share:0.000") == 2


def test_bars_are_as_long_as_their_share_of_the_longest() -> None:
    text = html.bars(["a", "b", "c", "d"], [10, 5.0, None, -10], unit="ms")
    assert re.findall(r"width:([\d.]+)%", text) == ["100.0", "50.0", "0.0", "100.0"]
    assert "fill minus" in text
