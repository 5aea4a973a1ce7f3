"""Models answer one after the other: a former answer is a request, and a chain's answers add up row by row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway.serving.app import App
from seaway.serving.served import ServedModel
from tests.serving import models
from tests.serving.models import ROW, probability
from tests.serving.processes import Serving, serving

FIRST = "/v1/models/flights:chain?late=label&probability=probability&twice="
SECOND = "/v1/models/double:chain?twice=value&when=probability>=0.5"
END = "/v1/models/flights:answer?late&probability&twice"


def rows(*hours: int) -> list[dict[str, Any]]:
    """Rows for both models; the later, the likelier."""
    return [{**ROW, "hour": hour, "x": hour + 0.5} for hour in hours]


def chained(client: httpx.Client, body: Any, *paths: str) -> Any:
    for path in paths:
        response = client.post(path, json=body)
        assert response.status_code == 200, response.text
        body = response.json()
    return body


def test_a_chain_asks_the_second_model_only_where_the_first_says_so(client: httpx.Client) -> None:
    given_ = rows(1, 20, 5, 23)
    answer = chained(client, {"instances": given_}, FIRST, SECOND, END)
    assert list(answer) == ["predictions"]
    for row, found in zip(given_, answer["predictions"], strict=True):
        p = probability(row)
        assert list(found) == ["late", "probability", "twice"]
        assert found["late"] is (p > 0.5)
        assert found["probability"] == pytest.approx(p, abs=1e-6)
        assert found["twice"] == (2 * row["x"] if p >= 0.5 else None)
    assert [p["twice"] is None for p in answer["predictions"]] == [True, False, False, False]


def test_between_steps_rows_and_earlier_answers_are_kept_as_they_are(client: httpx.Client) -> None:
    odd = {
        "big": 2**63 - 1,
        "unsigned": 2**64 - 1,
        "whole": 1.0,
        "yes": True,
        "none": None,
        "text": "✈ <&>",
        "tiny": 5e-324,
    }
    body: dict[str, Any] = {
        "instances": [{"x": 1, **odd}, {"x": 0.1}],
        "predictions": [{"odd": odd, "list": [1, 2.5, False]}, {}],
    }
    first = client.post("/v1/models/double:chain", json=body)
    answer = first.json()
    assert answer["instances"] == body["instances"]
    assert first.text.count("9223372036854775807") == first.text.count("18446744073709551615") == 2
    assert '"whole":1.0' in first.text
    assert answer["predictions"] == [{**body["predictions"][0], "value": 2.0}, {"value": 0.2}]
    assert list(answer["predictions"][0]) == ["odd", "list", "value"]


def test_the_chains_numbers_are_those_of_predict(client: httpx.Client) -> None:
    plain = client.post("/v1/models/flights:predict", json={"instances": [ROW, {**ROW, "hour": 20}]}).json()
    chain = client.post("/v1/models/flights:chain", json={"instances": [ROW, {**ROW, "hour": 20}]}).json()
    assert chain["predictions"] == plain["predictions"]


def test_a_declared_key_is_null_whatever_the_client_sends(client: httpx.Client) -> None:
    body = {"instances": rows(1), "predictions": [{"twice": 99, "late": 1}]}
    assert chained(client, body, FIRST, SECOND, END)["predictions"][0]["twice"] is None


def test_a_later_step_replaces_an_answer_only_where_it_is_asked(client: httpx.Client) -> None:
    body = {"instances": [{"x": 1}, {"x": 2}], "predictions": [{"value": 0.5}, {"value": 0.9}]}
    answer = chained(client, body, "/v1/models/double:chain?value=value&when=value<0.7")
    assert answer["predictions"] == [{"value": 2.0}, {"value": 0.9}]


def test_rows_that_are_not_asked_may_break_the_models_contract(client: httpx.Client) -> None:
    body = {
        "instances": [{"x": "text"}, {"x": 2}, {"y": 1}],
        "predictions": [{"ask": False}, {"ask": True}, {"ask": None}],
    }
    answer = chained(client, body, "/v1/models/double:chain?twice=value&when=ask==true")
    assert [p["twice"] for p in answer["predictions"]] == [None, 4.0, None]


def test_when_no_row_is_asked_the_model_is_not(client: httpx.Client) -> None:
    before = client.get("/metrics").text
    body = {"instances": [{"word": "a"}], "predictions": [{"n": 1}]}
    chained(client, body, "/v1/models/words:chain?kind=label&when=n>1")
    chained(client, {"instances": [{"word": "a"}], "predictions": [{"n": 2}]}, "/v1/models/words:chain?when=n>1")

    def count(text: str, name: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    after = client.get("/metrics").text
    for name, more in (
        ('seaway_requests_total{code="200",model="words",protocol="chain"', 2),
        ('seaway_rows_total{model="words"', 1),
        ('request_predict_seconds_count{model_name="words"', 1),
    ):
        assert count(after, name) - count(before, name) == more, name


@pytest.mark.parametrize(
    ("when", "asked"),
    [
        ("k==1", [0, 1]),
        ("k!=1", [2]),
        ("k > 0.5", [0, 1, 2]),
        ("k<=1", [0, 1]),
        ("k==true", [3]),
        ("k!=true", [4]),
        ('k=="b"', [5]),
        ('k<"b"', [6]),
        ("k==null", [7]),
        ("k!=null", [0, 1, 2, 3, 4, 5, 6, 8]),
    ],
)
def test_a_condition_compares_what_is_of_one_kind(client: httpx.Client, when: str, asked: list[int]) -> None:
    values = [1, 1.0, 2, True, False, "b", "a", None, [1]]
    body = {"instances": [{"x": i} for i in range(len(values))], "predictions": [{"k": v} for v in values]}
    for query in (when, quote(when, safe="")):
        answer = chained(client, body, f"/v1/models/double:chain?twice=value&when={query}")
        assert [i for i, p in enumerate(answer["predictions"]) if p["twice"] is not None] == asked


def test_an_answer_without_a_query_gives_all_keys(client: httpx.Client) -> None:
    body = {"predictions": [{"a": None, "b": [1]}], "instances": [{"x": 1}]}
    assert client.post("/v1/models/double:answer", json=body).json() == {"predictions": [{"a": None, "b": [1]}]}
    assert client.post("/v1/models/double:answer?b", json=body).json() == {"predictions": [{"b": [1]}]}


def test_a_former_v1_answer_is_a_request(client: httpx.Client) -> None:
    first = client.post("/v1/models/words:predict", json={"instances": [{"word": "b"}, {"word": "c"}]}).json()
    renamed = [{**p, "word": p["label"]} for p in first["predictions"]]
    found = client.post("/v1/models/words:predict", json={"predictions": renamed})
    assert found.json() == first
    refused = client.post("/v1/models/words:predict", json={"instances": renamed})
    assert refused.status_code == 400
    assert "'label' must be a column of the contract" in refused.json()["error"]


def test_a_former_v2_answer_is_a_request(client: httpx.Client) -> None:
    inputs = [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}]
    first = client.post("/v2/models/double/infer", json={"id": "7", "inputs": inputs}).json()
    again = {**first, "outputs": [{**first["outputs"][0], "name": "x"}, *first["outputs"]]}
    second = client.post("/v2/models/double/infer", json=again).json()
    assert second["outputs"][0]["data"] == [4, 8]
    assert second["id"] == "7"
    # the selection of outputs is no answer
    selected = client.post("/v2/models/double/infer", json={"inputs": inputs, "outputs": [{"name": "value"}]})
    assert selected.json()["outputs"][0]["data"] == [2, 4]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/models/double:predict", {"predictions": [{"y": 1}]}, "with columns of the contract, found ['y']"),
        ("/v1/models/double:predict", {"predictions": []}, "'instances'"),
        ("/v1/models/double:predict", {"predictions": [1]}, "'instances'"),
        ("/v1/models/double:predict", {"predictions": [{"x": 1}, {"z": 1}]}, "must be not null"),
        ("/v1/models/double:predict", {"instances": None, "predictions": [{"x": 1}]}, "'instances'"),
        ("/v2/models/double/infer", {"outputs": [{"name": "value"}]}, "'inputs'"),
        ("/v2/models/double/infer", {"outputs": [{"name": "y", "data": [1]}]}, "columns of the contract"),
        ("/v2/models/double/infer", {"outputs": [{"name": ["x"], "data": [1]}, 5]}, "columns of the contract"),
        ("/v2/models/double/infer", {"outputs": [{"name": "x", "data": [1]}]}, "'shape'"),
        ("/v2/models/double/infer", {"inputs": [], "outputs": [{"name": "x", "data": [1]}]}, "'inputs'"),
    ],
)
def test_what_is_no_former_answer_is_refused(client: httpx.Client, path: str, body: Any, words: str) -> None:
    response = client.post(path, json=body)
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_a_large_chain_is_answered_in_a_thread_and_too_large_a_body_is_refused(client: httpx.Client) -> None:
    many = rows(*(i % 24 for i in range(2_000)))
    answer = chained(client, {"instances": many}, FIRST, SECOND, END)
    assert len(answer["predictions"]) == 2_000
    assert client.post(FIRST, content=b" " * 3_000_000).status_code == 413
    few = client.post(FIRST, json={"instances": rows(*[1] * 10_001)})
    assert few.status_code == 413  # 1 MiB comes first
    short = client.post("/v1/models/words:chain", json={"instances": [{"word": "a"}] * 10_001})
    assert "from 1 to 10,000 rows" in short.json()["error"]


def test_headers_say_which_model_answered(client: httpx.Client) -> None:
    headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "x-request-id": "me"}
    response = client.post("/v1/models/double:chain", json={"instances": [{"x": 1}]}, headers=headers)
    assert response.headers["x-seaway-model"] == "double"
    assert response.headers["x-seaway-trace-id"] == "a" * 32
    assert response.headers["x-request-id"] == "me"
    assert client.get("/v1/models/double:chain").status_code == 405


def test_a_chain_in_flight_is_finished_when_the_server_ends(tmp_path: Path) -> None:
    with serving(tmp_path, models.write_double(tmp_path)) as own:
        body = json.dumps({"instances": [{"x": i} for i in range(9_000)]}).encode()

        def slow() -> Iterator[bytes]:
            yield body[:1000]
            assert tell(own)
            yield body[1000:]

        response = httpx.post(own.url + "/v1/models/double:chain?twice=value", content=slow(), timeout=20)
        assert response.status_code == 200
        assert len(response.json()["predictions"]) == 9_000
        assert response.headers["connection"] == "close"
        assert own.process.wait(20) == 0


def tell(server: Serving) -> bool:
    server.process.terminate()
    return True


@pytest.fixture(scope="module")
def app(flights: str, tmp_path_factory: pytest.TempPathFactory) -> App:
    return App([ServedModel.open(flights), ServedModel.open(models.write_double(tmp_path_factory.mktemp("double")))])


def post(app: App, path: str, body: bytes) -> tuple[int, Any]:
    """One request through the application, without a socket."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query.encode(), "headers": []}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(m["body"] for m in sent[1:]))


