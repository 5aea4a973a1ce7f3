"""A contract is typed, edited by people, and says what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from seaway.errors import InputError
from seaway.model.contract import Column, Contract, Target

TARGET = {"name": "late", "task": "classification", "dtype": "bool", "classes": [False, True]}


def whole(**column: Any) -> dict[str, Any]:
    return {"version": 1, "columns": [{"name": "a", "dtype": "float64", **column}], "target": TARGET}


def test_a_contract_goes_through_json_unchanged() -> None:
    contract = Contract(
        columns=(
            Column(name="✈ carrier", dtype="string", nullable=True, values=("AA", "UA")),
            Column(name="temp", dtype="float64", minimum=-40, maximum=50.5),
            Column(name="at", dtype="timestamp"),
        ),
        target=Target(name="late", task="classification", dtype="bool", classes=(False, True)),
    )
    assert Contract.from_json(contract.to_json()) == contract
    assert contract.target.positive is True


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (whole(minimum=2, maximum=1), "minimum 2 must not exceed maximum 1"),
        (whole(maximum=float("inf")), "must be finite"),
        (whole(dtype="float32"), "dtype must be one of"),
        (whole(typo=1), "keys must be among"),
        (whole(values=[1.0]), "takes no enumeration"),
        (whole(name=""), "must have a name"),
        (whole(name="*"), "must not be a pattern"),
        (whole(name="^a$"), "must not be a pattern"),
        (whole(name=3), "name must be text, found 3"),
        (whole(nullable="yes"), "nullable must be true or false, found 'yes'"),
        ({**whole(), "version": 2}, "version must be 1"),
        ({**whole(), "columns": []}, "at least one column"),
        ({**whole(), "columns": whole()["columns"] * 2}, "found twice: ['a']"),
        ({**whole(name="late")}, "must not be among the columns"),
        ({**whole(), "target": {**TARGET, "classes": [True]}}, "at least two classes"),
        ({**whole(), "target": {**TARGET, "task": "clustering"}}, "task must be one of"),
    ],
)
def test_what_is_wrong_is_said(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Contract.from_dict(raw)
    assert words in str(caught.value)


def test_text_that_is_not_json_is_said() -> None:
    with pytest.raises(InputError, match="must be JSON"):
        Contract.from_json("{")
