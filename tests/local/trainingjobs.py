"""JAXJobs, TFJobs and TrainJobs for tests: manifests, and clients that make them and wait for their ends."""

from __future__ import annotations

from typing import Any

from tests.local.pytorchjobs import Object, PyTorchJobs

MEET = """
import os, socket, time
from seaway.training.world import world
here = world(os.environ)
rank, size = here.place.rank, here.place.world_size
if rank == 0:
    with socket.create_server((here.host, here.port)) as server:
        callers = [server.accept()[0] for _ in range(size - 1)]
        said = sorted(caller.recv(1)[0] for caller in callers)
        for caller in callers:
            caller.sendall(bytes([sum(said)]))
    assert said == list(range(1, size)), said
else:
    deadline = time.monotonic() + 20
    while True:
        try:
            caller = socket.create_connection((here.host, here.port), timeout=20)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    caller.sendall(bytes([rank]))
    assert caller.recv(1)[0] == sum(range(size))
print("met", rank, size, flush=True)
"""
"""Every rank says its own to rank 0, which answers with their sum."""
SPECS = {"JAXJob": ("jaxReplicaSpecs", "jax"), "TFJob": ("tfReplicaSpecs", "tensorflow")}
"""The field of the replica specs, and the container that trains."""


def job(kind: str, name: str, replicas: dict[str, Object], **spec: Any) -> Object:
    """A job of ``kind``; ``replicas`` by type, each as `replica` makes it, ``run`` is its runPolicy."""
    field = SPECS[kind][0]
    run = spec.pop("run", {})
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"runPolicy": run, field: replicas} | spec,
    }


def replica(kind: str, command: list[str], *, replicas: int = 1, policy: str = "Never", **container: Any) -> Object:
    """A replica spec of one container; ``container`` are fields of that."""
    containers = [{"name": SPECS[kind][1], "image": "busybox", "command": command} | container]
    return {"replicas": replicas, "restartPolicy": policy, "template": {"spec": {"containers": containers}}}


def trainjob(name: str, command: list[str], *, runtime: str = "torch-distributed", **spec: Any) -> Object:
    """A TrainJob; ``nodes`` and ``trainer`` are of its trainer, ``spec`` other fields of its spec."""
    trainer = {"command": command, "numNodes": spec.pop("nodes", 1)} | spec.pop("trainer", {})
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": {"runtimeRef": {"name": runtime}, "trainer": trainer} | spec,
    }


class JAXJobs(PyTorchJobs):
    """Creates, changes and reads JAXJobs by the official client."""

    place, kind = ("kubeflow.org", "v1", "default", "jaxjobs"), "JAXJob"


class TFJobs(PyTorchJobs):
    """TFJobs."""

    place, kind = ("kubeflow.org", "v1", "default", "tfjobs"), "TFJob"


class TrainJobs(PyTorchJobs):
    """TrainJobs."""

    place, kind = ("trainer.kubeflow.org", "v1alpha1", "default", "trainjobs"), "TrainJob"
    ends = ("Complete", "Failed")

    def pods(self, name: str) -> dict[str, Any]:
        """Its pods by name."""
        label = f"jobset.sigs.k8s.io/jobset-name={name}"
        return {pod.metadata.name: pod for pod in self.core.list_namespaced_pod("default", label_selector=label).items}

    def by_index(self, name: str) -> list[Any]:
        """Its pods in the order of their nodes."""
        label = "batch.kubernetes.io/job-completion-index"
        return sorted(self.pods(name).values(), key=lambda pod: int(pod.metadata.labels[label]))
