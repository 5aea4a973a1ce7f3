"""The spans of a run are found in the logs of its pods, as they lie on a cluster; what is not there is named."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from seaway.launch import logstream
from seaway.launch.api import Api
from seaway.launch.traced import KFP_RUN_LABEL, POD, SERVER_LABELS, Found, replicas, requests, steps
from seaway.observe import spanlog, spans, trace
from seaway.observe.logs import JsonFormatter
from seaway.observe.spans import REQUEST, STEP
from seaway.observe.spantree import REPLICA
from seaway.observe.timeline import build
from seaway.resources.names import RUN_LABEL
from tests.support.waiting import until

RUN = "7c1f7c1f-run"
PARENT = trace.span_id(RUN, "train")


def logged(found: dict[str, Any], *, replica: str = "") -> str:
    """The line of a log that has these fields."""
    labels = {"replica": replica} if replica else {}
    record = logging.makeLogRecord({"msg": "m", "levelname": "INFO", "fields": found, "labels": labels})
    return JsonFormatter(step="train", component="train").format(record)


def pod(
    api: Api, name: str, lines: list[str], *, code: int = 0, container: str = "main", labels: dict[str, str]
) -> None:
    """A pod of these labels that writes these lines, and wait until it has ended."""
    text = "\n".join(lines)
    command = [sys.executable, "-c", f"import sys; sys.stdout.write({text!r} + chr(10)); sys.exit({code})"]
    env = [{"name": "TRACEPARENT", "value": f"00-{trace.trace_id(RUN)}-{PARENT}-01"}]
    spec = {"restartPolicy": "Never", "containers": [{"name": container, "image": "x", "command": command, "env": env}]}
    api.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec})
    until(lambda: (api.get(POD, name) or {})["status"].get("phase") in ("Succeeded", "Failed"), what=f"{name} ends")


@pytest.fixture
def run(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run whose pods are deleted after the test."""
    monkeypatch.setenv("SEAWAY_RUN_ID", RUN)
    monkeypatch.delenv("TRACEPARENT", raising=False)
    yield RUN
    for made in api.list(POD):
        api.delete(POD, made["metadata"]["name"])


def own(name: str, *, start: float, end: float, **more: Any) -> dict[str, Any]:
    return spans.line(name, start=start, end=end, attributes={}, **more)


def test_a_replicas_span_survives_the_step_that_streams_it(run: str) -> None:
    line = logged(own("epoch 1", start=10.0, end=11.0, parent=PARENT, span_id="a" * 16))
    level, message, fields = logstream.parse(line)
    assert (level, message) == (logging.INFO, "m")
    [replica, epoch] = spanlog.of_step([logged(fields, replica="worker-0")], step="03-train")  # type: ignore[arg-type]
    assert (replica.kind, replica.name, replica.step) == (REPLICA, "worker-0", "03-train")
    assert (epoch.name, epoch.id, epoch.parent, epoch.where) == ("epoch 1", "a" * 16, PARENT, "worker-0")


