from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.support.laptop import TestLaptop
from tests.support.services import Service, service
from tests.support.waiting import until

GROUP = "serving.kserve.io"
GRAPHS = (GROUP, "v1alpha1", "default", "inferencegraphs")
SERVICES = (GROUP, "v1beta1", "default", "inferenceservices")
MODEL = """
import http.server, json, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        given = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"word": os.environ["WORD"], "path": self.path, "given": json.loads(given)}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


class Graphs:
    def __init__(self, api: client.ApiClient) -> None:
        self.custom, self.core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    def create(self, name: str, steps: list[dict[str, Any]], *, type_: str = "Sequence", **more: Any) -> None:
        spec = more.pop("spec", {"nodes": {"root": {"routerType": type_, "steps": steps}}})
        body = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "InferenceGraph", "spec": spec | more,
                "metadata": {"name": name, "annotations": {}}}  # fmt: skip
        self.custom.create_namespaced_custom_object(*GRAPHS, body)

    def patch(self, name: str, body: dict[str, Any]) -> None:
        self.custom.patch_namespaced_custom_object(*GRAPHS, name, body)

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.custom.get_namespaced_custom_object(*GRAPHS, name)
        return found

    def condition(self, name: str, type_: str = "Ready") -> dict[str, Any]:
        found = self.get(name)
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        return next((one for one in status["conditions"] if one["type"] == type_), {})

    def ready(self, name: str) -> str:
        until(lambda: self.condition(name).get("status") == "True", what=f"{name}: {self.get(name).get('status')}")
        return str(self.get(name)["status"]["url"])

    def pods(self, name: str) -> list[Any]:
        return self.core.list_namespaced_pod("default", label_selector=f"{GROUP}/inferencegraph={name}").items

    def serve(self, name: str, word: str, **model: Any) -> None:
        env = [{"name": "WORD", "value": word}]
        container = {"name": "kserve-container", "image": "x", "command": ["python", "-c", MODEL], "env": env} | model
        body = {"apiVersion": f"{GROUP}/v1beta1", "kind": "InferenceService", "metadata": {"name": name},
                "spec": {"predictor": {"containers": [container]}}}  # fmt: skip
        self.custom.create_namespaced_custom_object(*SERVICES, body)


@pytest.fixture
def graphs(api: client.ApiClient) -> Iterator[Graphs]:
    found = Graphs(api)
    yield found
    for plural in (GRAPHS, SERVICES):
        for one in found.custom.list_namespaced_custom_object(*plural)["items"]:
            found.custom.delete_namespaced_custom_object(*plural, one["metadata"]["name"])
    until(lambda: found.core.list_namespaced_pod("default", label_selector=f"{GROUP}/inferencegraph").items == [])
    until(lambda: found.core.list_namespaced_pod("default", label_selector=f"{GROUP}/inferenceservice").items == [])


@pytest.fixture
def one() -> Iterator[Service]:
    with service(b'{"from":"one"}') as found:
        yield found


@pytest.fixture
def two() -> Iterator[Service]:
    with service(b'{"from":"two"}') as found:
        yield found


def ask(url: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(body or {}).encode(), headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def test_a_sequence_is_routed_at_the_url_of_the_status(graphs: Graphs, one: Service, two: Service) -> None:
    graphs.create("plain", [{"serviceUrl": one.url}, {"serviceUrl": two.url, "data": "$response"}])
    url = graphs.ready("plain")
    assert ask(url, {"instances": [1]}) == (200, {"from": "two"})
    assert one.asked[0].json == {"instances": [1]}
    assert two.asked[0].json == {"from": "one"}
    status = graphs.get("plain")["status"]
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("Ready", "True"), ("Stopped", "False")]
    assert status["deploymentMode"] == "Standard"


def test_tracing_headers_and_no_others_go_on_to_the_steps(graphs: Graphs, one: Service) -> None:
    graphs.create("traced", [{"serviceUrl": one.url}])
    given = {
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "x-request-id": "r1",
        "authorization": "Bearer t",
    }
    ask(graphs.ready("traced"), headers=given)
    assert one.asked[0].header("traceparent") == given["traceparent"]
    assert one.asked[0].header("x-request-id") == "r1"
    assert one.asked[0].header("authorization") is None


def test_a_service_is_found_by_its_name_and_waited_for(graphs: Graphs) -> None:
    graphs.create("named", [{"serviceName": "late", "name": "first"}])
    until(lambda: graphs.condition("named").get("reason") == "ServiceNotFound")
    assert graphs.condition("named")["message"] == (
        'Failed to find graph service late: inferenceservices.serving.kserve.io "late" not found'
    )
    graphs.serve("late", "hello", args=["--model_name", "inner"])
    status, answer = ask(graphs.ready("named"), {"instances": [1]})
    assert (status, answer) == (
        200, {"word": "hello", "path": "/v1/models/inner:predict", "given": {"instances": [1]}}
    )  # fmt: skip
    graphs.custom.delete_namespaced_custom_object(*SERVICES, "late")
    until(lambda: graphs.condition("named").get("reason") == "ServiceNotFound")
    assert "goes on" not in graphs.condition("named")["message"]


def test_a_graph_follows_a_service_that_is_made_again(graphs: Graphs) -> None:
    graphs.serve("again", "old")
    graphs.create("follows", [{"serviceName": "again"}])
    url = graphs.ready("follows")
    assert ask(url)[1]["word"] == "old"
    graphs.custom.delete_namespaced_custom_object(*SERVICES, "again")
    until(lambda: graphs.condition("follows").get("status") == "False")
    graphs.serve("again", "new")
    assert graphs.ready("follows") == url
    assert ask(url)[1]["word"] == "new"


def test_a_changed_graph_rolls_without_a_failed_request(graphs: Graphs, one: Service, two: Service) -> None:
    graphs.create("rolling", [{"serviceUrl": one.url}])
    url, stop = graphs.ready("rolling"), threading.Event()
    seen: list[Any] = []

    def asking() -> None:
        while not stop.is_set():
            try:
                seen.append(ask(url))
            except OSError as e:
                seen.append(repr(e))

    threads = [threading.Thread(target=asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for target in (two, one):
            node = {"routerType": "Sequence", "steps": [{"serviceUrl": target.url}]}
            graphs.patch("rolling", {"spec": {"nodes": {"root": node}}})
            assert graphs.ready("rolling") == url
            # what is Ready is what answers, and nothing else
            wanted = json.loads(target.says(None)[1])  # type: ignore[arg-type]
            assert {json.dumps(ask(url)) for _ in range(20)} == {json.dumps([200, wanted])}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(seen) > 50
    assert [one for one in seen if one[0] != 200] == []
    until(lambda: len(graphs.pods("rolling")) == 1)


def test_a_graph_that_becomes_wrong_goes_on_as_it_was_and_says_why(graphs: Graphs, one: Service) -> None:
    graphs.create("kept", [{"serviceUrl": one.url}])
    url = graphs.ready("kept")
    graphs.patch("kept", {"spec": {"nodes": {"root": {"routerType": "Sequence", "steps": [{"nodeName": "nowhere"}]}}}})
    until(lambda: graphs.condition("kept").get("reason") == "InvalidGraph")
    assert "nodeName must be one of the nodes ['root'], found 'nowhere'" in graphs.condition("kept")["message"]
    assert ask(url) == (200, {"from": "one"})


@pytest.mark.parametrize(
    ("nodes", "reason", "words"),
    [
        ({"root": {"routerType": "Switch", "steps": [{"serviceUrl": "http://x", "condition": "@this"}]}},
         "RouterTypeNotSupported", "the laptop runs nodes of routerType Sequence and Splitter so far, found Switch"),
        ({"root": {"routerType": "Ensemble", "steps": [{"serviceUrl": "http://x"}]}},
         "RouterTypeNotSupported", "found Ensemble; use a cluster"),
        ({"root": {"routerType": "Sequence", "steps": [{"nodeName": "root"}]}}, "InvalidGraph", "root -> root"),
        ({"root": {"routerType": "Sequence", "steps": []}}, "InvalidGraph", "must have steps, found none"),
        ({"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://x"},
                                                       {"serviceUrl": "http://x", "condition": "a|b"}]}},
         "InvalidGraph", "must use '.' between keys"),
    ],
)  # fmt: skip
def test_what_cannot_be_routed_is_stored_and_says_so(
    graphs: Graphs, nodes: dict[str, Any], reason: str, words: str
) -> None:
    graphs.create("wrong", [], spec={"nodes": nodes})
    until(lambda: graphs.condition("wrong").get("status") == "False")
    found = graphs.condition("wrong")
    assert found["reason"] == reason
    assert words in found["message"]
    assert graphs.pods("wrong") == []


@pytest.mark.parametrize(
    ("name", "nodes", "words"),
    [
        ("up.down", {"root": {"routerType": "Sequence", "steps": []}},
         "The InferenceGraph \"up.down\" is invalid: a InferenceGraph name must consist of lower case alphanumeric "),
        ("g", {"other": {"routerType": "Sequence", "steps": []}}, "root node not found, InferenceGraph needs a node"),
        ("g", {"root": {"routerType": "Sequence", "steps": [{"name": "a"}, {"name": "a"}]}},
         'Node "root" of InferenceGraph "g" contains more than one step with name "a"'),
        ("g", {"root": {"routerType": "Sequence", "steps": [{"serviceName": "a"}, {"name": "b"}]}},
         'Step 1 ("b") in node "root" of InferenceGraph "g" does not specify an inference target'),
        ("g", {"root": {"routerType": "Sequence", "steps": [{"serviceName": "a", "nodeName": "b"}]}},
         'Step 0 ("") in node "root" of InferenceGraph "g" specifies more than one of nodeName, serviceName'),
        ("g", {"root": {"routerType": "Splitter", "steps": [{"serviceName": "a"}]}},
         "InferenceGraph[g] Node[root] Route[a] missing the 'Weight'"),
        ("g", {"root": {"routerType": "Splitter", "steps": [{"serviceName": "a", "weight": 99}]}},
         "InferenceGraph[g] Node[root] splitter node: the sum of traffic weights for all routing targets should be 10"),
    ],
)  # fmt: skip
def test_the_webhook_refuses_as_kserves_does(graphs: Graphs, name: str, nodes: dict[str, Any], words: str) -> None:
    with pytest.raises(client.ApiException) as refused:
        graphs.create(name, [], spec={"nodes": nodes})
    assert refused.value.status == 403
    said = json.loads(refused.value.body)["message"]
    webhook = 'admission webhook "inferencegraph.kserve-webhook-server.validator" denied the request: '
    assert said.startswith(webhook + words)


def test_the_schema_refuses_what_the_crd_does(graphs: Graphs) -> None:
    for nodes, words in (
        ({"root": {"routerType": "Parallel"}}, 'spec.nodes.root.routerType: Unsupported value: "Parallel"'),
        ({"root": {"steps": []}}, "spec.nodes.root.routerType: Required value"),
        ({"root": {"routerType": "Sequence", "steps": [{"dependency": "Firm"}]}}, 'Unsupported value: "Firm"'),
    ):
        with pytest.raises(client.ApiException) as refused:
            graphs.create("g", [], spec={"nodes": nodes})
        assert refused.value.status == 422
        assert words in json.loads(refused.value.body)["message"]


def test_a_stopped_graph_has_no_router_until_it_is_resumed(graphs: Graphs, one: Service) -> None:
    graphs.create("stopping", [{"serviceUrl": one.url}], minReplicas=2)
    url = graphs.ready("stopping")
    assert len(graphs.pods("stopping")) == 2
    graphs.patch("stopping", {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})
    until(lambda: graphs.condition("stopping", "Stopped").get("status") == "True" and not graphs.pods("stopping"))
    assert graphs.condition("stopping")["reason"] == "Stopped"
    assert "url" not in graphs.get("stopping")["status"]
    graphs.patch("stopping", {"metadata": {"annotations": {"serving.kserve.io/stop": None}}})
    assert graphs.ready("stopping") == url
    assert ask(url) == (200, {"from": "one"})


def test_the_url_stays_over_the_end_of_the_laptop(tmp_path: Path, one: Service) -> None:
    mortal = TestLaptop(tmp_path / "home").start()
    try:
        graphs = Graphs(mortal.client())
        graphs.create("lasting", [{"serviceUrl": one.url, "data": "$response"}])
        url = graphs.ready("lasting")
        for end in (mortal.kill, mortal.stop):
            end()
            if end == mortal.kill:
                assert ask(url) == (200, {"from": "one"})  # pods outlive a laptop that is killed
            mortal.start()
            graphs = Graphs(mortal.client())
            assert graphs.ready("lasting") == url
            until(lambda: answers(url))
            assert len(graphs.pods("lasting")) == 1
    finally:
        mortal.stop()


def answers(url: str) -> bool:
    try:
        return ask(url) == (200, {"from": "one"})
    except OSError:
        return False
