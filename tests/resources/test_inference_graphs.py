"""InferenceGraphs hold to the CRD, and a chain's nodes make KServe's router answer row by row."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway.errors import InputError
from seaway.graphs.conditions import Condition, read_document
from seaway.graphs.lint import errors, lint
from seaway.resources.chain import Chain, ChainStep
from seaway.resources.graph_form import graph_form
from seaway.resources.inference_graph import RouterTimeouts, inference_graph, sequence, splitter, step
from seaway.resources.when import OPERATORS, When
from seaway.serving.app import App
from seaway.serving.served import ServedModel
from tests.serving import models
from tests.serving.models import ROW

CRDS = Path(__file__).parents[3] / "shared" / "crds" / "check.py"
URLS = {"late": "http://late.svc", "delay": "http://delay.svc/"}
LATE = {"service": "late", "answers": {"late": "label", "probability": "probability"}}
CHAIN = {"chain": [LATE, {"service": "delay", "answers": {"minutes": "value"}, "when": "probability >= 0.3"}]}
EVERYTHING: dict[str, Any] = {
    "labels": {"a": "b"},
    "annotations": {"c": "d"},
    "min_replicas": 2,
    "max_replicas": 3,
    "scale_metric": "cpu",
    "scale_target": 80,
    "cpu": "500m",
    "memory": "256Mi",
    "timeout_s": 30,
    "router_timeouts": RouterTimeouts(server_read=1, server_write=60, server_idle=3, service_client=20),
    "service_account": "sa",
}


def test_a_chain_declares_every_key_at_its_first_step_and_ends_without_the_rows() -> None:
    nodes = graph_form(CHAIN).nodes(URLS)
    assert nodes == {
        "root": {
            "routerType": "Sequence",
            "steps": [
                {"nodeName": "ask", "dependency": "Hard"},
                {
                    "name": "answer",
                    "serviceUrl": "http://late.svc/v1/models/late:answer?late&probability&minutes",
                    "data": "$response",
                    "dependency": "Hard",
                },
            ],
        },
        "ask": {
            "routerType": "Sequence",
            "steps": [
                {
                    "name": "late",
                    "serviceUrl": "http://late.svc/v1/models/late:chain?late=label&probability=probability&minutes=",
                    "dependency": "Hard",
                },
                {
                    "name": "delay",
                    "serviceUrl": "http://delay.svc/v1/models/delay:chain?minutes=value&when=probability%3E%3D0.3",
                    "data": "$response",
                    "condition": "predictions.#(probability>=0.3)",
                    "dependency": "Hard",
                },
            ],
        },
    }


def test_a_split_asks_the_models_as_a_client_would() -> None:
    form = graph_form({"split": [{"service": "late", "weight": 90.0}, {"service": "delay", "weight": 10}]})
    assert form.services == ("late", "delay")
    steps = form.nodes(URLS)["root"]["steps"]
    assert [(s["serviceUrl"], s["weight"]) for s in steps] == [
        ("http://late.svc/v1/models/late:predict", 90),
        ("http://delay.svc/v1/models/delay:predict", 10),
    ]


@pytest.mark.skipif(not CRDS.exists(), reason="the CRD schemas are not here")
def test_every_graph_holds_to_the_crd(tmp_path: Path) -> None:
    nodes = {
        "root": {"routerType": "Sequence", "steps": [{"serviceName": "late"}, {"nodeName": "n", "data": "$response"}]}
    }
    nodes["n"] = {"routerType": "Splitter", "steps": [{"serviceUrl": "http://x", "weight": 100.0}]}
    split: dict[str, Any] = {"split": [{"service": "late", "weight": 50}, {"service": "delay", "weight": 50}]}
    graphs = [
        inference_graph(name=f"g{i}", nodes=graph_form(raw).nodes(URLS), **more)
        for i, raw in enumerate((CHAIN, split, {"nodes": nodes}))
        for more in ({}, EVERYTHING, {"deployment_mode": "Knative", "min_replicas": 0, "scale_metric": "rps"})
    ]
    assert all(not errors(lint(g["spec"])) for g in graphs)
    file = tmp_path / "graphs.yaml"
    file.write_text(yaml.safe_dump_all([dict(g) for g in graphs]))
    checked = subprocess.run([sys.executable, CRDS, file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(": ok") == len(graphs)


def test_a_graph_says_what_it_is_given_and_nothing_else() -> None:
    nodes = {"root": sequence(steps=[step(service="late")])}
    assert inference_graph(name="g", nodes=nodes)["spec"] == {"nodes": nodes, "minReplicas": 1, "maxReplicas": 1}
    spec = inference_graph(name="g", nodes=nodes, **EVERYTHING)["spec"]
    assert spec["resources"] == {
        "requests": {"cpu": "500m", "memory": "256Mi"},
        "limits": {"cpu": "500m", "memory": "256Mi"},
    }
    assert spec["routerTimeouts"] == {"serverRead": 1, "serverWrite": 60, "serverIdle": 3, "serviceClient": 20}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({}, "one key of ['chain', 'split', 'nodes']"),
        ({"chains": []}, "one key of ['chain', 'split', 'nodes'], found ['chains']"),
        ({**CHAIN, "split": []}, "one key of"),
        ([], "one key of"),
        ({"chain": []}, "at least one object"),
        ({"chain": {"service": "late"}}, "a list of at least one object"),
        ({"chain": ["late"]}, "chain step 0 must be an object"),
        ({"chain": [{**LATE, "whn": "p > 1"}]}, "may have ['when'], found ['answers', 'service', 'whn']"),
        ({"chain": [{"service": "late"}]}, "must have ['service', 'answers']"),
        ({"chain": [{**LATE, "service": ""}]}, "must name its service"),
        ({"chain": [{**LATE, "answers": {}}]}, "at least one key"),
        ({"chain": [{**LATE, "answers": ["label"]}]}, "at least one key"),
        ({"chain": [{**LATE, "answers": {"a-b": "label"}}]}, "letters, digits or '_'"),
        ({"chain": [{**LATE, "answers": {"when": "label"}}]}, "not 'when'"),
        ({"chain": [{**LATE, "answers": {"late": None}}]}, "must name an answer of the model"),
        ({"chain": [{**LATE, "when": "late == true"}]}, "an earlier step, which are none"),
        ({"chain": [LATE, {**LATE, "when": "minutes > 1"}]}, "an earlier step, which are ['late', 'probability']"),
        ({"chain": [LATE, {**LATE, "when": "late => true"}]}, "KEY OPERATOR VALUE"),
        ({"chain": [LATE, {**LATE, "when": 5}]}, "when must be a text"),
        ({"split": [{"service": "late", "weight": 90}]}, "sum to 100, found [90]"),
        ({"split": [{"service": "late", "weight": 100}, {"service": "late", "weight": 0}]}, "each once"),
        ({"split": [{"service": "late", "weight": 99.5}, {"service": "delay", "weight": 0.5}]}, "whole numbers"),
        ({"split": [{"service": "late", "weight": True}]}, "whole numbers"),
        ({"split": [{"service": "late", "weight": 150}, {"service": "delay", "weight": -50}]}, "0 to 100"),
        ({"nodes": {"ask": {}}}, "with a node 'root'"),
        ({"nodes": {"root": {"routerType": "Sequence"}}}, "must have ['routerType', 'steps']"),
        ({"nodes": {"root": {"routerType": "Sequence", "steps": [1]}}}, "a list of objects"),
    ],
)
def test_what_is_no_graph_is_refused_in_words(raw: Any, words: str) -> None:
    with pytest.raises(InputError) as refused:
        graph_form(raw)
    assert words in str(refused.value)


def test_a_step_and_a_node_are_checked() -> None:
    with pytest.raises(InputError, match="one of service, url and node, found none"):
        step(name="x")
    with pytest.raises(InputError, match="one of service, url and node"):
        step(service="a", url="http://b")
    with pytest.raises(InputError, match="no weight"):
        sequence(steps=[step(service="a", weight=1)])
    with pytest.raises(InputError, match="at least one step"):
        splitter(steps=[])
    with pytest.raises(InputError, match="no condition and no data"):
        splitter(steps=[step(service="a", weight=100, data="$response")])
    with pytest.raises(InputError, match="a node 'root'"):
        inference_graph(name="g", nodes={"ask": sequence(steps=[step(service="a")])})
    with pytest.raises(InputError, match="at least 1"):
        inference_graph(name="g", nodes={"root": sequence(steps=[step(service="a")])}, min_replicas=0)


KEYS = st.sampled_from(["p", "q", "late", "Z9_"])
VALUES = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4) | st.sampled_from(["AA", "B6", "a b", "0.3", "true"])
)  # fmt: skip


def whens() -> st.SearchStrategy[When]:
    def valid(parts: tuple[str, str, Any]) -> bool:
        return parts[1] in ("==", "!=") or not (parts[2] is None or isinstance(parts[2], bool))

    return st.tuples(KEYS, st.sampled_from([*OPERATORS]), VALUES).filter(valid).map(lambda parts: When(*parts))


@given(whens())
def test_a_condition_is_read_as_it_is_written(when: When) -> None:
    again = When.parse(str(when))
    assert again == when
    assert type(again.value) is type(when.value)


@settings(max_examples=200)
@given(whens(), st.lists(VALUES | st.just([1]), min_size=1, max_size=4), st.data())
def test_the_router_skips_a_step_only_if_no_row_fulfils_its_condition(
    when: When, values: list[Any], data: st.DataObject
) -> None:
    values = [data.draw(st.sampled_from([v, when.value])) for v in values]
    rows: list[dict[str, Any]] = [{when.key: v} for v in values]
    if any(when.holds(row) for row in rows) and when.condition:
        assert Condition(when.condition).holds(read_document(json.dumps({"predictions": rows}).encode()))


def test_no_row_that_fulfils_a_condition_of_numbers_means_that_the_step_is_skipped() -> None:
    condition = Condition(When("p", ">=", 0.3).condition)
    assert not condition.holds(read_document(b'{"predictions": [{"p": 0.29999}, {"p": null}, {"q": 1}]}'))
    assert condition.holds(read_document(b'{"predictions": [{"p": 0.1}, {"p": 0.3}]}'))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = tmp_path_factory.mktemp("models")
    return App([ServedModel.open(models.write_flights(folder)), ServedModel.open(models.write_double(folder))])


def post(app: App, url: str, body: bytes) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    path, query = urlsplit(url).path, urlsplit(url).query.encode()
    asyncio.run(
        app({"type": "http", "method": "POST", "path": path, "query_string": query, "headers": []}, receive, send)
    )
    return sent[0]["status"], b"".join(m["body"] for m in sent[1:])


def route(app: App, nodes: Any, name: str, body: bytes, asked: list[str]) -> tuple[int, bytes]:
    """A Sequence as KServe's router runs it."""
    status, response = 200, b""
    for number, one in enumerate(nodes[name]["steps"]):
        request = response if one.get("data") == "$response" and number else body
        if one.get("condition") and not Condition(one["condition"]).holds(read_document(response)):
            return 200, response
        if "nodeName" in one:
            status, response = route(app, nodes, one["nodeName"], request, asked)
        else:
            asked.append(one["name"])
            status, response = post(app, one["serviceUrl"], request)
        if one.get("dependency") == "Hard" and not 200 <= status < 300:
            break
    return status, response


