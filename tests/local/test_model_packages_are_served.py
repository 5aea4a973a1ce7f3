from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client

from tests.local.test_inference_services_are_served import GROUP, Services
from tests.serving import models
from tests.support.laptop import TestLaptop
from tests.support.waiting import until


def package(uri: str, **more: Any) -> dict[str, Any]:
    return {"model": {"modelFormat": {"name": "seaway"}, "protocolVersion": "v2", "storageUri": uri} | more}


class Asking(threading.Thread):
    """Asks without a pause, each question over a connection of its own, and counts the answers."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self.address, self.path = urlsplit(url).netloc, f"/v2/models/{name}/infer"
        self.answers: Counter[str] = Counter()
        self.done = threading.Event()

    def run(self) -> None:
        body = json.dumps(models.v2(models.ROW))
        while not self.done.is_set():
            connection = http.client.HTTPConnection(self.address, timeout=10)
            try:
                connection.request("POST", self.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = json.loads(answer.read())
                self.answers[said["model_version"] if answer.status == 200 else f"{answer.status} {said}"] += 1
            except OSError as error:
                self.answers[repr(error)] += 1
            finally:
                connection.close()


def test_a_package_is_served_rolled_and_restarted_without_a_failed_request(
    api: client.ApiClient, tmp_path: Path
) -> None:
    services, name = Services(api), "flights"
    first, second = (models.write_flights(tmp_path / version, name=name, version=version) for version in ("1", "2"))
    services.create(name, package(first))
    url = services.ready(name)["url"]
    asking = Asking(url, name)
    asking.start()
    try:
        until(lambda: asking.answers["1"] > 5)
        services.patch(name, package(second))
        services.ready(name)
        until(lambda: asking.answers["2"] > 5)
        until(lambda: len(services.pods(name)) == 1)
    finally:
        asking.done.set()
        asking.join()
    assert set(asking.answers) == {"1", "2"}
    assert services.get(name)["status"]["url"] == url
    services.custom.delete_namespaced_custom_object(*GROUP, name)
    until(lambda: services.pods(name) == [])


def test_a_broken_package_leaves_the_old_one_serving(laptop: TestLaptop, api: client.ApiClient, tmp_path: Path) -> None:
    services = Services(api)
    good = models.write_flights(tmp_path / "good", name="mixed")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "model.onnx").write_bytes(b"not a graph")
    services.create("mixed", package(good))
    services.ready("mixed")
    services.patch("mixed", package(str(bad)))
    until(lambda: services.condition("mixed").get("status") == "False")
    found = services.condition("mixed", "PredictorReady")
    assert found["reason"] == "ModelLoadFailed"
    assert "model.json" in found["message"]
    assert "goes on serving" in found["message"]
    assert services.condition("mixed", "IngressReady")["status"] == "True"
    services.custom.delete_namespaced_custom_object(*GROUP, "mixed")
