"""Samples a second of one training script by two ranks: ``python benchmarks/training.py [--peers FOLDER]``.

The script trains a network (239 numbers, two layers of 256) with DistributedDataParallel on rows that it draws, and
says how many samples a second all ranks together trained on once warm. It is run in turns:

    torchrun    bare, ``--nproc-per-node 2``: the floor
    seaway      a PyTorchJob of a Master and a Worker on the laptop, created by the official client
    torchx      TorchX's local_cwd scheduler, ``dist.ddp -j 1x2``
    kubeflow    the Kubeflow SDK's LocalProcessBackend, which has one process a job: the same script, one rank

The peers need a virtual environment of their own, for their pins contradict KFP's: ``python -m venv FOLDER``, then
``FOLDER/bin/pip install torchx kubeflow``. Without ``--peers`` they are left out. One thread a rank everywhere. Limit:
seaway at least 0.97 x torchrun's samples a second (medians of paired runs).
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client, config

from seaway.local import daemon

LIMIT = 0.97
PLACE = ("kubeflow.org", "v1", "default", "pytorchjobs")
OUT = "BENCH_OUT"
SCRIPT = """
import json, os, sys, time
import torch
import torch.distributed as dist

BATCH, WARM, STEPS = 512, 30, 300


def main():
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [torch.nn.Linear(239, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU(),
              torch.nn.Linear(256, 1)]
    network = torch.nn.Sequential(*layers)
    if world > 1:
        dist.init_process_group("gloo")
        network = torch.nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rows, answers = torch.randn(20_000, 239), torch.randn(20_000, 1)
    for step in range(WARM + STEPS):
        if step == WARM:
            began = time.perf_counter()
        at = torch.randint(0, len(rows), (BATCH,))
        loss = torch.nn.functional.mse_loss(network(rows[at]), answers[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - began
    if rank == 0:
        with open(os.environ["BENCH_OUT"], "w") as file:
            json.dump({"samples_per_s": BATCH * STEPS * world / seconds, "world_size": world}, file)
    if world > 1:
        dist.destroy_process_group()


main()
"""
SDK = """
import sys, time
from kubeflow.trainer import CustomTrainer, TrainerClient
from kubeflow.trainer.backends.localprocess.types import LocalProcessBackendConfig

script, out, site = sys.argv[1:]


def work(given):
    import os, runpy, sys

    sys.path.insert(0, given["site"])
    os.environ["BENCH_OUT"] = given["out"]
    os.environ["OMP_NUM_THREADS"] = "1"
    runpy.run_path(given["script"], run_name="__main__")


trainer = TrainerClient(backend_config=LocalProcessBackendConfig())
runtime = trainer.get_runtime("torch-distributed")
runtime.trainer.framework = "python"  # its torchrun would need torch installed anew for each job
arguments = {"script": script, "out": out, "site": site}
name = trainer.train(runtime=runtime, trainer=CustomTrainer(func=work, func_args=arguments))
ends = time.monotonic() + 300
while trainer.get_job(name).status not in ("Complete", "Failed") and time.monotonic() < ends:
    time.sleep(0.2)
if trainer.get_job(name).status != "Complete":
    sys.stderr.write("".join(trainer.get_job_logs(name)))
    raise SystemExit(1)
"""


def manifest(name: str, command: list[str], out: str) -> dict[str, Any]:
    environment = [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": OUT, "value": out}]
    container = {"name": "pytorch", "image": "seaway-torch", "command": command, "env": environment}
    replica = {"replicas": 1, "restartPolicy": "Never", "template": {"spec": {"containers": [container]}}}
    spec = {
        "runPolicy": {"cleanPodPolicy": "None"},
        "nprocPerNode": "1",
        "pytorchReplicaSpecs": {"Master": replica, "Worker": copy.deepcopy(replica)},
    }
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": name}, "spec": spec}


def seaway(path: Path, out: Path, number: int) -> None:
    api, core, name = client.CustomObjectsApi(), client.CoreV1Api(), f"bench-{number}"
    api.create_namespaced_custom_object(*PLACE, manifest(name, ["python", str(path)], str(out)))
    label = f"training.kubeflow.org/job-name={name}"
    ends = time.monotonic() + 300
    while time.monotonic() < ends:
        pods = core.list_namespaced_pod("default", label_selector=label).items
        phases = {pod.status.phase for pod in pods}
        if "Failed" in phases:
            raise SystemExit(f"{name} failed")
        if len(pods) == 2 and phases == {"Succeeded"}:
            return
        time.sleep(1)  # a look costs the replicas a moment of a core
    raise SystemExit(f"{name} did not end")


def command(arguments: list[str], out: Path, **variables: str) -> None:
    env = {**os.environ, OUT: str(out), "OMP_NUM_THREADS": "1", **variables}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=600)
    if done.returncode or not out.exists():
        raise SystemExit(f"{arguments[:3]} ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="folder of a virtual environment with torchx and kubeflow")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="seaway-bench-"))
    os.environ |= {"SEAWAY_HOME": str(folder / "home"), "SEAWAY_PORT": "0"}
    path, sdk = folder / "script.py", folder / "sdk.py"
    path.write_text(SCRIPT)
    sdk.write_text(SDK)
    site = next(p for p in sys.path if p.endswith("site-packages"))
    torchrun = str(Path(sys.executable).with_name("torchrun"))
    cases: dict[str, Callable[[Path, int], None]] = {
        "torchrun": lambda out, _: command([torchrun, "--standalone", "--nproc-per-node", "2", str(path)], out),
        "seaway": lambda out, number: seaway(path, out, number),
    }
    if chosen.peers is not None:
        programs = chosen.peers.absolute() / "bin"
        ddp = ["dist.ddp", "-j", "1x2", "--script", str(path), "--env", f"OMP_NUM_THREADS=1,{OUT}="]
        cases["torchx"] = lambda out, _: command(
            [str(programs / "torchx"), "run", "-s", "local_cwd", "--wait", *ddp[:-1], ddp[-1] + str(out)], out
        )
        cases["kubeflow"] = lambda out, _: command([str(programs / "python"), str(sdk), str(path), str(out), site], out)
    config.load_kube_config(str(daemon.start(20_000 + os.getpid() % 10_000).kubeconfig))
    found: dict[str, list[float]] = {}
    world: dict[str, int] = {}
    try:
        for number in range(chosen.repeats + 1):
            for name, run in cases.items():
                out = folder / f"{name}-{number}.json"
                with contextlib.chdir(folder):
                    run(out, number)
                said = json.loads(out.read_text())
                world[name] = said["world_size"]
                if number:  # the first round warms the page cache
                    found.setdefault(name, []).append(said["samples_per_s"])
    finally:
        daemon.stop()
    for name, per_s in found.items():
        spread = f"{min(per_s):,.0f} .. {max(per_s):,.0f}"
        sys.stdout.write(f"{name:9} {statistics.median(per_s):10,.0f} samples/s, {world[name]} ranks   ({spread})\n")
    ok = True
    for name, per_s in found.items():
        if name != "torchrun":
            ratio = statistics.median(a / b for a, b in zip(per_s, found["torchrun"], strict=True))
            limit = f" (limit {LIMIT})" if name == "seaway" else ""
            ok &= name != "seaway" or ratio >= LIMIT
            sys.stdout.write(f"{name} over torchrun: {ratio:.3f} x{limit}\n")
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
