"""kserve's own client and kubectl, unmodified."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from seaway.local.api import schemas
from tests.support.laptop import TestLaptop
from tests.support.services import service
from tests.support.waiting import until

KSERVE = """
import json, sys
import kserve
from kserve import constants
from kubernetes import client

GROUP = constants.KSERVE_GROUP
kube = kserve.KServeClient(config_file=sys.argv[1])
CODE = '''
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"predictions":["%s"]}' % os.environ["WORD"].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
'''

def isvc(word):
    container = client.V1Container(name="kserve-container", image="x", command=["python", "-c", CODE],
                                   env=[client.V1EnvVar(name="WORD", value=word)])
    return kserve.V1beta1InferenceService(
        api_version=f"{GROUP}/v1beta1", kind="InferenceService",
        metadata=client.V1ObjectMeta(name="by-client", namespace="default"),
        spec=kserve.V1beta1InferenceServiceSpec(predictor=kserve.V1beta1PredictorSpec(containers=[container])))

kube.create(isvc("one"))
kube.wait_isvc_ready("by-client", namespace="default", timeout_seconds=20, polling_interval=0.1)
graph = kserve.V1alpha1InferenceGraph(
    api_version=f"{GROUP}/v1alpha1", kind="InferenceGraph",
    metadata=client.V1ObjectMeta(name="by-client", namespace="default"),
    spec=kserve.V1alpha1InferenceGraphSpec(nodes={"root": kserve.V1alpha1InferenceRouter(
        router_type="Sequence", steps=[kserve.V1alpha1InferenceStep(service_name="by-client")])}))
kube.create_inference_graph(graph)
kube.wait_ig_ready("by-client", namespace="default", timeout_seconds=20, polling_interval=0.1)
assert kube.is_ig_ready("by-client", namespace="default")
got = kube.get_inference_graph("by-client", namespace="default")

import urllib.request
def ask():
    with urllib.request.urlopen(got["status"]["url"], b"{}", timeout=10) as answer:
        return json.loads(answer.read())["predictions"]
first = ask()
kube.patch("by-client", isvc("two"), namespace="default")
kube.wait_isvc_ready("by-client", namespace="default", timeout_seconds=20, polling_interval=0.1)
service = kube.get("by-client", namespace="default")
kube.delete_inference_graph("by-client", namespace="default")
kube.delete("by-client", namespace="default")
left = [len(kube.api_instance.list_namespaced_custom_object(GROUP, v, "default", p)["items"])
        for v, p in (("v1alpha1", "inferencegraphs"), ("v1beta1", "inferenceservices"))]
from kserve.models import v1alpha1_inferece_graph_router_timeouts as timeouts
found = (kserve.V1alpha1InferenceGraphSpec, kserve.V1alpha1InferenceRouter, kserve.V1alpha1InferenceStep,
         kserve.V1alpha1InferenceGraphStatus, timeouts.V1alpha1InfereceGraphRouterTimeouts)
models = {one.__name__: one.openapi_types | {"$names": one.attribute_map} for one in found}
print(json.dumps({"kind": got["kind"], "first": first, "ready": service["status"]["conditions"][-1], "left": left,
                  "models": models}))
"""
GRAPH = """
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata:
  name: split
spec:
  nodes:
    root:
      routerType: Splitter
      steps:
      - serviceUrl: {one}
        weight: {weight}
      - serviceUrl: {two}
        weight: {rest}
"""
MODELS = {
    "InferenceGraphSpec": "V1alpha1InferenceGraphSpec",
    "InferenceRouter": "V1alpha1InferenceRouter",
    "InferenceStep": "V1alpha1InferenceStep",
    "InferenceGraphStatus": "V1alpha1InferenceGraphStatus",
    "RouterTimeouts": "V1alpha1InfereceGraphRouterTimeouts",
}


def test_kserves_client_creates_waits_for_and_deletes_services_and_graphs(laptop: TestLaptop) -> None:
    script = [sys.executable, "-W", "ignore", "-c", KSERVE, str(laptop.kubeconfig)]
    done = subprocess.run(script, env=laptop.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (said["kind"], said["first"], said["left"]) == ("InferenceGraph", ["one"], [0, 0])
    assert said["ready"]["status"] == "True"
    for ours, theirs in MODELS.items():
        names = said["models"][theirs].pop("$names")
        scalars = ("int", "str", "bool", "dict(str, str)")
        expected = {names[field]: written for field, written in said["models"][theirs].items()}
        found = schemas.types()[ours]
        assert found.keys() == expected.keys()
        assert {k: v for k, v in found.items() if v in scalars and expected[k] in scalars} == {
            k: v for k, v in expected.items() if v in scalars
        }


@pytest.mark.needs_kubectl
def test_kubectl_applies_waits_for_describes_and_deletes_graphs(laptop: TestLaptop) -> None:
    with service(b"1") as one, service(b"2") as two:

        def apply(weight: int, check: bool = True) -> str:
            text = GRAPH.format(one=one.url, two=two.url, weight=weight, rest=100 - weight)
            return laptop.kubectl("apply", "-f", "-", stdin=text, check=check)

        assert "inferencegraph.serving.kserve.io/split created" in apply(100)
        assert "unchanged" in apply(100)
        assert "condition met" in laptop.kubectl("wait", "--for=condition=Ready", "ig/split", "--timeout=20s")
        header, row = laptop.kubectl("get", "ig").splitlines()
        assert header.split() == ["NAME", "URL", "READY", "AGE"]
        name, url, ready, _ = row.split()
        assert (name, ready, url.rpartition(":")[0]) == ("split", "True", "http://127.0.0.1")
        told = laptop.kubectl("describe", "inferencegraph", "split")
        assert "Router Type:" in told
        assert "Created pod: split-router-00001-" in told
        assert "configured" in apply(0)
        until(lambda: laptop.kubectl("get", "ig", "split", "-o", "jsonpath={.status.observedGeneration}") == "2")
        laptop.kubectl("wait", "--for=condition=Ready", "ig/split", "--timeout=20s")
        one.asked.clear()
        assert laptop.kubectl("get", "pods", "-l", "serving.kserve.io/inferencegraph=split").count("Running") == 1
        apply(101)  # with -1 it adds up to 100: the webhook has nothing against it
        wrong = GRAPH.format(one=one.url, two=two.url, weight=50, rest=49)
        assert "splitter node: the sum of traffic weights for all routing targets should be 100" in laptop.kubectl(
            "apply", "-f", "-", stdin=wrong, check=False
        )
        until(lambda: "InvalidGraph" in laptop.kubectl("describe", "ig", "split"))
        assert "unknown field" in laptop.kubectl(
            "apply", "-f", "-", stdin=wrong.replace("weight: 49", "wieght: 50"), check=False
        )
        assert "FIELDS" in laptop.kubectl("explain", "ig.spec.nodes.steps")
        assert 'inferencegraph.serving.kserve.io "split" deleted' in laptop.kubectl("delete", "ig", "split")
        until(lambda: "No resources" in laptop.kubectl("get", "pods", "-l", "serving.kserve.io/inferencegraph=split"))
        versions = laptop.kubectl("api-resources", "--api-group=serving.kserve.io")
        assert "inferencegraphs" in versions
        assert "inferenceservices" in versions
