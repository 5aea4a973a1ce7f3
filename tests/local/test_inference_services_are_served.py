from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.support.laptop import TestLaptop
from tests.support.waiting import until

GROUP = ("serving.kserve.io", "v1beta1", "default", "inferenceservices")
SERVER = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["WORD"].encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
if os.environ["WORD"] == "broken": sys.exit("the model is broken: no such layer")
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


class Services:
    def __init__(self, api: client.ApiClient) -> None:
        self.custom, self.core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    def create(self, name: str, predictor: dict[str, Any]) -> None:
        body = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": name},
                "spec": {"predictor": predictor}}  # fmt: skip
        self.custom.create_namespaced_custom_object(*GROUP, body)

    def get(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.custom.get_namespaced_custom_object(*GROUP, name)
        return found

    def patch(self, name: str, predictor: dict[str, Any]) -> None:
        self.custom.patch_namespaced_custom_object(*GROUP, name, {"spec": {"predictor": predictor}})

    def condition(self, name: str, type_: str = "Ready") -> dict[str, Any]:
        found = self.get(name)
        status = found.get("status") or {}
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        return next((one for one in status["conditions"] if one["type"] == type_), {})

    def ready(self, name: str) -> dict[str, Any]:
        until(lambda: self.condition(name).get("status") == "True")
        return self.get(name)["status"]

    def pods(self, name: str) -> list[Any]:
        label = f"serving.kserve.io/inferenceservice={name}"
        return self.core.list_namespaced_pod("default", label_selector=label).items


@pytest.fixture
def services(api: client.ApiClient) -> Iterator[Services]:
    found = Services(api)
    yield found
    for one in found.custom.list_namespaced_custom_object(*GROUP)["items"]:
        found.custom.delete_namespaced_custom_object(*GROUP, one["metadata"]["name"])
    until(lambda: found.core.list_namespaced_pod("default", label_selector="component=predictor").items == [])


def saying(word: str) -> dict[str, Any]:
    env = [{"name": "WORD", "value": word}]
    return {"containers": [{"name": "kserve-container", "image": "x", "command": ["python", "-c", SERVER], "env": env}]}


def ask(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_a_container_is_served_at_the_url_of_the_status(services: Services) -> None:
    services.create("plain", saying("one"))
    status = services.ready("plain")
    assert status["url"] == status["address"]["url"]
    assert ask(status["url"]) == "one"
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "IngressReady": "True", "PredictorReady": "True", "Ready": "True"}  # fmt: skip
    assert status["modelStatus"]["transitionStatus"] == "UpToDate"
    assert isinstance(status["components"]["predictor"]["traffic"], list)


def test_a_changed_spec_rolls_and_keeps_the_url(services: Services) -> None:
    services.create("rolling", saying("one"))
    url = services.ready("rolling")["url"]
    services.patch("rolling", saying("two"))
    answers: list[str] = []
    dropped: list[str] = []

    def turned() -> bool:
        try:
            answers.append(ask(url))
        except OSError:  # this container drops what it holds at SIGTERM, as it would on a cluster
            dropped.append(url)
            return False
        return answers[-1] == "two" and services.condition("rolling").get("status") == "True"

    until(turned)
    assert set(answers) <= {"one", "two"}
    assert len(dropped) <= 1
    assert answers == sorted(answers)
    status = services.ready("rolling")
    assert status["url"] == url
    assert status["components"]["predictor"]["latestReadyRevision"] == "rolling-predictor-00002"
    until(lambda: len(services.pods("rolling")) == 1)


def test_a_broken_revision_leaves_the_one_before_serving_and_says_why(services: Services) -> None:
    services.create("kept", saying("good"))
    url = services.ready("kept")["url"]
    services.patch("kept", saying("broken"))
    until(lambda: services.condition("kept").get("status") == "False")
    found = services.condition("kept", "PredictorReady")
    assert found["reason"] == "ModelLoadFailed"
    assert "the model is broken: no such layer" in found["message"]
    status = services.get("kept")["status"]
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    assert status["modelStatus"]["lastFailureInfo"]["exitCode"] == 1
    assert status["components"]["predictor"]["latestReadyRevision"] == "kept-predictor-00001"
    assert ask(url) == "good"
    services.patch("kept", saying("mended"))
    services.ready("kept")
    assert ask(url) == "mended"


def test_a_crashed_server_is_started_again(services: Services) -> None:
    services.create("crashing", saying("still here"))
    url = services.ready("crashing")["url"]
    (pod,) = services.pods("crashing")
    port = int(pod.metadata.annotations["seaway.dev/port"])
    kill_listener(port)

    def restarted() -> bool:
        statuses = services.pods("crashing")[0].status.container_statuses
        return statuses[0].restart_count >= 1 and statuses[0].ready

    until(restarted)
    services.ready("crashing")
    assert ask(url) == "still here"


def test_replicas_share_the_url(services: Services) -> None:
    services.create("many", saying("x") | {"minReplicas": 2})
    url = services.ready("many")["url"]
    assert len(services.pods("many")) == 2
    assert ask(url) == "x"


@pytest.mark.parametrize(
    ("predictor", "reason", "words"),
    [
        ({"model": {"modelFormat": {"name": "xgboost"}, "storageUri": "/x"}}, "NoSupportingRuntime", "found 'xgboost'"),
        ({"sklearn": {"storageUri": "/x"}}, "NoSupportingRuntime", "found 'sklearn'"),
        (
            {"model": {"modelFormat": {"name": "seaway"}, "storageUri": "/no/such"}},
            "ModelLoadFailed",
            "nothing at /no/such",
        ),
        ({"model": {"modelFormat": {"name": "seaway"}}}, "InvalidPredictorSpec", "storageUri must name"),
    ],
)
def test_what_cannot_be_served_says_so(services: Services, predictor: dict[str, Any], reason: str, words: str) -> None:
    services.create("wrong", predictor)
    until(lambda: services.condition("wrong").get("status") == "False")
    found = services.condition("wrong")
    assert found["reason"] == reason
    assert words in found["message"]


def test_the_url_stays_over_a_restart_of_the_laptop(tmp_path: Path) -> None:
    mortal = TestLaptop(tmp_path / "home").start()
    try:
        services = Services(mortal.client())
        services.create("lasting", saying("here"))
        url = services.ready("lasting")["url"]
        for end in (mortal.kill, mortal.stop):
            end()
            mortal.start()
            services = Services(mortal.client())
            assert services.ready("lasting")["url"] == url
            until(lambda: answers(url))
            assert len(services.pods("lasting")) == 1
    finally:
        mortal.stop()


def answers(url: str) -> bool:
    try:
        return ask(url) == "here"
    except OSError:
        return False


def kill_listener(port: int) -> None:
    import psutil

    for one in psutil.net_connections("tcp"):
        if one.laddr and one.laddr.port == port and one.status == psutil.CONN_LISTEN and one.pid:
            psutil.Process(one.pid).kill()