def by_hand(app: App, chain: Chain, row: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = dict.fromkeys(chain.keys)
    for one in chain.steps:
        if one.when is None or one.when.holds(answer):
            own = {k: v for k, v in row.items() if (k == "x") == (one.service == "double")}
            body = json.dumps({"instances": [own]}).encode()
            (found,) = json.loads(post(app, f"/v1/models/{one.service}:predict", body)[1])["predictions"]
            answer |= {key: found[name] for key, name in one.answers.items()}
    return answer


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """One to five steps over a classifier and a regressor, with conditions of every kind."""
    known: list[str] = []
    steps = []
    for _ in range(draw(st.integers(1, 5))):
        service = draw(st.sampled_from(["flights", "double"]))
        names = ["label", "probability", "probabilities"] if service == "flights" else ["value"]
        answers = draw(st.dictionaries(st.sampled_from("abcde"), st.sampled_from(names), min_size=1, max_size=3))
        when, conditional = None, draw(st.booleans())
        if known and conditional:
            key, value = draw(st.sampled_from(known)), draw(st.sampled_from([0.3, 0.9, 5, True, False, None, "x"]))
            ops: list[str] = ["==", "!="] if value is None or isinstance(value, bool) else [*OPERATORS]
            when = When(key, draw(st.sampled_from(ops)), value)
        steps.append(ChainStep(service=service, answers=answers, when=when))
        known += [k for k in answers if k not in known]
    return Chain(steps=tuple(steps))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chains(), st.lists(st.integers(0, 23), min_size=1, max_size=5))
