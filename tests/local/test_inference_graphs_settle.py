from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.local.api.rules import inferencegraph as rules
from seaway.local.controllers.base import Observed
from seaway.local.controllers.graphservices import Problem, resolve
from seaway.local.controllers.inferencegraph import PROPAGATED, InferenceGraphController
from seaway.local.controllers.revisions import rolled
from seaway.local.processes.environment import launch

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
Objects = list[dict[str, Any]]


def a_graph(*steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    nodes = {"root": {"routerType": "Sequence", "steps": list(steps)}}
    metadata = {"name": "g", "uid": "u", "generation": 1, "namespace": "default"}
    return {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "InferenceGraph", "metadata": metadata,
            "spec": {"nodes": nodes} | spec}  # fmt: skip


def a_service(name: str = "late", *, serves: bool = True, **predictor: Any) -> dict[str, Any]:
    status = {"address": {"url": "http://127.0.0.1:1"}, "conditions": [{"type": "IngressReady", "status": str(serves)}]}
    return {"metadata": {"name": name}, "spec": {"predictor": predictor}, "status": status}


def found(*services: dict[str, Any]) -> Any:
    by_name = {one["metadata"]["name"]: one for one in services}
    return lambda resource, namespace, name: by_name.get(name) if resource.startswith("inferenceservices") else None


def pod(name: str, revision: str, *, ready: bool, leaving: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "uid": name, "labels": {"seaway.dev/revision": revision}}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


PODS = st.lists(
    st.builds(
        lambda i, new, ready, leaving: pod(f"p{i}", f"g-router-0000{1 + new}", ready=ready, leaving=leaving),
        st.integers(0, 99), st.booleans(), st.booleans(), st.booleans(),
    ),
    max_size=6, unique_by=lambda one: one["metadata"]["uid"],
)  # fmt: skip


@given(PODS, st.integers(1, 3))
def test_what_serves_goes_only_when_enough_of_the_newest_serve(pods: Objects, wanted: int) -> None:
    new = [one for one in pods if one["metadata"]["labels"]["seaway.dev/revision"].endswith("2")]
    old = [one for one in pods if one not in new]
    kept, missing = rolled(new, old, wanted)
    ready = [one for one in new if one["status"]["conditions"][0]["status"] == "True"]
    serving = [one for one in old if one["status"]["conditions"][0]["status"] == "True"]
    if len(ready) < wanted:
        assert all(one in kept for one in serving)
    lasting = [one for one in kept if one in new and "deletionTimestamp" not in one["metadata"]]
    assert len(lasting) + missing == wanted
    assert all(one in kept for one in pods if "deletionTimestamp" in one["metadata"])


@given(
    replicas=st.integers(0, 3), ready=st.lists(st.booleans(), max_size=4), service=st.sampled_from([None, False, True])
)
def test_a_second_look_at_a_graph_wants_nothing_more(replicas: int, ready: list[bool], service: bool | None) -> None:
    known = found() if service is None else found(a_service(serves=service, containers=[{}]))
    controller, ports = InferenceGraphController(known), iter(range(20000, 21000))
    manifest, children = a_graph({"serviceName": "late"}, minReplicas=replicas), []
    unchanged = copy.deepcopy(manifest)
    observed = Observed(now=NOW, free_port=lambda: next(ports))
    current = manifest | {"status": controller.status(manifest, observed)}
    for _ in range(3):
        observed = Observed(now=NOW, children=children, free_port=lambda: next(ports))
        after = []
        for number, one in enumerate(controller.desired(current, observed)):
            made = copy.deepcopy(one)
            made["metadata"].setdefault("uid", f"n{len(children)}-{number}")
            after.append(made)
        for child, one in zip(after, ready, strict=False):
            child["status"] = {"conditions": [{"type": "Ready", "status": str(one)}]}
        settled = {c["metadata"]["uid"] for c in after} == {c["metadata"]["uid"] for c in children}
        children = after
        current = current | {"status": controller.status(current, Observed(now=NOW, children=children))}
    assert settled
    assert manifest == unchanged
    assert len(children) == (max(1, replicas) if service else 0)
    again = controller.status(current, Observed(now=NOW, children=children))
    assert again == current["status"]
    conditions = {one["type"]: one for one in again["conditions"]}
    good = bool(service) and len(ready) >= max(1, replicas) and all(ready[: max(1, replicas)])
    assert (conditions["Ready"]["status"] == "True") == good == ("url" in again)
    assert conditions["Stopped"]["status"] == "False"
    if not service:
        assert conditions["Ready"]["reason"] == ("ServiceNotFound" if service is None else "ServiceNotReady")


@pytest.mark.parametrize(("predictor", "path"), [
    ({"model": {"modelFormat": {"name": "seaway"}}}, "/v1/models/late:predict"),
    ({"model": {"protocolVersion": "v2"}}, "/v2/models/late/infer"),
    ({"model": {"protocolVersion": "v2", "runtime": "seaway"}}, "/v1/models/late:predict"),
    ({"model": {"protocolVersion": "v2", "args": ["--model_name=own"]}}, "/v2/models/own/infer"),
    ({"model": {"args": ["--model_name", "own", "--x"]}}, "/v1/models/own:predict"),
    ({"model": {"args": ["--model_name", "--x"]}}, "/v1/models/late:predict"),
    ({"model": {"env": [{"name": "MLSERVER_MODEL_NAME", "value": "own"}]}}, "/v1/models/own:predict"),
    ({"sklearn": {"protocolVersion": "v2"}}, "/v2/models/late/infer"),
    ({"containers": [{"args": ["--model_name=own"]}]}, "/v1/models/own:predict"),
])  # fmt: skip
def test_a_services_url_is_where_kserve_says_its_model_answers(predictor: dict[str, Any], path: str) -> None:
    made = resolve(a_graph({"serviceName": "late", "name": "x"}), found(a_service(**predictor)))
    assert made.spec["nodes"]["root"]["steps"] == [
        {"serviceName": "late", "name": "x", "serviceUrl": f"http://127.0.0.1:1{path}"}
    ]
    assert (made.problem, made.whole) == (None, True)


def test_what_keeps_a_service_from_being_asked_is_said() -> None:
    graph = a_graph({"serviceName": "late"})
    assert resolve(graph, found()).problem == Problem(
        "ServiceNotFound", 'Failed to find graph service late: inferenceservices.serving.kserve.io "late" not found'
    )
    assert resolve(graph, found(a_service(serves=False, containers=[{}]))).problem == Problem(
        "ServiceNotReady", "service late is not ready"
    )
    grpc = resolve(graph, found(a_service(model={"protocolVersion": "grpc-v2"}))).problem
    assert grpc is not None
    assert "does not support a protocol compatible with Inference Graphs" in grpc.message


def test_the_routers_command_carries_the_graph_as_it_is() -> None:
    url = "http://x/$(HOME)/$$?a=$(PATH)"
    graph = a_graph({"serviceUrl": url}, {"serviceUrl": url, "data": "$response"}, resources={"limits": {"cpu": "1"}})
    controller = InferenceGraphController(found())
    graph["status"] = controller.status(graph, Observed(now=NOW, free_port=lambda: 20000))
    (pod_,) = controller.desired(graph, Observed(now=NOW, free_port=lambda: 20001))
    pod_["metadata"] |= {"name": "p", "namespace": "default", "uid": "u"}
    container = pod_["spec"]["containers"][0]
    argv = launch(pod_, container, lambda *a: None, {"HOME": "/root", "PATH": "/bin"}).argv
    assert json.loads(argv[argv.index("--graph-json") + 1]) == {"nodes": graph["spec"]["nodes"]}
    assert [argv[i + 1] for i, one in enumerate(argv) if one == "--port"] == ["20001", "20000"]
    assert container["env"] == [{"name": "PROPAGATE_HEADERS", "value": PROPAGATED}]
    assert container["resources"] == {"limits": {"cpu": "1"}}


@pytest.mark.parametrize(("data", "value"), [
    (None, PROPAGATED), ({}, PROPAGATED), ({"router": "nonsense"}, PROPAGATED), ({"router": "{}"}, PROPAGATED),
    ({"router": '{"headers":{"propagate":["A","B"]}}'}, "A,B"), ({"router": '{"headers":{"propagate":[]}}'}, ""),
])  # fmt: skip
def test_kserves_own_configuration_chooses_the_headers(data: dict[str, str] | None, value: str) -> None:
    config = None if data is None else {"data": data}
    controller = InferenceGraphController(lambda *key: config if key[1] == "kserve" else None)
    graph = a_graph({"serviceUrl": "http://x"})
    graph["status"] = controller.status(graph, Observed(now=NOW, free_port=lambda: 20000))
    (pod_,) = controller.desired(graph, Observed(now=NOW))
    assert pod_["spec"]["containers"][0]["env"] == [{"name": "PROPAGATE_HEADERS", "value": value}]


def test_a_graph_too_large_for_a_command_says_so() -> None:
    controller = InferenceGraphController(found())
    graph = a_graph(*({"serviceUrl": f"http://x/{i}"} for i in range(5000)))
    (ready, _) = controller.status(graph, Observed(now=NOW, free_port=lambda: 20000))["conditions"]
    assert (ready["reason"], ready["message"].startswith("a graph must have at most 100000")) == ("InvalidGraph", True)


@given(st.dictionaries(st.sampled_from(["root", "b"]), st.fixed_dictionaries({
    "routerType": st.sampled_from(["Splitter", "Sequence"]),
    "steps": st.lists(st.dictionaries(st.sampled_from(["name", "serviceName", "nodeName"]), st.sampled_from(["a", ""])),
                      max_size=3),
})))  # fmt: skip
def test_the_webhook_says_one_thing_at_a_time(nodes: dict[str, Any]) -> None:
    graph = a_graph()
    graph["spec"]["nodes"] = nodes
    causes = rules.admit(None, graph)
    assert len(causes) <= 1
    if "root" not in nodes:
        assert causes[0]["message"].startswith("root node not found")
