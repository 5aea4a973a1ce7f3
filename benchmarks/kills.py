"""What is left when the laptop is killed: ``python benchmarks/kills.py [--times 20] [--seed 0]``.

A laptop of its own runs `train_and_serve` with a PyTorchJob of two replicas again and again; each time its process is
killed with SIGKILL at a random moment. Each run must end well or fail in words; no process may be left that belongs to
no pod, and no replica's command may have been started twice.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

REPLICA = re.compile(r"train-kills-[0-9a-f]+-(master|worker)-\d+")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="seaway-kills-") as root:
        home = Path(root) / "home"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        env = {**os.environ, "SEAWAY_HOME": str(home), "SEAWAY_PORT": str(port), "OMP_NUM_THREADS": "1"}
        env.pop("KUBECONFIG", None)
        data = table(Path(root) / "trips.csv")
        seaway("up", "--detach", env=env)
        try:
            whole, _, seconds = one(env, data, home, None)
            print(f"undisturbed: {whole} in {seconds:.1f} s", flush=True)
            for number in range(chosen.times):
                after = draw.uniform(0.2, seconds)
                ended, words, took = one(env, data, home, after)
                problems = look(env, home)
                if ended == "failed" and not words:
                    problems.append("it failed without a word")
                bad += bool(problems)
                note = f"  {words}" if ended == "failed" else ""
                head = f"{number + 1:2d}: killed after {after:5.1f} s: {ended} in {took:.1f} s{note}"
                print(head, *problems, sep="\n    ", flush=True)
        finally:
            seaway("down", env=env)
        left = [p.info["pid"] for p in psutil.process_iter(["pid", "environ"]) if mine(p, home)]
        print(f"{bad} of {chosen.times} bad; processes left after `seaway down`: {left or 'none'}")
    return 1 if bad or left else 0


def one(env: dict[str, str], data: Path, home: Path, after: float | None) -> tuple[str, str, float]:
    """One run, its laptop killed ``after`` so many seconds; its state, its last words and how long it took."""
    given = (
        *("target=fare", "name=kills", 'exclude=["tipped"]', "framework=pytorch", "replicas=2"),
        'params={"epochs": 3}',
    )
    command = [sys.executable, "-m", "seaway", "run", "train_and_serve", "--data", str(data)]
    began = time.monotonic()
    run = subprocess.Popen(
        [*command, *(word for one in given for word in ("--param", one))],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if after is not None:
        time.sleep(after)
        os.kill(json.loads((home / "laptop.json").read_text())["pid"], signal.SIGKILL)
    said, _ = run.communicate(timeout=300)
    words = [line for line in said.splitlines() if line.startswith("error")]
    return ("succeeded" if run.returncode == 0 else "failed"), (words or [""])[0][:200], time.monotonic() - began


def look(env: dict[str, str], home: Path) -> list[str]:
    """What is wrong now that the run has ended."""
    seaway("up", "--detach", env=env)
    kubeconfig = str(home / "kubeconfig")
    found = json.loads(
        subprocess.run(
            ["kubectl", "--kubeconfig", kubeconfig, "get", "pods,pytorchjobs", "-A", "-o", "json"],
            capture_output=True, check=True, text=True,
        ).stdout
    )["items"]  # fmt: skip
    live = {o["metadata"]["uid"] for o in found if o["kind"] == "Pod" and o["status"].get("phase") == "Running"}
    problems = []
    orphans = collections.Counter(uid for uid in pod_uids(home) if uid not in live)
    if orphans:
        problems.append(f"processes of pods that do not run: {dict(orphans)}")
    for job in (o for o in found if o["kind"] == "PyTorchJob"):
        conditions = {c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"}
        if not conditions & {"Succeeded", "Failed"}:
            problems.append(f"PyTorchJob {job['metadata']['name']} goes on: {sorted(conditions)}")
    latest = max((home / "runs").iterdir(), key=lambda p: p.stat().st_ctime)
    starts: collections.Counter[str] = collections.Counter()
    for log in latest.glob("steps/*-train.log"):
        for line in log.read_text(errors="replace").splitlines():
            replica = REPLICA.search(line)
            if replica and '"read the training data"' in line:
                starts[replica[0]] += 1
    problems += [f"{replica} began {n} times" for replica, n in starts.items() if n > 1]
    return problems


def pod_uids(home: Path) -> list[str]:
    """The pods that processes of this laptop say they belong to."""
    return [
        uid
        for p in psutil.process_iter(["environ"])
        if mine(p, home) and (uid := (p.info["environ"] or {}).get("SEAWAY_POD_UID"))
    ]


def mine(process: psutil.Process, home: Path) -> bool:
    """Whether a process belongs to this laptop and is not this script."""
    return (process.info["environ"] or {}).get("SEAWAY_HOME") == str(home) and process.pid != os.getpid()


def seaway(*arguments: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "seaway", *arguments], env=env, check=True, capture_output=True)


def table(path: Path) -> Path:
    """Made-up trips whose fare follows a rule that a network can learn."""
    draw = random.Random(0)
    rows = ["zone,hour,distance,fare,tipped"]
    for _ in range(4_000):
        zone, hour, distance = draw.choice(("north", "south", "harbour")), draw.randrange(24), draw.gammavariate(2, 3)
        fare = 3 + 2 * distance * (1.8 if hour < 6 else 1) + (15 if zone == "harbour" and hour < 6 else 0)
        rows.append(f"{zone},{hour},{distance:.3f},{fare + draw.gauss(0, 0.5):.2f},{fare > 25}")
    path.write_text("\n".join(rows) + "\n")
    return path


if __name__ == "__main__":
    sys.exit(main())
