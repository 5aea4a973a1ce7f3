from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.graphs.lint import DEPTH_LIMIT, Finding, errors, lint

GOOD = {
    "nodes": {
        "root": {
            "routerType": "Sequence",
            "steps": [
                {"serviceName": "late", "dependency": "Hard", "name": "first"},
                {"serviceUrl": "http://delay.svc:8080/v1/models/delay:chain?a=b", "data": "$response"},
            ],
        }
    }
}


def root(*steps: dict[str, Any], type_: str = "Sequence", **more: Any) -> dict[str, Any]:
    return {"nodes": {"root": {"routerType": type_, "steps": list(steps)}}} | more


A, B = {"serviceName": "a", "dependency": "Hard"}, {"serviceName": "b"}


def test_a_good_graph_has_no_findings() -> None:
    assert lint(GOOD) == []
    split = root({"serviceName": "a", "weight": 60}, {"serviceName": "b", "weight": 40}, type_="Splitter")
    assert lint(split) == []


@pytest.mark.parametrize(("spec", "text"), [
    ({}, "a graph must have a node named 'root', found []"),
    ({"nodes": []}, "spec.nodes must be an object, found list"),
    ({"nodes": {"root": {"routerType": "Sequence", "steps": "x"}}}, "steps must be a list, found str"),
    ({"nodes": {"root": {"routerType": "Sequence", "steps": [5]}}}, "must be an object, found int"),
    (root({"serviceName": 5}), "serviceName must be a text, found 5"),
    (root({"serviceName": "a", "weight": "1"}), "weight must be a whole number, found '1'"),
    (root({"serviceName": "a", "mapPredictionsToInstances": "yes"}), "must be true or false, found 'yes'"),
    (root(A, routerTimeouts={"serverRead": 1.5}), "server_read must be a whole number, found 1.5"),
    (root(A, type_="Parallel"), "routerType must be one of Sequence, Splitter, Ensemble, Switch, found 'Parallel'"),
    (root(), "node 'root': a Sequence must have steps, found none"),
    (root(type_="Splitter"), "a Splitter must have steps"),
    (root({}), "step 0 of node 'root': it must name one of nodeName, serviceName and serviceUrl, found none"),
    (root({"serviceName": "a", "serviceUrl": "http://x"}), "found serviceName and serviceUrl"),
    (root({"nodeName": "root"}), "nodes must not lead back to themselves, found root -> root"),
    (root({"nodeName": "b"}), "nodeName must be one of the nodes ['root'], found 'b'"),
    (root({"serviceName": "A"}), "serviceName must be the name of an InferenceService, found 'A'"),
    (root({"serviceUrl": "x"}), "serviceUrl must be an http or https URL with a host, found 'x'"),
    (root({"serviceUrl": "http://"}), "found 'http://'"),
    (root({"serviceUrl": "http://a:b/"}), "found 'http://a:b/'"),
    (root({"serviceUrl": "http://a/ b"}), "without spaces"),
    (root({"name": "x", **A}, {"name": "x", **B}), "names of steps must be distinct, found 'x' more than once"),
    (root({"serviceName": "a", "dependency": "Firm"}), "dependency must be Soft or Hard, found 'Firm'"),
    (root({"serviceName": "a", "condition": "x"}), "the first step has none"),
    (root(A, {**B, "condition": "a=="}), "must write comparisons as queries"),
    (root({"serviceName": "a"}, type_="Splitter"), "a Splitter's weight must be 0 to 100, found none"),
    (root({"serviceName": "a", "weight": 90}, type_="Splitter"), "must add up to 100, found 90"),
    (root({"serviceName": "a", "weight": 110}, {"serviceName": "b", "weight": -10}, type_="Splitter"), "found -10"),
])  # fmt: skip
def test_what_the_cluster_refuses_or_breaks_on_is_an_error(spec: dict[str, Any], text: str) -> None:
    assert any(text in one for one in errors(lint(spec))), lint(spec)