def answers(app: App, given_: list[dict[str, Any]], *paths: str) -> list[dict[str, Any]]:
    body: Any = {"instances": given_}
    for path in paths:
        status, body = post(app, path, json.dumps(body).encode())
        assert status == 200, body
    found: list[dict[str, Any]] = body["predictions"]
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "carrier": st.sampled_from(["AA", "B6", "UA"]),
                "hour": st.integers(0, 23),
                "distance": st.floats(0, 6000),
                "temp": st.none() | st.floats(-50, 50),
                "x": st.floats(-1e9, 1e9),
            }
        ),
        min_size=1,
        max_size=8,
    ),
    st.floats(0, 1).map(lambda p: round(p, 3)),
)
def test_a_row_is_answered_alike_alone_and_among_others(app: App, some: list[dict[str, Any]], line: float) -> None:
    given_ = [{**ROW, **row} for row in some]
    steps = (FIRST, f"/v1/models/double:chain?twice=value&when=probability>={line}", END)
    packed = answers(app, given_, *steps)
    assert packed == [answers(app, [row], *steps)[0] for row in given_]
    assert {tuple(p) for p in packed} == {("late", "probability", "twice")}


def test_two_servers_make_one_chain(tmp_path: Path, flights: str) -> None:
    """Each model behind its own endpoint, as in an InferenceGraph: what one answers is what the next is asked."""
    with serving(tmp_path, flights) as one, serving(tmp_path, models.write_double(tmp_path)) as two:
        body: Any = {"instances": rows(1, 20)}
        for url, path in ((one.url, FIRST), (two.url, SECOND), (one.url, END)):
            body = httpx.post(url + path, json=body).json()
    assert [p["twice"] for p in body["predictions"]] == [None, 41.0]
