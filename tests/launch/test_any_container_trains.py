"""A program in another language, by image and command, through the step and the laptop: a package that answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from seaway.errors import DeadlineError, InputError, JobFailedError
from seaway.launch.api import Api
from seaway.launch.jobkinds import JOB
from seaway.launch.train import Trained, train
from seaway.model import package
from seaway.model.columns import feeds
from seaway.training.spec import TrainSpec
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs
from tests.support.waiting import until

LOGISTIC = Path(__file__).parents[1] / "training" / "workers" / "logistic.mjs"
DOCS = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.fixture
def spec(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainSpec:
    monkeypatch.setenv("SEAWAY_RUN_ID", tmp_path.name)
    found = make_inputs(tmp_path, tiny_contract())
    shutil.copy(found.contract, Path(found.features) / "contract.json")
    return found


def trained(spec: TrainSpec, *command: str, image: str = "docker.io/library/node:20", **given: Any) -> Trained:
    arguments: dict[str, Any] = {
        "train_features": spec.train, "validation_features": spec.validation, "validation_rows": spec.validation_rows,
        "features": spec.features, "model": spec.output, "name": "tiny", "framework": "container", "estimator": "",
        "params": {"epochs": 40}, "seed": 1, "dataset_digest": "", "replicas": 1, "cpu": "", "memory": "", "gpus": 0,
        "framework_version": "", "retries": 0, "deadline_s": 0, "namespace": "", "patch": {}, "dry_run": False,
    }  # fmt: skip
    return train(**arguments | {"image": image, "command": command} | given)


def work(api: Api, name: str) -> Path:
    """Where the containers' folder is on this machine."""
    pods = api.list(("v1", "Pod"), labels=f"batch.kubernetes.io/job-name={name}")
    return Path(pods[0]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"])


@pytest.mark.needs_node
def test_javascript_trains_and_its_model_answers(
    api: Api, spec: TrainSpec, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    found = trained(spec, "node", str(LOGISTIC))
    assert found.metrics["auc"] > 0.85
    assert found.metrics["accuracy"] == pytest.approx(found.metrics["node_accuracy"], abs=1e-3)
    assert found.metrics["train_loss"] < 0.6
    model = package.load(Path(spec.output))
    assert (model.version, model.info["framework"]) == (found.version, "container")
    assert model.info["agreement"]["max_difference"] < 1e-5
    rows = pl.read_parquet(spec.validation_rows).head(5)
    label, probabilities, probability = model.session().run(None, feeds(rows, model.contract))
    np.testing.assert_allclose(probabilities[:, 1], probability)
    assert label.dtype == bool
    said = [r.getMessage() for r in caplog.records]
    assert any(text.startswith("node_accuracy=") for text in said)
    # the folder that the containers shared is the pod's, and goes with it
    shared = work(api, found.job)
    assert (shared / "train.csv").exists()
    api.delete(JOB, found.job)
    until(lambda: not shared.is_symlink(), what="the folder is gone")
    assert not shared.exists()


def test_a_program_that_fails_fails_the_step_with_its_last_lines(api: Api, spec: TrainSpec) -> None:
    with pytest.raises(JobFailedError, match="boom at epoch 3") as caught:
        trained(spec, "sh", "-c", "echo boom at epoch 3 >&2; exit 3")
    assert caught.value.exit_code == 3


def test_a_program_that_says_that_no_retry_helps_is_not_tried_again(api: Api, spec: TrainSpec, tmp_path: Path) -> None:
    count = tmp_path / "tries"
    with pytest.raises(JobFailedError):
        trained(spec, "sh", "-c", f"echo x >> {count}; exit 65", retries=3)
    assert count.read_text() == "x\n"


def test_a_program_that_ends_without_a_model_fails_in_words(api: Api, spec: TrainSpec) -> None:
    with pytest.raises(JobFailedError, match=r"must write its model to \$SEAWAY_MODEL_OUT/model.onnx"):
        trained(spec, "true")


def test_a_program_that_never_ends_is_stopped(api: Api, spec: TrainSpec) -> None:
    with pytest.raises(DeadlineError, match="must end within 4 s"):
        trained(spec, "sleep", "1000", deadline_s=4)
    until(lambda: not api.list(("v1", "Pod"), labels=f"seaway.dev/run-id={spec_run(spec)}"), what="nothing runs")


def spec_run(spec: TrainSpec) -> str:
    return Path(spec.output).parent.name


def test_a_program_that_eats_memory_is_killed_and_the_step_says_why(api: Api, spec: TrainSpec) -> None:
    hungry = "x = bytearray(300 << 20)\nimport time\ntime.sleep(100)"
    with pytest.raises(JobFailedError, match="OOMKilled"):
        trained(spec, "python", "-c", hungry, memory="250Mi")


def test_credentials_of_the_store_are_not_given_to_the_users_program(
    api: Api, spec: TrainSpec, caplog: pytest.LogCaptureFixture
) -> None:
    trained(spec, "node", "x.mjs", dry_run=True, model="s3://box/model", gpus=1, memory="1Gi")
    text = next(r.getMessage() for r in caplog.records if r.getMessage().startswith("dry run"))
    pod = json.loads(text.partition(": ")[2])["spec"]["template"]["spec"]
    prepare, program = pod["initContainers"]
    names = [{e["name"] for e in one["env"]} for one in (prepare, program, pod["containers"][0])]
    assert "AWS_SECRET_ACCESS_KEY" in names[0] & names[2]
    assert "AWS_SECRET_ACCESS_KEY" not in names[1]
    assert {"SEAWAY_TRAIN_CSV", "SEAWAY_TRAIN_SPEC", "SEAWAY_MODEL_OUT"} <= names[1]
    assert program["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": 1}
    assert prepare["resources"]["limits"] == {"memory": "1Gi"}


@pytest.mark.parametrize("given", [{"image": ""}, {"entrypoint": "x.py"}, {"replicas": 2}])
def test_what_a_container_cannot_be_is_refused(api: Api, spec: TrainSpec, given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"image and command|one replica"):
        trained(spec, "node", "x.mjs", **given)


def test_the_script_of_the_documentation_trains_on_two_replicas(api: Api, spec: TrainSpec, tmp_path: Path) -> None:
    section = DOCS.read_text().partition("## Your own script")[2]
    script = tmp_path / "script.py"
    script.write_text(section.partition("```python\n")[2].partition("```")[0])
    found = trained(
        spec, image="", framework="pytorch", entrypoint=str(script), replicas=2, params={"epochs": 8, "rate": 0.05}
    )
    assert found.metrics["auc"] > 0.8
    assert found.metrics["train_loss"] < 1
    model = package.load(Path(spec.output))
    assert model.info["params"] == {"epochs": 8, "rate": 0.05}
    assert model.info["agreement"]["max_difference"] < 1e-5


def test_a_script_that_fails_fails_the_step_with_its_last_lines(api: Api, spec: TrainSpec, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("from seaway import training\ntraining.context().param('epochs', 'x' + 1)\n")
    with pytest.raises(JobFailedError, match=r"failed at line 2 of script.py: TypeError"):
        trained(spec, image="", framework="sklearn", entrypoint=str(tmp_path / "script.py"))
