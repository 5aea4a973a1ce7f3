"""PyTorchJobs for tests: manifests, and a client that makes them and waits for their ends."""

from __future__ import annotations

import copy
from typing import Any

from kubernetes import client

from tests.support.waiting import until

Object = dict[str, Any]
PLACE = ("kubeflow.org", "v1", "default", "pytorchjobs")


def replica(command: list[str], *, replicas: int = 1, policy: str = "Never", **container: Any) -> Object:
    """A replica spec of one container; ``container`` are fields of that."""
    containers = [{"name": "pytorch", "image": "busybox", "command": command} | container]
    return {"replicas": replicas, "restartPolicy": policy, "template": {"spec": {"containers": containers}}}


def pytorchjob(name: str, *, master: Object | None = None, worker: Object | None = None, **spec: Any) -> Object:
    """A PyTorchJob of the given replica specs; ``run`` is its runPolicy, ``spec`` the other fields of its spec."""
    replicas = {type_: one for type_, one in (("Master", master), ("Worker", worker)) if one is not None}
    run = spec.pop("run", {})
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name},
        "spec": {"runPolicy": run, "pytorchReplicaSpecs": copy.deepcopy(replicas)} | spec,
    }


def conditions(job: Object) -> dict[str, str]:
    """Type to status of a job's conditions."""
    return {one["type"]: one["status"] for one in (job.get("status") or {}).get("conditions") or []}


def message(job: Object, type_: str) -> str:
    """What a job's condition says."""
    return next(one["message"] for one in job["status"]["conditions"] if one["type"] == type_)


class PyTorchJobs:
    """Creates, changes and reads PyTorchJobs by the official client."""

    place, kind = PLACE, "PyTorchJob"
    ends = ("Succeeded", "Failed")

    def __init__(self, api: client.ApiClient) -> None:
        self.custom, self.core = client.CustomObjectsApi(api), client.CoreV1Api(api)

    def create(self, manifest: Object) -> Object:
        return self.custom.create_namespaced_custom_object(*self.place, manifest)

    def get(self, name: str) -> Object:
        return self.custom.get_namespaced_custom_object(*self.place, name)

    def patch(self, name: str, change: Object) -> Object:
        return self.custom.patch_namespaced_custom_object(*self.place, name, change)

    def delete(self, name: str) -> None:
        self.custom.delete_namespaced_custom_object(*self.place, name)

    def names(self) -> set[str]:
        found = self.custom.list_namespaced_custom_object(*self.place)["items"]
        return {one["metadata"]["name"] for one in found}

    def run(self, manifest: Object, *, timeout_s: float = 20.0) -> Object:
        """Create a job and wait for its end."""
        self.create(manifest)
        return self.until(manifest["metadata"]["name"], *self.ends, timeout_s=timeout_s)

    def until(self, name: str, *types: str, timeout_s: float = 20.0) -> Object:
        """The job, once one of the conditions is True."""

        def there() -> Object | None:
            job = self.get(name)
            return job if any(conditions(job).get(one) == "True" for one in types) else None

        return until(there, timeout_s=timeout_s, what=f"{name} is {' or '.join(types)}")

    def pods(self, name: str) -> dict[str, Any]:
        """Its pods by name."""
        label = f"training.kubeflow.org/job-name={name}"
        return {pod.metadata.name: pod for pod in self.core.list_namespaced_pod("default", label_selector=label).items}

    def services(self, name: str) -> dict[str, Any]:
        """Its services by name."""
        label = f"training.kubeflow.org/job-name={name}"
        found = self.core.list_namespaced_service("default", label_selector=label).items
        return {one.metadata.name: one for one in found}

    def port(self, name: str) -> int:
        """The port that its replicas were given."""
        ports = {one.metadata.annotations["seaway.dev/port"] for one in self.services(name).values()}
        assert len(ports) == 1, ports
        return int(ports.pop())

    def log(self, pod: str) -> str:
        return self.core.read_namespaced_pod_log(pod, "default")

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of the events about a job."""
        field = f"involvedObject.name={name},involvedObject.kind={self.kind}"
        found = self.core.list_namespaced_event("default", field_selector=field).items
        return [(one.reason, one.message) for one in found]