def test_a_run_on_a_cluster_is_found_by_its_labels(api: Api, run: str) -> None:
    step = own("train", start=0.0, end=0.0, span_id=PARENT, kind=STEP)
    epoch = own("epoch 1", start=0.0, end=0.0, parent=PARENT, span_id="a" * 16)
    answer = own("POST late:predict", start=0.0, end=0.0, parent=PARENT, span_id="b" * 16, kind=REQUEST)
    other = own("POST late:predict", start=0.0, end=0.0, parent="f" * 16, trace_id="e" * 32, kind=REQUEST)
    now = time.time()
    for line, first, last in ((step, 0, 50), (epoch, 2, 3), (answer, 40, 41), (other, 41, 42)):
        line["span"] |= {"start": now + first, "end": now + last}
        if line["span"]["kind"] == "step":
            line["span"]["parent"] = ""
    pod(api, "wf-system-container-driver-1", ["I0101 kfp's own"], labels={KFP_RUN_LABEL: run})
    pod(
        api,
        "wf-system-container-impl-1",
        ["plain", logged(epoch, replica="train-0"), logged(step)],
        labels={KFP_RUN_LABEL: run},
    )
    pod(api, "wf-system-container-impl-2", ["Traceback: killed"], code=137, labels={KFP_RUN_LABEL: run})
    pod(api, "train-0", [logged(epoch), "{broken", '{"span": 7}'], code=3, labels={RUN_LABEL: run})
    served = [logged(answer), logged(other), "x" * 1000, json.dumps({"span": trace.trace_id(run)})]
    pod(api, "late-1", served, container="kserve-container", labels={SERVER_LABELS[0]: "late"})
    pod(api, "graph-1", [], container="chain", labels={SERVER_LABELS[1]: "chain"})

    found = Found()
    found.ask(
        lambda: steps(api, run, found),
        lambda: replicas(api, run, found, read_logs=True),
        lambda: requests(api, run, found, since=now, until=None, services=()),
    )
    assert found.missing == []
    drawn = [(r.depth, r.kind, r.label, r.spans[0].error) for r in build(found.spans).rows]
    assert [d for d in drawn if d[2] != "wf-system-container-impl-2"] == [
        (0, STEP, "train", ""),
        (1, REPLICA, "train-0", "Error, exit code 3"),
        (2, "work", "epoch 1", ""),
        (1, REQUEST, "POST late:predict", ""),
    ]
    assert (0, STEP, "wf-system-container-impl-2", "Error, exit code 137") in drawn


def test_services_that_are_gone_or_new_are_named(api: Api, run: str) -> None:
    pod(api, "late-2", [], container="kserve-container", labels={SERVER_LABELS[0]: "late"})
    found = Found()
    long_ago = time.time() - 3600
    requests(api, run, found, since=long_ago - 60, until=long_ago, services={"late", "minutes"})
    assert found.spans == []
    assert found.missing == [
        "late: pod late-2 began after the run; what answered before it is gone",
        "minutes: has no pods now, so what it answered is not shown",
    ]


def test_what_a_server_answered_before_a_restart_is_read_too(api: Api, run: str, tmp_path: Path) -> None:
    now = time.time()
    lines = [logged(own(f"POST {k}", start=now + k, end=now + k, trace_id=trace.trace_id(run))) for k in range(3)]
    (tmp_path / "count").touch()
    code = f"""
import sys
file, lines = {str(tmp_path / "count")!r}, {lines!r}
with open(file, "r+") as f:
    count = len(f.read())
    f.write("x")
print(lines[count])
sys.exit(count < 2)
"""
    container = {"name": "kserve-container", "image": "x", "command": [sys.executable, "-c", code]}
    spec = {"restartPolicy": "OnFailure", "containers": [container]}
    metadata = {"name": "late-3", "labels": {SERVER_LABELS[0]: "late"}}
    api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    until(lambda: (api.get(POD, "late-3") or {})["status"].get("phase") == "Succeeded", what="its third try ends")
    found = Found()
    requests(api, run, found, since=now, until=None, services=())
    assert [s.name for s in found.spans] == ["POST 1", "POST 2"]
    assert found.missing == ["pod late-3 was restarted 2 times: of its logs only the last two are kept"]


def test_a_namespace_without_the_run_is_named(api: Api, run: str) -> None:
    found = Found()
    steps(api, run, found)
    assert found.missing == [f"no step's pod has the label pipeline/runid={run}: is it this namespace?"]


class _Refuses(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"kind": "Status", "message": "pods is forbidden", "reason": "Forbidden"}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def connect(folder: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API at that port of this machine."""
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    config = {
        "clusters": [cluster],
        "contexts": [context],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
    return Api.connect()


def test_without_rights_each_part_says_so_and_without_an_answer_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api, found = connect(tmp_path, server.server_port, monkeypatch), Found()
    parts = [lambda: steps(api, RUN, found), lambda: replicas(api, RUN, found, read_logs=True)]
    found.ask(*parts)
    assert len(found.missing) == 2
    assert all("forbidden" in m and "must be allowed to GET" in m for m in found.missing)
    server.shutdown()
    server.server_close()
    found.missing.clear()
    found.ask(*parts)
    assert len(found.missing) == 1
    assert "must answer" in found.missing[0]
