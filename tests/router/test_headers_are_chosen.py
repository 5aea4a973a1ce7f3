from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.serving.router.headers import Propagation, canonical

SENT = [
    (b"host", b"x"), (b"AUTHORIZATION", b"t"), (b"x-request-ID", b"r"), (b"traceparent", b"p"), (b"X-Two", b"1"),
    (b"x-two", b"2"), (b"Connection", b"close"), (b"Content-Length", b"2"), (b"TE", b"x"), (b"Expect", b"100-continue"),
]  # fmt: skip
ALL = ["Authorization", "X-Request-Id", "Traceparent", "X-Two", "X-Two"]


@pytest.mark.parametrize(("written", "kept"), [
    (None, []),
    ("", ALL),
    ("^Traceparent$,^X-Request-Id$", ["X-Request-Id", "Traceparent"]),
    ("Request", ["X-Request-Id"]),
    ("traceparent", []),
    ("(?i)traceparent", ["Traceparent"]),
    ("X-Two,Two,.*,X", ALL),
    ("X-Two,", ALL),
    ("^Connection$,^Host$", []),
])  # fmt: skip
def test_headers_whose_name_fits_an_expression_go_on(written: str | None, kept: list[str]) -> None:
    found = Propagation(written).select(SENT)
    assert [name.decode() for name, _ in found] == kept
    assert [value for name, value in found if name == b"X-Two"] in ([], [b"1", b"2"])


@pytest.mark.parametrize(
    "written", ["*Trace-Id*", "(?=X)", "Trace(?!x)", "(?<=a)b", r"(a)\1", "a++", "[[:alpha:]]", "(", "\\Q"]
)
def test_what_go_or_python_cannot_read_is_passed_over_in_words(written: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [n for n, _ in Propagation(f"{written},X-Two").select(SENT)] == [b"X-Two", b"X-Two"]
    assert f"the expression {written!r} is passed over" in caplog.text


@given(st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True))
def test_names_are_spelled_alike_however_they_are_sent(name: str) -> None:
    spelled = canonical(name.encode())
    assert canonical(name.upper().encode()) == canonical(name.lower().encode()) == spelled
    assert spelled.lower() == name.lower().encode()
    assert canonical(b"with space") == b"with space"
