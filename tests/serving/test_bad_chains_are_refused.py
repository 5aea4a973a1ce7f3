"""Whatever query or body a chain's step is sent: an answer, or a 400 in words."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway.serving.app import App
from seaway.serving.served import ServedModel
from tests.serving import models
from tests.serving.models import ROW
from tests.serving.test_bad_requests_are_refused import JSON
from tests.serving.test_chains_are_answered import post

CHAIN = "/v1/models/double:chain"
ANSWER = "/v1/models/double:answer"
GOOD: dict[str, Any] = {"instances": [{"x": 1}, {"x": 2}], "predictions": [{"p": 0.5}, {"p": 0.1}]}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("twice=valeu", "did you mean 'value'"),
        ("twice=value&twice=value", "'twice' twice"),
        ("twice=value&twice=", "'twice' twice"),
        ("1st=value", "no digit first"),
        ("a.b=value", "letters, digits or '_'"),
        ("=value", "letters, digits"),
        ("%E2%9C%88=value", "letters, digits"),
        ("a" * 65 + "=value", "up to 64"),
        ("when=", "KEY OPERATOR VALUE"),
        ("when=p", "KEY OPERATOR VALUE"),
        ("when=p=1", "KEY OPERATOR VALUE"),
        ("when=p=>1", "KEY OPERATOR VALUE"),
        ("when=p~1", "KEY OPERATOR VALUE"),
        ("when=>=1", "KEY OPERATOR VALUE"),
        ("when=p>=high", "in double quotes, found 'high'"),
        ("when=p>=1e999", "must be finite"),
        ("when=p>=NaN", "must be finite"),
        ("when=p>=[1]", "a number, a text, true, false or null"),
        ("when=p>=" + "[" * 4000, "in double quotes"),
        ("when=p>=" + "1" * 5000, "in double quotes"),
        ("when=p<true", "only be compared by == or !="),
        ("when=p>null", "only be compared by == or !="),
        ("when=a.b>1", "letters, digits or '_'"),
        ("when=when>1", "not 'when'"),
        ("when=p>1&when=p<2", "one 'when' at most"),
        ("when=q>1", "needs the earlier answer 'q', prediction 0 has ['p']"),
        ("%ff=value", "UTF-8"),
        ("&".join(f"k{i}=" for i in range(300)), "at most 256 keys"),
        ("k=" + "v" * 9_000, "at most 8192 bytes"),
    ],
)
def test_a_wrong_query_is_refused_in_words(client: httpx.Client, query: str, words: str) -> None:
    response = client.post(f"{CHAIN}?{query}", json=GOOD)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("p=1", "without a value, each once, found 'p=1'"),
        ("p&p", "p twice"),
        ("q", "'q', found ['p']"),
        ("a-b", "letters"),
    ],
)
def test_a_wrong_query_of_the_last_step_is_refused_in_words(client: httpx.Client, query: str, words: str) -> None:
    response = client.post(f"{ANSWER}?{query}", json=GOOD)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'instances', a list of at least one object, found None"),
        ({"instances": []}, "'instances'"),
        ({"instances": {"x": 1}}, "'instances'"),
        ({"instances": [1]}, "'instances'"),
        ({"predictions": [{"x": 1}]}, "'instances'"),
        ({"instances": [{"x": 1}], "predictions": []}, "'predictions'"),
        ({"instances": [{"x": 1}], "predictions": "x"}, "'predictions'"),
        ({"instances": [{"x": 1}], "predictions": [{}, {}]}, "as many as 'instances', found 2 and 1"),
        ({"instances": [{"x": 1}, {"y": 1}]}, "instance 1: must hold columns of the contract, found ['y']"),
        ({"instances": [{"x": 1}, {}]}, "must be not null, found null at row 1"),
        ([], "a JSON object"),
    ],
)
def test_a_wrong_body_is_refused_in_words(client: httpx.Client, body: Any, words: str) -> None:
    response = client.post(CHAIN, json=body)
    assert response.status_code == 400, response.text
    assert words in response.json()["error"]


def test_a_first_step_with_a_condition_is_told_what_is_wrong(client: httpx.Client) -> None:
    error = client.post(f"{CHAIN}?when=p>0", json={"instances": [{"x": 1}]}).json()["error"]
    assert "a first step has no condition" in error


def test_a_broken_row_is_named_by_its_place_in_the_whole_request(client: httpx.Client) -> None:
    instances = [{"x": 1}, {"x": "?"}, {"x": 2}, {"x": "?"}, {"x": None}]
    predictions = [{"p": 1}, {"p": 0}, {"p": 1}, {"p": 1}, {"p": 1}]
    body = {"instances": instances, "predictions": predictions}
    response = client.post(f"{CHAIN}?twice=value&when=p==1", json=body)
    assert response.status_code == 400
    rows = {v["rule"]: v["row"] for v in response.json()["violations"]}
    assert rows == {"a number": 3, "not null": 4}


def test_what_nests_too_deep_to_be_handed_on_is_refused(client: httpx.Client) -> None:
    deep = "[" * 500 + "]" * 500
    for body in (
        f'{{"instances": [{{"x": 1, "other": {deep}}}]}}',
        f'{{"instances": [{{"x": 1}}], "predictions": [{{"p": {deep}}}]}}',
    ):
        response = client.post(CHAIN, content=body)
        assert response.status_code == 400
        assert "plain values" in response.json()["error"]


@pytest.fixture(scope="module")
def app(flights: str, tmp_path_factory: pytest.TempPathFactory) -> App:
    return App([ServedModel.open(flights), ServedModel.open(models.write_double(tmp_path_factory.mktemp("double")))])


QUERY = st.sampled_from(
    [
        "",
        "twice=value",
        "p=",
        "p=value&when=p>0",
        "when=p==null",
        "label&",
        "late=label&probability=probability&when=p<1",
    ]
) | st.text("abp=&<>!%0123456789.+\"'[]{}truenl_é\x00;#?/ ", max_size=40)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["flights:chain", "double:chain", "double:answer", "double:predict"]),
    QUERY,
    st.fixed_dictionaries(
        {},
        optional={
            "instances": JSON | st.lists(JSON | st.just({**ROW, "x": 1.0}) | st.just({"x": 2}), max_size=3),
            "predictions": JSON | st.lists(JSON | st.just({"p": 1}) | st.just({"label": True}), max_size=3),
        },
    ),
)
def test_no_query_and_no_body_is_a_fault_of_the_server(app: App, model: str, query: str, body: Any) -> None:
    raw = json.dumps(body).encode("utf-8", "surrogatepass")
    status, answer = post(app, f"/v1/models/{model}?{query}", raw)
    assert status in (200, 400)
    assert ("error" in answer) == (status == 400)
