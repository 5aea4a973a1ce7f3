"""JAXJob, TFJob, TrainJob and elastic PyTorchJobs run to their end as a PyTorchJob does: what each adds to that."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from seaway.errors import DeadlineError, JobFailedError
from seaway.launch.api import Api, Object
from seaway.launch.attempt import Patience
from seaway.launch.identity import identify
from seaway.launch.job import ATTEMPT, condition, named, run_job
from seaway.launch.jobkinds import KINDS, kind_of
from seaway.resources import names
from seaway.resources.jaxjob import jax_job
from seaway.resources.pod import Ends, Replica
from seaway.resources.pytorchjob import Elastic, pytorch_job
from seaway.resources.tfjob import tf_job
from seaway.resources.trainjob import train_job
from tests.support.waiting import until

TELL_RANK = """\
import json, os, sys, time
env = os.environ
if "TF_CONFIG" in env:
    config = json.loads(env["TF_CONFIG"])
    rank, size = config["task"]["index"], len(config["cluster"]["worker"])
else:
    rank, size = (int(next(env[n] for n in found if n in env)) for found in (
        ("PROCESS_ID", "JAX_PROCESS_ID", "PET_NODE_RANK"), ("NUM_PROCESSES", "JAX_NUM_PROCESSES", "PET_NNODES")))
"""
BUILDERS: dict[str, Callable[..., Any]] = {
    "JAXJob": jax_job,
    "TFJob": tf_job,
    "TrainJob of torch": partial(train_job, runtime="torch-distributed", processes=1),
    "TrainJob of jax": partial(train_job, runtime="jax-distributed"),
}
SOON = Patience(look_s=0.2)


def manifest(api: Api, kind: str, code: str, *, replicas: int = 2, ends: Ends | None = None) -> Object:
    replica = Replica(
        image="i-python:1",
        command=["python", "-c", TELL_RANK + code],
        labels=names.run_labels("run-1", "train"),
        termination_grace_period_seconds=2,
    )
    built = BUILDERS[kind](name="", replica=replica, replicas=replicas, ends=ends or Ends())
    return named(built, prefix="t", identity=identify(api))


def pods(api: Api, job: Object) -> list[Object]:
    row = kind_of(job)
    return api.list(("v1", "Pod"), labels=row.selector(job["metadata"]["name"]))


def nothing_runs(api: Api, job: Object) -> bool:
    return not [p for p in pods(api, job) if p["status"].get("phase") == "Running"]


def counted(folder: Path, code: str) -> str:
    """Code that first leaves a letter in a file of its rank."""
    return f"open({str(folder)!r} + f'/ran-{{rank}}', 'a').write('x')\n{code}"


def ran(folder: Path) -> dict[str, int]:
    return {p.name.removeprefix("ran-"): len(p.read_text()) for p in folder.glob("ran-*")}


@pytest.fixture(params=BUILDERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_succeeds_and_every_replicas_lines_are_in_the_steps_log(
    api: Api, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = manifest(api, kind, "print('rank', rank, 'of', size, flush=True); time.sleep(0.5)", replicas=3)
    done = run_job(api, wanted, identity=identify(api))
    assert condition(done, kind_of(done).succeeded)
    lines = {r.getMessage() for r in caplog.records if r.name == "seaway.replica"}
    assert lines >= {"rank 0 of 3", "rank 1 of 3", "rank 2 of 3"}


def test_a_lost_replica_costs_one_restart_of_all_however_its_peers_end(api: Api, kind: str, tmp_path: Path) -> None:
    """One is killed; another, which lost it, is aborted by its framework; both come back."""
    first, killed = str(tmp_path / "ran-0"), str(tmp_path / "killed")
    code = (
        f"again = os.path.getsize({str(tmp_path)!r} + f'/ran-{{rank}}') > 1\n"
        f"if rank == 1 and not again:\n"
        f"    while not os.path.exists({first!r}): time.sleep(0.02)\n"  # else it might never have begun
        f"    open({killed!r}, 'w').close(); os.kill(os.getpid(), 9)\n"
        f"while not os.path.exists({killed!r}): time.sleep(0.02)\n"
        f"if rank == 0 and not again: time.sleep(0.3); os.abort()\n"
        f"while rank == 0 and os.path.getsize({str(tmp_path / 'ran-1')!r}) < 2: time.sleep(0.02)\n"  # a TFJob would end
    )
    done = run_job(api, manifest(api, kind, counted(tmp_path, code)), identity=identify(api), restarts=1, patience=SOON)
    assert condition(done, kind_of(done).succeeded)
    assert ran(tmp_path) == {"0": 2, "1": 2}


def test_the_guilty_replica_is_named_though_its_peer_was_aborted_first_in_name(
    api: Api, kind: str, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    code = (
        f"if rank == 0:\n"
        f"    while not os.path.exists({str(gone)!r}): time.sleep(0.02)\n"
        f"    while os.path.exists('/proc/' + open({str(gone)!r}).read()): time.sleep(0.02)\n"
        f"    time.sleep(0.3); os.abort()\n"
        f"print('no memory', flush=True)\n"
        f"open({str(gone)!r} + '.new', 'w').write(str(os.getpid()))\n"
        f"os.rename({str(gone)!r} + '.new', {str(gone)!r})\nos._exit(9)"
    )
    with pytest.raises(JobFailedError) as caught:
        run_job(api, manifest(api, kind, code), identity=identify(api), patience=SOON)
    assert caught.value.exit_code == 9
    assert "-1" in caught.value.replica or "-worker-1" in caught.value.replica
    assert caught.value.tail == "no memory"


def test_an_input_that_no_restart_helps_fails_at_once_and_nothing_runs_on(api: Api, kind: str, tmp_path: Path) -> None:
    wanted = manifest(api, kind, counted(tmp_path, "sys.exit(65) if rank == 0 else time.sleep(600)"))
    with pytest.raises(JobFailedError, match="exit code 65"):
        run_job(api, wanted, identity=identify(api), restarts=5, patience=SOON)
    until(lambda: nothing_runs(api, wanted), what="no replica runs on")


def test_a_job_that_hangs_is_ended_by_the_deadline_and_is_gone(api: Api, kind: str) -> None:
    wanted = manifest(api, kind, "time.sleep(600)")
    with pytest.raises(DeadlineError, match="must end within 1 s"):
        run_job(api, wanted, identity=identify(api), deadline_s=1)
    until(lambda: not pods(api, wanted), what="its replicas are gone")
    assert api.get(kind_of(wanted).kind, wanted["metadata"]["name"]) is None


def test_a_tfjobs_first_worker_decides_and_a_jaxjobs_workers_all_do(api: Api) -> None:
    code = "sys.exit(3) if rank == 1 else time.sleep(1)"
    with pytest.raises(JobFailedError, match=r"worker-1 \(Error, exit code 3\)"):
        run_job(api, manifest(api, "JAXJob", code), identity=identify(api))
    code = "sys.exit(0) if rank == 0 else time.sleep(600)"
    done = run_job(api, manifest(api, "TFJob", code), identity=identify(api))
    until(lambda: nothing_runs(api, done), what="the others are ended")


def hosts_the_rendezvous(api: Api, job: Object) -> str:
    """The replica without which torchrun's agents cannot meet again; on a cluster that is the first worker."""
    [endpoint] = {
        one["value"]
        for pod in pods(api, job)
        for one in pod["spec"]["containers"][0]["env"]
        if one["name"] == "PET_RDZV_ENDPOINT"
    }
    port = int(endpoint.rpartition(":")[2])
    [process] = {
        psutil.Process(c.pid)
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr.port == port
    }
    return str(process.environ()["HOSTNAME"])


