"""The whole way of a PyTorchJob on the laptop: two ranks train one network, one is killed, they go on together."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import psutil
import pytest

from seaway.launch.api import Api
from seaway.launch.jobkinds import PYTORCH_JOB
from seaway.launch.train import train
from seaway.model import package
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs
from tests.support.waiting import until


def worker(run_id: str) -> psutil.Process | None:
    """The process that is rank 1 of a run's training; not its shim."""
    for process in psutil.process_iter(["cmdline"]):
        if "seaway.training.pytorch" in (process.info["cmdline"] or []):
            try:
                env = process.environ()
            except psutil.Error:  # it has just ended
                continue
            if env.get("RANK") == "1" and env.get("SEAWAY_RUN_ID") == run_id:
                return process
    return None


@pytest.mark.slow
def test_two_replicas_train_and_go_on_from_their_checkpoint_when_one_is_killed(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWAY_RUN_ID", tmp_path.name)
    spec = make_inputs(tmp_path, tiny_contract(), rows=2000)
    shutil.copy(spec.contract, Path(spec.features) / "contract.json")
    checkpoints = Path(f"{spec.output}.checkpoints")
    killed = []

    def kill() -> None:
        until(lambda: checkpoints.is_dir() and any(checkpoints.iterdir()), timeout_s=200, what="a checkpoint is kept")
        process = worker(tmp_path.name)
        assert process is not None
        process.kill()
        killed.append(process.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    trained = train(
        train_features=spec.train, validation_features=spec.validation, validation_rows=spec.validation_rows,
        features=spec.features, model=spec.output, name="tiny", framework="pytorch", estimator="mlp",
        params={"hidden": [16], "epochs": 12, "patience": 0, "batch_size": 32}, seed=1, dataset_digest="", replicas=2,
        cpu="", memory="", gpus=0, framework_version="", retries=1, deadline_s=0, namespace="", patch={}, dry_run=False,
    )  # fmt: skip
    thread.join()
    assert killed
    assert trained.metrics["auc"] > 0.8
    assert package.load(Path(spec.output)).version == trained.version
    job = api.get(PYTORCH_JOB, trained.job)
    assert job is not None
    assert job["metadata"]["annotations"]["seaway.dev/attempt"] == "2"
    said = [r.getMessage() for r in caplog.records]
    assert any("worker-0 (Error, exit code 137); attempt 2 of 2 begins" in text for text in said), said
    assert "goes on from a checkpoint" in said
    assert worker(tmp_path.name) is None
