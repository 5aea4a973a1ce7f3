"""A small API server that plays what the laptop does not: pods that KFP made, Workflows, quotas, missing rights.

It keeps objects by path and no controller acts on them; a test changes them by `put` and reads them by `objects`.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]

PODS = "/api/v1/namespaces/team/pods"
EVENTS = "/api/v1/namespaces/team/events"
JOBS = "/apis/batch/v1/namespaces/team/jobs"
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/team/workflows"


@dataclass
class FakeCluster:
    """The server's state. Its one namespace is ``team``."""

    kubeconfig: Path
    objects: dict[str, Object] = field(default_factory=dict)
    """By path."""
    refusals: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """(method, path) to (code, message)."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) in their order."""
    news: threading.Condition = field(default_factory=threading.Condition)
    version: int = 1
    closing: bool = False

    def put(self, collection: str, name: str, **content: Any) -> Object:
        """Write an object."""
        with self.news:
            self.version += 1
            metadata = {
                "name": name,
                "namespace": "team",
                "uid": f"uid-of-{name}",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                **content.pop("metadata", {}),
                "resourceVersion": str(self.version),
            }
            made = self.objects[f"{collection}/{name}"] = {"metadata": metadata, **content}
            self.news.notify_all()
            return made

    def of(self, collection: str) -> list[Object]:
        """The objects of a collection."""
        return [o for path, o in self.objects.items() if path.rpartition("/")[0] == collection]

    def step(self, pod: str = "step-1", run: str = "run-1", **workflow: Any) -> None:
        """A step's pod as KFP makes it, and the Workflow that owns it."""
        self.put(WORKFLOWS, "pipeline-x", kind="Workflow", **{"status": {"phase": "Running"}, **workflow})
        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "pipeline-x"}
        owner |= {"uid": "uid-of-pipeline-x", "controller": True, "blockOwnerDeletion": True}  # type: ignore[dict-item]
        self.put(PODS, pod, kind="Pod", metadata={"labels": {"pipeline/runid": run}, "ownerReferences": [owner]})


def _handler(cluster: FakeCluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = self._asked()
            if (found := cluster.objects.get(path)) is not None:
                self._answer(200, found)
            elif query.get("watch"):
                self._watch(path, query)
            elif path.endswith(("pods", "jobs", "events", "workflows", "pytorchjobs")):
                self._answer(200, {"items": cluster.of(path), "metadata": {"resourceVersion": str(cluster.version)}})
            elif path.endswith("/log"):
                self._answer(200, {})
            else:
                self._missing(path)

        def do_POST(self) -> None:
            path, _ = self._asked()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if (path_ := f"{path}/{body['metadata']['name']}") in cluster.objects:
                self._status(409, f"{path_} already exists", "AlreadyExists")
            elif not self._refused("POST", path):
                self._answer(201, cluster.put(path, body["metadata"].pop("name"), **body))

        def do_DELETE(self) -> None:
            path, _ = self._asked()
            with cluster.news:
                found = cluster.objects.pop(path, None)
                cluster.news.notify_all()
            self._answer(200, found) if found else self._missing(path)

        def _watch(self, path: str, query: dict[str, str]) -> None:
            """Changes of one object until the time-out."""
            name = query["fieldSelector"].removeprefix("metadata.name=")
            seen = int(query.get("resourceVersion", "0"))
            self.send_response(200)
            self.end_headers()
            with cluster.news:
                cluster.news.wait_for(lambda: cluster.closing or self._newer(path, name, seen), timeout=1.0)
                found = copy.deepcopy(cluster.objects.get(f"{path}/{name}"))
            if found is not None and int(found["metadata"]["resourceVersion"]) > seen:
                self.wfile.write(json.dumps({"type": "MODIFIED", "object": found}).encode() + b"\n")

        @staticmethod
        def _newer(path: str, name: str, seen: int) -> bool:
            found = cluster.objects.get(f"{path}/{name}")
            return found is None or int(found["metadata"]["resourceVersion"]) > seen

        def _asked(self) -> tuple[str, dict[str, str]]:
            parts = urlsplit(self.path)
            cluster.requests.append((self.command, parts.path))
            return parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}

        def _refused(self, method: str, path: str) -> bool:
            if (refusal := cluster.refusals.get((method, path))) is None:
                return False
            self._status(refusal[0], refusal[1], "Forbidden")
            return True

        def _missing(self, path: str) -> None:
            self._status(404, f"{path} not found", "NotFound")

        def _status(self, code: int, message: str, reason: str) -> None:
            self._answer(code, {"kind": "Status", "code": code, "message": message, "reason": reason})

        def _answer(self, code: int, content: Object) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def fake_cluster(folder: Path) -> Iterator[FakeCluster]:
    """A running server, and a kubeconfig for it below ``folder``."""
    cluster = FakeCluster(folder / "fake-kubeconfig")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "team"}}],
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "fake", "user": {"token": "t"}}],
    }
    cluster.kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield cluster
    finally:
        with cluster.news:
            cluster.closing = True
            cluster.news.notify_all()
        server.shutdown()
        server.server_close()
        thread.join()