@pytest.mark.parametrize(("spec", "text"), [
    (root(A, {**B, "data": "$response.predictions"}), "data must be '$response' to get the answer of the step before"),
    (root({**A, "data": "$response"}), "before the first step there is no answer"),
    (root({**A, "weight": 5}), "weight is read in a Splitter only"),
    (root({"serviceName": "a", "dependency": "Soft"}), "a service that cannot be reached or times out fails the whole"),
    (root({"serviceName": "a"}, {**B, "condition": "#(a==1)"}), "with status 200: set dependency to Hard"),
    (root({"serviceName": "a"}, {**B, "data": "$response"}), "its error is sent to the next step as input"),
    (root(A, {**B, "condition": "#(a==1)"}), "its condition is asked once for a whole answer"),
    (root(A, {**B, "condition": "late"}), "finds false and null too: compare"),
    (root(A, {**B, "condition": "x.#(a==1)#"}), "finds a list, perhaps an empty one"),
    (root(A, {**B, "condition": "x.#.y"}), "finds a list, perhaps an empty one"),
    (root({"serviceName": "a", "weight": 100, "condition": "x"}, type_="Splitter"), "Splitter does not read condition"),
    (root({"serviceName": "a", "weight": 100}, {"serviceName": "b", "weight": 0}, type_="Splitter"), "never chosen"),
    (root({"serviceName": "a"}, type_="Switch"), "without a condition it is never chosen"),
    (root({"serviceName": "a", "data": "$response"}, type_="Ensemble"), "routerType Ensemble does not read data"),
    ({"nodes": {**GOOD["nodes"], "lost": {"routerType": "Sequence", "steps": [A]}}}, "is reached from no step"),
    (root(A, routerTimeouts={"serviceClient": 90}), "make serverWrite the longer one"),
    (root(type_="Ensemble"), "must have steps, found none"),
])  # fmt: skip
def test_what_surprises_people_is_a_warning(spec: dict[str, Any], text: str) -> None:
    found = lint(spec)
    assert errors(found) == []
    assert any(text in one.text for one in found), found


def test_a_cycle_is_told_by_its_nodes_and_depth_has_an_end() -> None:
    def chain(count: int, last: dict[str, Any]) -> dict[str, Any]:
        nodes = {f"n{i}": {"routerType": "Sequence", "steps": [{"nodeName": f"n{i + 1}"}]} for i in range(count)}
        return {"nodes": {"root": {"routerType": "Sequence", "steps": [{"nodeName": "n0"}]}, **nodes,
                          f"n{count}": {"routerType": "Sequence", "steps": [last]}}}  # fmt: skip

    assert "found n0 -> n1 -> n2 -> n0" in " ".join(errors(lint(chain(2, {"nodeName": "n0"}))))
    assert lint(chain(DEPTH_LIMIT - 2, A)) == []
    assert "at most 50 nodes may lead into one another, found 5002" in errors(lint(chain(5000, A)))[0]
    twice = root({"nodeName": "b"}, {"nodeName": "b"})
    twice["nodes"]["b"] = {"routerType": "Sequence", "steps": [A]}
    assert lint(twice) == []


def test_types_that_do_not_run_where_it_goes_are_errors_there_only() -> None:
    spec = root({"serviceName": "a", "condition": "#(a==1)"}, type_="Switch")
    assert errors(lint(spec)) == []
    (text,) = errors(lint(spec, router_types=("Sequence", "Splitter")))
    assert text == (
        "node 'root': the laptop runs nodes of routerType Sequence and Splitter so far, found Switch; use a cluster "
        "for this graph"
    )


def test_a_services_url_may_stand_beside_its_name_once_it_is_resolved() -> None:
    spec = root({"serviceName": "a", "serviceUrl": "http://a/"})
    assert errors(lint(spec, resolved=True)) == []
    assert len(errors(lint(spec))) == 1


def test_errors_come_first_and_say_what_they_are() -> None:
    found = lint(root({"serviceName": "a", "dependency": "Soft"}, {"serviceName": "B"}))
    assert [one.severity for one in found] == ["error", "warning"]
    assert str(Finding("error", "x")) == "error: x"


FIELD = (
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=4) | st.sampled_from(["root", "b", "$response"])
)
STEP = st.dictionaries(
    st.sampled_from(["name", "nodeName", "serviceName", "serviceUrl", "data", "weight", "condition", "dependency", "x",
                     "mapPredictionsToInstances", "NODENAME"]),
    FIELD, max_size=5,
)  # fmt: skip
NODE = st.fixed_dictionaries({
    "routerType": st.sampled_from(["Sequence", "Splitter", "Ensemble", "Switch", "", "X", None, 5]),
    "steps": st.lists(STEP | FIELD, max_size=3) | FIELD,
})  # fmt: skip


INNER = st.dictionaries(st.sampled_from(["root", "b", "serverRead"]), NODE | FIELD, max_size=3)


@given(st.dictionaries(st.sampled_from(["nodes", "routerTimeouts"]), INNER | FIELD))
def test_whatever_is_given_is_linted(spec: dict[str, Any]) -> None:
    found = lint(spec)
    assert found == lint(json.loads(json.dumps(spec)))
    assert all(one.text and one.severity in ("error", "warning") for one in found)
