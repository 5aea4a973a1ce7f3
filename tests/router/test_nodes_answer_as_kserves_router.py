from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.serving.router.instances import to_instances
from seaway.serving.router.nodes import NODES, Answer, GraphError, Headers, Plan, Walk

Says = Callable[[str, bytes], Answer]


def walk(
    spec: dict[str, Any], says: Says, body: bytes = b"{}", draw: int = 0
) -> tuple[Answer, list[tuple[str, bytes]]]:
    """The graph's answer, and what was asked on the way."""
    asked: list[tuple[str, bytes]] = []

    async def call(url: str, body: bytes, headers: Headers) -> Answer:
        asked.append((url, body))
        return says(url, body)

    answer = asyncio.run(Walk(plan=Plan.of(spec), call=call, draw=lambda: draw).answer(body))
    return answer, asked


def steps(*found: dict[str, Any], type_: str = "Sequence") -> dict[str, Any]:
    return {"nodes": {"root": {"routerType": type_, "steps": list(found)}}}


def cause(spec: dict[str, Any], says: Says = lambda url, body: (200, b"{}"), **more: Any) -> tuple[int, str]:
    with pytest.raises(GraphError) as failed:
        walk(spec, says, **more)
    return failed.value.status, failed.value.cause


@pytest.mark.parametrize(("data", "second"), [
    (None, b'"in"'), ("", b'"in"'), ("$request", b'"in"'), ("$response", b'"out"'), ("$response.predictions", b'"in"'),
])  # fmt: skip
def test_only_response_hands_the_answer_on(data: str | None, second: bytes) -> None:
    first = {"serviceUrl": "one", "data": "$response"}
    then = {"serviceUrl": "two"} | ({} if data is None else {"data": data})
    _, asked = walk(steps(first, then), lambda url, body: (200, b'"out"'), b'"in"')
    assert asked == [("one", b'"in"'), ("two", second)]


@pytest.mark.parametrize("status", [200, 404, 500])
def test_the_status_is_the_last_steps(status: int) -> None:
    answer, _ = walk(steps({"serviceUrl": "one"}), lambda url, body: (status, b"x"))
    assert answer == (status, b"x")


@pytest.mark.parametrize("status", [200, 503])
def test_where_a_condition_does_not_hold_the_answer_before_is_given_with_200(status: int) -> None:
    spec = steps({"serviceUrl": "one"}, {"serviceUrl": "two", "condition": "predictions.#(p>0.5)"})
    answer, asked = walk(spec, lambda url, body: (status, b'{"predictions":[{"p":0.4}]}'))
    assert answer == (200, b'{"predictions":[{"p":0.4}]}')
    assert [url for url, _ in asked] == ["one"]


def test_a_condition_asks_the_answer_before_whatever_data_says() -> None:
    spec = steps({"serviceUrl": "one"}, {"serviceUrl": "two", "condition": "yes", "data": ""})
    _, asked = walk(spec, lambda url, body: (200, b'{"yes":null}'), b'{"no":1}')
    assert asked == [("one", b'{"no":1}'), ("two", b'{"no":1}')]


@pytest.mark.parametrize("spec", [
    steps({"serviceUrl": "one", "condition": "a"}),
    steps({"serviceUrl": "one"}, {"serviceUrl": "two", "condition": "a"}),
])  # fmt: skip
def test_a_condition_on_what_is_no_json_fails(spec: dict[str, Any]) -> None:
    assert cause(spec, lambda url, body: (200, b"text")) == (500, "invalid response")


@pytest.mark.parametrize(("dependency", "status", "asked"), [
    ("Hard", 404, ["one"]), ("Hard", 200, ["one", "two"]), ("Hard", 299, ["one", "two"]), ("Hard", 302, ["one"]),
    ("Soft", 404, ["one", "two"]), ("", 500, ["one", "two"]),
])  # fmt: skip
def test_a_hard_step_that_fails_ends_the_sequence(dependency: str, status: int, asked: list[str]) -> None:
    spec = steps({"serviceUrl": "one", "dependency": dependency}, {"serviceUrl": "two", "data": "$response"})
    answer, found = walk(spec, lambda url, body: (status if url == "one" else 200, url.encode()))
    assert [url for url, _ in found] == asked
    assert answer == ((200, b"two") if len(asked) == 2 else (status, b"one"))
    if len(asked) == 2:
        assert found[1][1] == b"one"  # what failed softly is data


@pytest.mark.parametrize("dependency", ["Soft", "Hard"])
def test_a_service_that_cannot_be_asked_fails_the_graph(dependency: str) -> None:
    def refuses(url: str, body: bytes) -> Answer:
        raise GraphError("refused", 503)

    spec = steps({"serviceUrl": "one", "dependency": dependency}, {"serviceUrl": "two"})
    assert cause(spec, refuses) == (500, "refused")


@given(st.lists(st.integers(0, 100), min_size=1, max_size=5), st.integers(0, 99))
def test_a_splitter_takes_each_step_as_often_as_its_weight_says(cuts: list[int], draw: int) -> None:
    edges = [0, *sorted(cuts), 100]
    weights = [high - low for low, high in pairwise(edges)]
    spec = steps(*({"serviceUrl": str(i), "weight": w} for i, w in enumerate(weights)), type_="Splitter")
    _, ((url, _),) = walk(spec, lambda url, body: (200, b""), draw=draw)
    assert edges[int(url)] <= draw < edges[int(url) + 1]


