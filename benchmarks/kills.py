"""What is left after a SIGKILL: ``python benchmarks/kills.py [--what worker] [--framework jax] [--times 20]``.

A laptop of its own runs `train_and_serve` with a training of two replicas again and again; each time one process is
killed with SIGKILL at a random moment: the laptop's (``--what laptop``), or a replica's while it trains (``--what
worker``). Each run must end well or fail in words; no process may be left that belongs to no pod. When the laptop is
killed, no replica's command may have been started twice; when a replica is, the model must be as good as that of a run
that nobody disturbed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

REPLICA = re.compile(r"train-kills-[0-9a-f]+-(master|worker)-\d+")
JOBS = "pytorchjobs,jaxjobs,tfjobs,trainjobs"
AS_GOOD = 1.05
"""Of the undisturbed run's RMSE: the ranks' sums are added up in another order when the world is another."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=("laptop", "worker"), default="laptop")
    parser.add_argument("--framework", default="pytorch")
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
            first = one(env, data, home, chosen.framework)
            print(f"undisturbed: {first}, trained for {first.trained_s:.1f} s", flush=True)
            for number in range(chosen.times):
                if chosen.what == "laptop":
                    after = draw.uniform(0.2, first.seconds)
                    run = one(env, data, home, chosen.framework, lambda after=after: kill_laptop(home, after))
                else:
                    after = draw.uniform(0.0, 0.9 * first.trained_s)
                    victim = functools.partial(kill_worker, home, after, draw)
                    run = one(env, data, home, chosen.framework, victim)
                problems = look(env, home, once=chosen.what == "laptop")
                if run.failed and not run.words:
                    problems.append("it failed without a word")
                if not run.failed and run.rmse > AS_GOOD * first.rmse:
                    problems.append(f"RMSE {run.rmse}, of the undisturbed run {first.rmse}")
                bad += bool(problems)
                print(f"{number + 1:2d}: killed after {after:5.1f} s: {run}", *problems, sep="\n    ", flush=True)
        finally:
            seaway("down", env=env)
        left = [p.info["pid"] for p in psutil.process_iter(["pid", "environ"]) if mine(p, home)]
        print(f"{bad} of {chosen.times} bad; processes left after `seaway down`: {left or 'none'}")
    return 1 if bad or left else 0


@dataclass(frozen=True)
class Run:
    failed: bool
    words: str
    seconds: float
    trained_s: float
    rmse: float

    def __str__(self) -> str:
        how = f"failed  {self.words}" if self.failed else f"succeeded, RMSE {self.rmse:g}"
        return f"{how} in {self.seconds:.1f} s"


def one(env: dict[str, str], data: Path, home: Path, framework: str, disturb: Callable[[], None] = lambda: None) -> Run:
    """One run, and what disturbs it."""
    given = (
        *("target=fare", "name=kills", 'exclude=["tipped"]', f"framework={framework}", "replicas=2"),
        'params={"epochs": 6, "patience": 0}' if framework != "xgboost" else "params={}",
    )
    command = [sys.executable, "-m", "seaway", "run", "train_and_serve", "--data", str(data)]
    began = time.monotonic()
    run = subprocess.Popen(
        [*command, *(word for one in given for word in ("--param", one))],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    disturb()
    said, _ = run.communicate(timeout=300)
    words = [line for line in said.splitlines() if line.startswith("error")]
    trained = re.search(r"-train succeeded in ([\d.]+) s", said)
    rmse = re.search(r" rmse ([\d.]+),", said)
    return Run(
        failed=run.returncode != 0,
        words=(words or [""])[0][:200],
        seconds=time.monotonic() - began,
        trained_s=float(trained[1]) if trained else 0.0,
        rmse=float(rmse[1]) if rmse else 0.0,
    )


def kill_laptop(home: Path, after: float) -> None:
    time.sleep(after)
    os.kill(json.loads((home / "laptop.json").read_text())["pid"], signal.SIGKILL)


def kill_worker(home: Path, after: float, draw: random.Random) -> None:
    """Kill the process of a random replica, so long after the first of them began, with those that it started."""
    ends = time.monotonic() + 60
    while not workers(home) and time.monotonic() < ends:
        time.sleep(0.05)
    time.sleep(after)
    found = workers(home)
    if not found:
        print("    no replica was there to be killed", flush=True)
        return
    victim = draw.choice(found)
    for process in (victim, *victim.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def workers(home: Path) -> list[psutil.Process]:
    """The first process of each replica that trains."""
    found = [p for p in psutil.process_iter(["cmdline", "environ"]) if mine(p, home)]
    return [p for p in found if re.match(r"\S+ -m seaway\.training\.", " ".join(p.info["cmdline"] or []))]


def look(env: dict[str, str], home: Path, *, once: bool) -> list[str]:
    """What is wrong now that the run has ended."""
    seaway("up", "--detach", env=env)
    kubeconfig = str(home / "kubeconfig")
    found = json.loads(
        subprocess.run(
            ["kubectl", "--kubeconfig", kubeconfig, "get", f"pods,{JOBS}", "-A", "-o", "json"],
            capture_output=True, check=True, text=True,
        ).stdout
    )["items"]  # fmt: skip
    live = {o["metadata"]["uid"] for o in found if o["kind"] == "Pod" and o["status"].get("phase") == "Running"}
    problems = []
    orphans = collections.Counter(uid for uid in pod_uids(home) if uid not in live)
    if orphans:
        problems.append(f"processes of pods that do not run: {dict(orphans)}")
    for job in (o for o in found if o["kind"] != "Pod"):
        conditions = {c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"}
        if not conditions & {"Succeeded", "Failed", "Complete"}:
            problems.append(f"{job['kind']} {job['metadata']['name']} goes on: {sorted(conditions)}")
    latest = max((home / "runs").iterdir(), key=lambda p: p.stat().st_ctime)
    starts: collections.Counter[str] = collections.Counter()
    for log in latest.glob("steps/*-train.log"):
        for line in log.read_text(errors="replace").splitlines():
            replica = REPLICA.search(line)
            if replica and '"read the training data"' in line:
                starts[replica[0]] += 1
    problems += [f"{replica} began {n} times" for replica, n in starts.items() if once and n > 1]
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
