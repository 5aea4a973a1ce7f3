"""The Open Inference Protocol v2 over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.serving.models import FLIGHTS, ROW, column, probability, v2

INFER = "/v2/models/flights/infer"


def answers(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {o["name"]: o for o in response.json()["outputs"]}


def test_one_row_gets_the_graphs_answer(client: httpx.Client) -> None:
    response = client.post(INFER, json=v2(ROW, id="q1"))
    found = answers(response)
    p = probability(ROW)
    assert response.json()["model_name"] == "flights"
    assert response.json()["model_version"] == "1"
    assert response.json()["id"] == "q1"
    assert [*found] == ["label", "probabilities", "probability"]
    assert found["label"] == {"name": "label", "datatype": "BOOL", "shape": [1], "data": [p > 0.5]}
    assert found["probability"]["datatype"] == "FP32"
    assert found["probability"]["data"] == pytest.approx([p], abs=1e-6)
    assert found["probabilities"]["shape"] == [1, 2]
    assert found["probabilities"]["data"] == pytest.approx([1 - p, p], abs=1e-6)


def test_rows_in_one_request_are_answered_as_they_are_alone(client: httpx.Client) -> None:
    rows = [{**ROW, "hour": i % 24, "distance": float(i), "seats": None if i % 3 else i} for i in range(400)]
    found = answers(client.post(INFER, json=v2(*rows)))
    assert found["probability"]["data"] == pytest.approx([probability(r) for r in rows], abs=1e-5)
    alone = [answers(client.post(INFER, json=v2(r)))["probability"]["data"][0] for r in rows[:20]]
    assert found["probability"]["data"][:20] == alone


@pytest.mark.parametrize("name", ["tailnum", "temp", "seats", "weekend"])
def test_a_nullable_column_may_be_null_or_left_out(client: httpx.Client, name: str) -> None:
    missing = {**ROW, name: None}
    left_out = v2(missing)
    left_out["inputs"].remove(column(left_out, name))
    for request in (v2(missing), left_out):
        found = answers(client.post(INFER, json=request))
        assert found["probability"]["data"] == pytest.approx([probability(missing)], abs=1e-6)


def test_a_column_of_shape_n_1_may_be_flat_or_nested(client: httpx.Client) -> None:
    for data in ([6, 7], [[6], [7]]):
        request = v2(ROW, {**ROW, "hour": 7})
        column(request, "hour").update(shape=[2, 1], data=data)
        found = answers(client.post(INFER, json=request))
        assert found["probability"]["data"] == pytest.approx(
            [probability(ROW), probability({**ROW, "hour": 7})], abs=1e-6
        )


@pytest.mark.parametrize(
    ("name", "datatype", "value"),
    [
        ("hour", "UINT8", 6),
        ("hour", "FP64", 6.0),
        ("distance", "INT32", 500),
        ("distance", "FP32", 500.0),
        ("departure", "BYTES", "2013-01-01T10:00:00Z"),
        ("departure", "BYTES", "2013-01-01 05:00:00-05:00"),
        ("departure", "BYTES", "2013-01-01T10:00:00"),
    ],
)
def test_another_datatype_is_taken_where_the_value_converts_exactly(
    client: httpx.Client, name: str, datatype: str, value: Any
) -> None:
    request = v2(ROW)
    column(request, name).update(datatype=datatype, data=[value])
    found = answers(client.post(INFER, json=request))
    assert found["probability"]["data"] == pytest.approx([probability(ROW)], abs=1e-6)


def test_outputs_select_the_answers(client: httpx.Client) -> None:
    found = answers(client.post(INFER, json=v2(ROW, outputs=[{"name": "probability"}, {"name": "label"}])))
    assert [*found] == ["probability", "label"]


def test_a_version_may_be_named(client: httpx.Client) -> None:
    assert client.post("/v2/models/flights/versions/1/infer", json=v2(ROW)).status_code == 200
    assert client.get("/v2/models/flights/versions/1/ready").json() == {"name": "flights", "ready": True}
    other = client.post("/v2/models/flights/versions/2/infer", json=v2(ROW))
    assert other.status_code == 404
    assert "version '1'" in other.json()["error"]


def test_metadata_is_the_contract(client: httpx.Client) -> None:
    found = client.get("/v2/models/flights").json()
    assert found["versions"] == ["1"]
    assert [i["name"] for i in found["inputs"]] == list(FLIGHTS.names)
    assert {i["name"]: i["datatype"] for i in found["inputs"]}["weekend"] == "BOOL"
    assert found["outputs"][1] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}
    assert client.get("/v2").json()["name"] == "seaway"


def test_health_says_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.head("/v2/health/ready").status_code == 200
    assert {m["name"] for m in client.get("/").json()["models"]} == {"flights", "words", "double"}


def test_classes_that_are_texts_and_values_are_answered(client: httpx.Client) -> None:
    words = {"inputs": [{"name": "word", "shape": [2], "datatype": "BYTES", "data": ["c", "b"]}]}
    found = answers(client.post("/v2/models/words/infer", json=words))
    assert found["label"] == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["c", "b"]}
    assert found["probabilities"]["data"] == [0, 0, 1, 0, 1, 0]
    double = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [0.1]}]}
    found = answers(client.post("/v2/models/double/infer", json=double))
    assert found["value"] == {"name": "value", "datatype": "FP64", "shape": [1], "data": [0.2]}
