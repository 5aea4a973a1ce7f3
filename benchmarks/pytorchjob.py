"""What a PyTorchJob on the laptop costs over the same script under bare torchrun: ``python benchmarks/pytorchjob.py``.

Two processes reduce a tensor a few times and end. Side by side in alternating runs, seconds from start to end: torchrun
with two processes (the peer); a PyTorchJob of a Master and a Worker that run the script itself, as Seaway trains,
from its creation by the official client to its Succeeded condition, and two bare processes (its floor); and the same of
replicas that run torchrun without an argument. One thread a process everywhere, as torchrun sets it.
"""

import copy
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kubernetes import client, config, watch

from seaway.local import daemon

ROUNDS = 5
LIMIT_S = 1.5
PLACE = ("kubeflow.org", "v1", "default", "pytorchjobs")
SCRIPT = """
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
for _ in range(20):
    part = torch.ones(1000)
    dist.all_reduce(part)
assert part[0] == dist.get_world_size() == 2
dist.destroy_process_group()
"""
PEER = "torchrun --nproc-per-node 2"
PLAIN, PLAIN_FLOOR = "PyTorchJob, 2 x python", "bare 2 x python"
AGENTS, AGENTS_FLOOR = "PyTorchJob, 2 x torchrun", "bare 2 x torchrun"
COMPARED = ((PLAIN, PEER), (PLAIN, PLAIN_FLOOR), (AGENTS, AGENTS_FLOOR))
TORCHRUN = str(Path(sys.executable).with_name("torchrun"))


def bare(commands: list[list[str]], **variables: str) -> float:
    """Run processes side by side, each with its rank."""
    port = {"MASTER_PORT": str(20_000 + secrets.randbelow(10_000))}
    before = time.perf_counter()
    running = []
    for rank, command in enumerate(commands):
        own = {"RANK": str(rank), "OMP_NUM_THREADS": "1"} | port | variables
        env = os.environ | own | {f"PET_{name}": own[name] for name in ("MASTER_ADDR", "MASTER_PORT") if name in own}
        # A session of its own, as a pod's process has: the kernel shares a busy machine out by sessions.
        running.append(
            subprocess.Popen(
                command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
        )
    assert [one.wait() for one in running] == [0] * len(running)
    return time.perf_counter() - before


def manifest(name: str, command: list[str]) -> dict:
    environment = [{"name": "OMP_NUM_THREADS", "value": "1"}]
    container = {"name": "pytorch", "image": "seaway-torch", "command": command, "env": environment}
    replica = {"replicas": 1, "restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}
    replicas = {"Master": replica, "Worker": copy.deepcopy(replica)}
    spec = {"runPolicy": {"cleanPodPolicy": "None"}, "nprocPerNode": "1", "pytorchReplicaSpecs": replicas}
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": name}, "spec": spec}


def job(api: client.CustomObjectsApi, name: str, command: list[str]) -> float:
    body = manifest(name, command)
    before = time.perf_counter()
    version = api.create_namespaced_custom_object(*PLACE, body)["metadata"]["resourceVersion"]
    stream = watch.Watch().stream(
        api.list_namespaced_custom_object,
        *PLACE,
        field_selector=f"metadata.name={name}",
        resource_version=version,
        timeout_seconds=120,
    )
    for event in stream:
        ended = {one["type"] for one in event["object"].get("status", {}).get("conditions", [])}
        if ended & {"Succeeded", "Failed"}:
            took = time.perf_counter() - before
            assert "Succeeded" in ended, event["object"]["status"]
            end(name)
            return took
    raise AssertionError(f"{name} did not end")


def end(name: str) -> None:
    """Wait until the worker has ended too, so that it is no load to the next run."""
    core, label = client.CoreV1Api(), f"training.kubeflow.org/job-name={name}"
    while any(
        pod.status.phase != "Succeeded" for pod in core.list_namespaced_pod("default", label_selector=label).items
    ):
        time.sleep(0.05)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="seaway-bench-"))
    os.environ |= {"SEAWAY_HOME": str(folder / "home"), "SEAWAY_PORT": "0"}
    path = str(folder / "script.py")
    Path(path).write_text(SCRIPT)
    config.load_kube_config(str(daemon.start(20_000 + os.getpid() % 10_000).kubeconfig))
    api, found = client.CustomObjectsApi(), {}
    try:
        for number in range(ROUNDS + 1):
            cases = {
                PEER: lambda: bare([[TORCHRUN, "--standalone", "--nproc-per-node", "2", path]]),
                PLAIN: lambda: job(api, f"plain-{number}", ["python", path]),  # noqa: B023
                PLAIN_FLOOR: lambda: bare([[sys.executable, path]] * 2, MASTER_ADDR="127.0.0.1", WORLD_SIZE="2"),
                AGENTS: lambda: job(api, f"agents-{number}", ["torchrun", path]),  # noqa: B023
                AGENTS_FLOOR: lambda: bare(
                    [[TORCHRUN, "--nnodes", "2", "--node-rank", str(rank), path] for rank in (0, 1)],
                    MASTER_ADDR="127.0.0.1",
                ),
            }
            for name, call in cases.items():
                took = call()
                if number:  # the first round warms the page cache
                    found.setdefault(name, []).append(took)
    finally:
        daemon.stop()
    medians = {name: statistics.median(times) for name, times in found.items()}
    for name, median in medians.items():
        sys.stdout.write(f"{name:<30} {median:6.2f} s   ({min(found[name]):.2f} .. {max(found[name]):.2f})\n")
    for name, peer in COMPARED:
        over, ratio = medians[name] - medians[peer], medians[name] / medians[peer]
        sys.stdout.write(f"{name} over {peer}: {over:+.2f} s (limit +{LIMIT_S} s), {ratio:.2f} x\n")


if __name__ == "__main__":
    main()