def test_any_chain_through_the_router_answers_each_row_as_asking_by_hand_does(
    app: App, chain: Chain, hours: list[int]
) -> None:
    urls = dict.fromkeys(("flights", "double"), "http://x")
    nodes = chain.nodes(urls)
    assert not errors(lint({"nodes": nodes}))
    given_ = [{**ROW, "hour": hour, "x": hour / 2} for hour in hours]
    expected = [by_hand(app, chain, row) for row in given_]
    for some, right in ((given_, expected), *(([row], [one]) for row, one in zip(given_, expected, strict=True))):
        status, body = route(app, nodes, "root", json.dumps({"instances": some}).encode(), [])
        assert status == 200, body
        assert json.loads(body) == {"predictions": right}
        assert all(list(p) == list(chain.keys) for p in json.loads(body)["predictions"])


def test_a_step_that_no_row_needs_is_not_asked_and_later_ones_are(app: App) -> None:
    raw = {
        "chain": [
            {"service": "flights", "answers": {"p": "probability"}},
            {"service": "double", "answers": {"high": "value"}, "when": "p >= 0.9"},
            {"service": "double", "answers": {"low": "value"}, "when": "p < 0.9"},
        ]
    }
    nodes = graph_form(raw).nodes({"flights": "http://x", "double": "http://x"})
    for hours, names in (([1], ["flights", "double-2"]), ([23], ["flights", "double-1"])):
        asked: list[str] = []
        body = json.dumps({"instances": [{**ROW, "hour": hour, "x": 1} for hour in hours]}).encode()
        status, answer = route(app, nodes, "root", body, asked)
        assert status == 200
        assert asked == [*names, "answer"]
        assert list(json.loads(answer)["predictions"][0]) == ["p", "high", "low"]


def test_a_refusal_of_a_step_is_the_graphs_answer(app: App) -> None:
    nodes = graph_form({"chain": [{"service": "double", "answers": {"y": "value"}}]}).nodes({"double": "http://x"})
    status, body = route(app, nodes, "root", b'{"instances": [{"x": "?"}]}', [])
    assert status == 400
    assert "'x': must be a number" in json.loads(body)["error"]
