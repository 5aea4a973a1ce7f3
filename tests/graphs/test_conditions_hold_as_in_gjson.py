from __future__ import annotations

import json
import math
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.errors import InputError
from seaway.graphs.conditions import Condition, read_document
from seaway.graphs.paths import Glob, glob
from tests.graphs.cases import CASES

TABLE = [(d, c, want) for d, both in CASES.items() for want, cs in zip((True, False), both, strict=True) for c in cs]


@pytest.mark.parametrize(("document", "condition", "holds"), TABLE, ids=[f"{c} {w}" for _, c, w in TABLE])
def test_a_condition_holds_when_gjson_finds_something(document: str, condition: str, holds: bool) -> None:
    assert Condition(condition).holds(read_document(document.encode())) is holds


@pytest.mark.parametrize(("text", "words"), [
    ("", "must name a key"),
    (" a", "must not begin or end with a space"),
    ("a\n", "nor have line ends"),
    ("a..b", "must name a key at character 2"),
    (".a", "must name a key"),
    ("a.", "must name a key"),
    ("a|b", "must use '.' between keys"),
    ("a.@reverse", "modifiers other than a leading @this"),
    ("a.@this", "modifiers other than a leading @this"),
    ("@thisx", "must go on with '.' after @this"),
    ("[@this]a", "must go on with '.' after [@this]"),
    ("{ .input.userId == 1 }", "must not make new objects with {...}"),
    ("{a,b}", "must not make new objects"),
    ("[a,b]", "[@this] only as its beginning"),
    ("a[0]", "must write a.0"),
    ('"a"', "must write keys without quotes"),
    ("late==true", "must write comparisons as queries"),
    ("a > 5", "must write comparisons as queries"),
    ("!true", "must write comparisons"),
    ("a#", "must write '\\#' for '#'"),
    ("#a", "must write '#' alone"),
    ("#1", "must write '#' alone"),
    ("#(a==1", "must close its query"),
    ("#(a==1)x", "must end at character 7"),
    ("#()", "must ask something"),
    ("#( )", "must ask something"),
    ("#(a==~true)", "operator '~' is not read"),
    ("#(a===1)", "must compare with a number"),
    ("#(a=>1)", "must compare with a number"),
    ("#(a==)", "must compare with a number"),
    ("#(a=='x')", "must compare with a number"),
    ("#(a==1_0)", "must compare with a number"),
    ("#(a==inf)", "must compare with a number"),
    ('#(a=="x)', "must write texts as JSON does"),
    ('#(a=="\\q")', "must write texts as JSON does"),
    ('#(a=="\\ud800")', "must write texts as JSON does"),
    ('#(a=="b"c)', "must close its query"),
    ('#(a=="b|c")', "has a '|'"),
    ('#(a=="~b")', "begins with '~'"),
    ('#(a=="0x1p4")', "must write numbers as decimals"),
    ("#(a==1 && b==2)", "must compare with a number"),
    ("#((a)==1)", "must write '\\(' for '('"),
    ("a\\", "must have a special character after each"),
    ("\\a", "must have a special character after each"),
    ("a*\\*", "must not mix"),
    ("9" * 10, "indices of at most 9 digits"),
    ("#(" * 30 + "a" + ")" * 30, "at most 20 queries in one another"),
])  # fmt: skip
def test_what_could_be_answered_otherwise_than_on_a_cluster_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        Condition(text)
    assert words in str(refused.value)
    assert str(refused.value).startswith("the condition ")


@pytest.mark.parametrize("body", [
    b"", b" ", b"nul", b'{"a":1}x', b"[1,]", b'{"a":NaN}', b"Infinity", b'"\x01"', b"01", b"-", b"1.", b".5",
    "\ufeff{}".encode(), b"[1 2]", b'"\\x"', b"[" * 100_000, b'{"a":' * 5000, b"\xff",
])  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InputError, match="must be JSON"):
        read_document(body)


@pytest.mark.parametrize("body", [b'{"a":"\xff\xfe"}', b'{"a":"\\ud800"}', b' {"a":"\x7f"} ', b'{"a":1e999}'])
def test_what_go_takes_for_json_is_read(body: bytes) -> None:
    assert Condition("a").holds(read_document(body))


KEYS = st.text(min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["", "a", "b", "a b", "é"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc") | KEYS, inner, max_size=4),
    max_leaves=12,
)
_LETTERS = st.text(alphabet='ab.*?#()=<>!%@"\\ 01[]{}|~', max_size=12)


@given(JSON, _LETTERS | st.text(max_size=8))
def test_any_text_is_a_condition_or_refused_and_never_fails_later(document: Any, text: str) -> None:
    try:
        condition = Condition(text)
    except InputError:
        return
    assert condition.holds(read_document(json.dumps(document).encode())) in (True, False)


def paths(document: Any) -> list[list[str | int]]:
    """The way to everything in a document."""
    found: list[list[str | int]] = [[]]
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inner:
        if key != "":
            found += [[key, *rest] for rest in paths(value)]
    return found


def escaped(key: str | int) -> str:
    return re.sub(r"([^\w ])", r"\\\1", str(key))


@given(JSON)
def test_everything_in_a_document_is_found_by_its_way(document: Any) -> None:
    read = read_document(json.dumps(document).encode())
    for way in paths(document)[1:]:
        text = ".".join(escaped(key) for key in way)
        if text == text.strip() and text.isprintable():
            assert Condition(text).holds(read), text


@given(
    st.lists(st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["a", "1", ""]) | st.none()), st.integers(-3, 3)
)
def test_a_comparison_holds_when_an_element_compares(elements: list[Any], bound: int) -> None:
    read = read_document(json.dumps({"l": [{"v": one} for one in elements]}).encode())
    numbers = [one for one in elements if isinstance(one, int | float)]
    texts = [one for one in elements if isinstance(one, str)]
    for op, compare in (
        (">", lambda a, b: a > b), (">=", lambda a, b: a >= b), ("<", lambda a, b: a < b), ("!=", lambda a, b: a != b),
    ):  # fmt: skip
        expected = any(compare(one, bound) for one in numbers) or any(compare(one, str(bound)) for one in texts)
        assert Condition(f"l.#(v{op}{bound})").holds(read) is expected
        assert Condition(f"l.#(v{op}{bound})#").holds(read)


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="abc\n", max_size=8))
def test_patterns_match_as_expressions_do(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern)
    assert glob(pattern).matches(text) == bool(re.fullmatch(expression, text, re.DOTALL))


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    begin = time.monotonic()
    assert not Glob(tuple("*a" * 30 + "b")).matches("a" * 20_000)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(("text", "number"), [
    ("1_0", 10.0), ("_1", 0.0), ("1__0", 0.0), ("5 ", 0.0), ("1e", 0.0), ("+5", 5.0), (".5e1", 5.0),
    ("-Inf", -math.inf), ("0x10", 0.0), ("", 0.0), ("2024-01-01", 0.0), ("1e999", math.inf), ("٣", 0.0),
])  # fmt: skip
def test_a_text_is_the_number_that_go_reads(text: str, number: float) -> None:
    operand = Condition(f'#(a=="{text}")').path.components[0].operand  # type: ignore[union-attr]
    assert operand is not None
    assert operand.number == number
