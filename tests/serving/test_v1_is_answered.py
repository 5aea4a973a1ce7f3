"""KServe's v1 protocol over HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.serving.models import ROW, probability

PREDICT = "/v1/models/flights:predict"


def test_instances_are_answered_in_order(client: httpx.Client) -> None:
    rows = [{**ROW, "hour": hour, "departure": "2013-01-01T10:00:00Z"} for hour in range(24)]
    response = client.post(PREDICT, json={"instances": rows})
    assert response.status_code == 200, response.text
    for row, answer in zip(rows, response.json()["predictions"], strict=True):
        p = probability({**row, "departure": ROW["departure"]})
        assert answer["probability"] == pytest.approx(p, abs=1e-6)
        assert answer["probabilities"] == pytest.approx([1 - p, p], abs=1e-6)
        assert answer["label"] is (p > 0.5)


def test_a_nullable_column_may_be_null_or_left_out_of_one_instance(client: httpx.Client) -> None:
    rows = [ROW, {k: v for k, v in ROW.items() if k != "seats"}, {**ROW, "seats": None}]
    found = client.post(PREDICT, json={"instances": rows}).json()["predictions"]
    assert [f["probability"] for f in found] == pytest.approx([probability(r) for r in rows], abs=1e-6)


def test_words_and_values_are_answered(client: httpx.Client) -> None:
    words = client.post("/v1/models/words:predict", json={"instances": [{"word": "b"}]})
    assert words.json() == {"predictions": [{"label": "b", "probabilities": [0, 1, 0]}]}
    double = client.post("/v1/models/double:predict", json={"instances": [{"x": 1}, {"x": 0.1}]})
    assert double.json() == {"predictions": [{"value": 2}, {"value": 0.2}]}


def test_models_are_listed(client: httpx.Client) -> None:
    assert client.get("/v1/models").json() == {"models": ["flights", "words", "double"]}
    assert client.get("/v1/models/flights").json() == {"name": "flights", "ready": True}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'instances'"),
        ({"instances": []}, "'instances'"),
        ({"instances": [[1, 2]]}, "list of objects"),
        ({"instances": [{**ROW, "carier": "AA"}]}, "did you mean 'carrier'"),
        ({"instances": [{k: v for k, v in ROW.items() if k != "hour"}]}, "'hour': must be given"),
        ({"instances": [ROW, {k: v for k, v in ROW.items() if k != "hour"}]}, "'hour': must be not null"),
        ({"instances": [ROW, {**ROW, "hour": 24}]}, "at most 23, found 24 at row 1"),
    ],
)
def test_a_wrong_request_is_refused_in_words(client: httpx.Client, body: object, words: str) -> None:
    response = client.post(PREDICT, json=body)
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_too_many_rows_are_refused(client: httpx.Client) -> None:
    response = client.post("/v1/models/words:predict", json={"instances": [{"word": "a"}] * 10_001})
    assert response.status_code == 400
    assert "from 1 to 10,000 rows" in response.json()["error"]