@pytest.mark.slow
def test_an_elastic_job_makes_up_for_a_lost_replica_by_itself(api: Api, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, time\n"
        "rank, size = os.environ['RANK'], os.environ['WORLD_SIZE']\n"
        f"open(f'{tmp_path}/{{os.environ[\"HOSTNAME\"]}}-{{os.getpid()}}', 'w').write(f'{{rank}} of {{size}}')\n"
        f"while not os.path.exists('{tmp_path}/end'): time.sleep(0.05)\n"
    )
    replica = Replica(image="i-python:1", command=["torchrun", str(script)], labels=names.run_labels("run-1", "train"))
    elastic = Elastic(min_replicas=1, max_replicas=2, max_restarts=2)
    built = pytorch_job(name="", replica=replica, replicas=2, elastic=elastic)
    wanted = named(built, prefix="t", identity=identify(api))
    name = wanted["metadata"]["name"]

    def worlds(replica: str) -> list[str]:
        return [p.read_text() for p in tmp_path.glob(f"{name}-{replica}-*")]

    def lose() -> None:
        until(lambda: worlds("worker-0") and worlds("worker-1"), timeout_s=60, what="both train")
        lost.append("worker-1" if hosts_the_rendezvous(api, wanted) == f"{name}-worker-0" else "worker-0")
        api.delete(("v1", "Pod"), f"{name}-{lost[0]}")
        until(lambda: len(worlds(lost[0])) == 2, timeout_s=60, what="the lost one trains again")
        (tmp_path / "end").touch()

    lost: list[str] = []
    thread = threading.Thread(target=lose)
    thread.start()
    done = run_job(api, wanted, identity=identify(api), restarts=2, patience=SOON, deadline_s=100)
    thread.join()
    assert condition(done, "Succeeded")
    assert ATTEMPT not in done["metadata"]["annotations"]
    assert all(world.endswith("of 2") for world in worlds(lost[0]))


def test_every_kind_of_job_names_its_container_and_counts_its_replicas(api: Api, kind: str) -> None:
    wanted = manifest(api, kind, "", replicas=5)
    row = kind_of(wanted)
    assert row.count(wanted) == 5
    assert json.dumps(wanted).count(f'"name": "{row.container}"') == 1
    assert set(KINDS) >= {(wanted["apiVersion"], wanted["kind"])}