def test_a_splitter_hands_on_any_answer_and_reads_nothing_but_weights() -> None:
    step = {"serviceUrl": "one", "weight": 100, "dependency": "Hard", "condition": "never", "data": "$response",
            "mapPredictionsToInstances": True}  # fmt: skip
    body = b'{"predictions":[1]}'
    assert walk(steps(step, type_="Splitter"), lambda url, body: (503, b"x"), body) == ((503, b"x"), [("one", body)])
    short = steps({"serviceUrl": "one", "weight": 40}, type_="Splitter")
    assert cause(short, draw=40) == (500, "no route was selected by the splitter")


def test_nodes_lead_into_one_another_and_nodename_wins() -> None:
    spec = {
        "nodes": {
            "root": {
                "routerType": "Sequence",
                "steps": [{"nodeName": "inner", "serviceUrl": "never"}, {"serviceUrl": "two", "data": "$response"}],
            },
            "inner": {"routerType": "Splitter", "steps": [{"serviceUrl": "one", "weight": 100}]},
        }
    }
    answer, asked = walk(spec, lambda url, body: (200, url.encode()), b"in")
    assert asked == [("one", b"in"), ("two", b"one")]
    assert answer == (200, b"two")


def test_keys_are_read_whatever_their_case() -> None:
    spec = {"Nodes": {"root": {"ROUTERTYPE": "Sequence", "steps": [{"ServiceURL": "one", "unknown": 1}]}}}
    assert walk(spec, lambda url, body: (200, b"x"))[1] == [("one", b"{}")]


@pytest.mark.parametrize("nodes", [
    {}, {"root": {"routerType": "", "steps": []}}, {"root": {"routerType": "Sequence", "steps": [{"nodeName": "no"}]}},
])  # fmt: skip
def test_a_node_that_is_not_there_fails(nodes: dict[str, Any]) -> None:
    assert cause({"nodes": nodes}) == (500, "invalid route type: ")


def test_steps_are_told_with_their_status() -> None:
    told: list[tuple[str, str, int]] = []

    async def call(url: str, body: bytes, headers: Headers) -> Answer:
        if url == "two":
            raise GraphError("no")
        return 201, b""

    plan = Plan.of(steps({"serviceUrl": "one"}, {"serviceUrl": "two"}))
    route = Walk(plan=plan, call=call, told=lambda node, step, s, status: told.append((node, step.url, status)))
    with pytest.raises(GraphError):
        asyncio.run(route.answer(b""))
    assert told == [("root", "one", 201), ("root", "two", 0)]


def test_what_runs_here_is_one_row_a_type() -> None:
    assert set(NODES) == {"Sequence", "Splitter"}


@pytest.mark.parametrize(("body", "request_"), [
    (b'{"predictions":[1,2.5]}', b'{"instances":[1,2.5]}'),
    (b'{"model":"m","Predictions":[{"b":1,"a":[]}]}', b'{"instances":[{"a":[],"b":1}]}'),
    (b'{"predictions":[12345678901234567890,1.0,1e3,1e-7,-0.0,1e21,0.000001]}',
     b'{"instances":[12345678901234567000,1,1000,1e-7,-0,1e+21,0.000001]}'),
    ('{"predictions":["<a&b>\\u2028é\\n\\u0001"]}'.encode(),
     '{"instances":["\\u003ca\\u0026b\\u003e\\u2028é\\n\\u0001"]}'.encode()),
    (b'{"predictions":[null,true,false,{}]}', b'{"instances":[null,true,false,{}]}'),
    (b'{"predictions":[],"x":1}', b'{"predictions":[],"x":1}'),
    (b'{"instances":[1] }', b'{"instances":[1] }'),
    (b'{"predictions":null}', b'{"predictions":null}'),
])  # fmt: skip
def test_predictions_become_instances(body: bytes, request_: bytes) -> None:
    step = {"serviceUrl": "two", "data": "$response", "mapPredictionsToInstances": True}
    _, asked = walk(steps({"serviceUrl": "one"}, step), lambda url, _: (200, body))
    assert asked[1][1] == request_
    assert walk(steps(step), lambda url, _: (200, b""), body)[1][0][1] == request_


@pytest.mark.parametrize(("body", "words"), [
    (b"text", "needs a JSON object, found none"), (b"[]", "found a list"), (b'{"predictions":"x"}', "found a text"),
    (b'{"predictions":[1e999]}', "numbers of float64"), (b'{"predictions":[NaN]}', "NaN is not JSON"),
    (b'{"predictions":' + b"[" * 600 + b"]" * 600 + b"}", "nest at most"), (b"[" * 100000, "needs a JSON object"),
])  # fmt: skip
def test_what_has_no_predictions_fails_in_words(body: bytes, words: str) -> None:
    status, said = cause(steps({"serviceUrl": "one", "mapPredictionsToInstances": True}), body=body)
    assert status == 500
    assert words in said


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=4))
def test_instances_mean_what_the_predictions_meant(predictions: list[Any]) -> None:
    out = to_instances(json.dumps({"predictions": predictions}).encode())
    assert json.loads(out, parse_int=float) == {"instances": predictions}
