"""The whole way of a training on the laptop, by each kind of job: two ranks train, one is killed, both go on."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from seaway.errors import SeawayError
from seaway.launch.api import Api
from seaway.launch.jobkinds import KINDS, PYTORCH_JOB
from seaway.launch.train import Trained, train
from seaway.model import package
from seaway.training.world import world
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs
from tests.support.waiting import until

NETWORK: dict[str, Any] = {"hidden": [16], "epochs": 12, "patience": 0, "batch_size": 32}
SLOWER = {**NETWORK, "epochs": 6}
WAYS: dict[str, dict[str, Any]] = {
    "PyTorchJob": {"framework": "pytorch", "estimator": "mlp", "params": NETWORK},
    "JAXJob": {"framework": "jax", "estimator": "mlp", "params": SLOWER},
    "TFJob": {"framework": "tensorflow", "estimator": "mlp", "params": SLOWER},
    "TrainJob of torch": {"framework": "pytorch", "api": "v2", "params": NETWORK},
    "TrainJob of jax": {"framework": "jax", "api": "v2", "params": SLOWER},
}


def run_of(folder: Path) -> str:
    """A run's id that no other test has, nor the same test of somebody else on this machine."""
    return f"{folder.parent.name}-{folder.name}"


def worker(run_id: str, rank: int) -> psutil.Process | None:
    """The process that is a rank of a run's training; not its shim, nor what it forks for a moment."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["cmdline", "ppid"]):
        command = process.info["cmdline"] or []
        if "torchrun" in " ".join(command) or not any(part.startswith("seaway.training.") for part in command):
            continue
        try:
            env = process.environ()
            if env.get("SEAWAY_RUN_ID") == run_id and world(env).place.rank == rank:
                found[process.pid] = process
        except (psutil.Error, SeawayError):  # it has just ended, or is an agent without a rank
            continue
    return next((one for one in found.values() if one.info["ppid"] not in found), None)


def trained(folder: Path, **changes: Any) -> Trained:
    spec = make_inputs(folder, tiny_contract(), rows=2000)
    shutil.copy(spec.contract, Path(spec.features) / "contract.json")
    arguments: dict[str, Any] = {
        "train_features": spec.train, "validation_features": spec.validation, "features": spec.features,
        "validation_rows": spec.validation_rows, "model": spec.output, "name": "tiny", "estimator": "", "params": {},
        "seed": 1, "dataset_digest": "", "replicas": 2, "cpu": "", "memory": "", "gpus": 0, "framework_version": "",
        "retries": 1, "deadline_s": 240, "namespace": "", "patch": {}, "dry_run": False,
    }  # fmt: skip
    return train(**{**arguments, **changes})


def killing(folder: Path, killed: list[int]) -> Callable[[], None]:
    """Kill rank 1 once there is a checkpoint."""

    def kill() -> None:
        process = until(lambda: worker(run_of(folder), 1), timeout_s=100, every_s=0.2, what="rank 1 runs")
        until(lambda: any(folder.glob("*.checkpoints/*")), timeout_s=100, what=f"a checkpoint is kept in {folder}")
        assert process is not None
        process.kill()
        killed.append(process.pid)

    return kill


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_replicas_train_and_go_on_from_their_checkpoint_when_one_is_killed(
    way: str, api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWAY_RUN_ID", run_of(tmp_path))
    killed: list[int] = []
    thread = threading.Thread(target=killing(tmp_path, killed))
    thread.start()
    done = trained(tmp_path, **WAYS[way])
    thread.join()
    assert killed
    assert done.metrics["auc"] > 0.8
    [written] = tmp_path.glob("*/model.json")
    assert package.load(written.parent).version == done.version
    kind = next(key for key in KINDS if key[1] == way.split()[0])
    job = api.get(kind, done.job)
    assert job is not None
    said = [r.getMessage() for r in caplog.records]
    if way.startswith("TrainJob"):  # its Job starts a lost node again in its place
        assert "seaway.dev/attempt" not in job["metadata"]["annotations"]
    else:
        assert job["metadata"]["annotations"]["seaway.dev/attempt"] == "2"
        assert any("(Error, exit code 137); attempt 2 of 2 begins" in text for text in said), said
    assert "goes on from a checkpoint" in said
    assert worker(run_of(tmp_path), 1) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"framework": "xgboost", "params": {"n_estimators": 20}},
        {"framework": "pytorch", "params": NETWORK, "scaling": {"replicas": 1, "processes": 2, "batch_rule": "sqrt"}},
        {"framework": "jax", "params": {**NETWORK, "epochs": 2}, "measure_scaling": True},
    ],
    ids=["xgboost by a PyTorchJob", "two processes of one replica by torchrun", "measured against one rank"],
)
def test_two_ranks_train_as_one_would(
    changes: dict[str, Any], api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWAY_RUN_ID", run_of(tmp_path))
    done = trained(tmp_path, **changes)
    assert done.metrics["auc"] > 0.75
    info = json.loads((tmp_path / "package" / "model.json").read_text())
    assert info["version"] == done.version
    evidence = json.loads((tmp_path / "package" / "reports" / "training.json").read_text())
    assert len(evidence["ranks"]) == 2
    assert bool(evidence.get("scaling")) == bool(changes.get("measure_scaling"))


@pytest.mark.slow
def test_an_elastic_training_makes_up_for_a_replica_that_is_killed_without_the_step(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWAY_RUN_ID", run_of(tmp_path))
    killed: list[int] = []
    thread = threading.Thread(target=killing(tmp_path, killed))
    thread.start()
    done = trained(tmp_path, framework="pytorch", params=NETWORK, scaling={"replicas": 2, "min_replicas": 1})
    thread.join()
    assert killed
    assert done.metrics["auc"] > 0.8
    job = api.get(PYTORCH_JOB, done.job)
    assert job is not None
    assert "seaway.dev/attempt" not in job["metadata"]["annotations"]
