"""What an image runs finds all it imports there: processes that see only the distributions of that image.

The steps of a line run as KFP's container starts them, by the command in component.yaml, with this environment's
interpreter; the worker and the server by the commands in their manifests.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from seaway.errors import SeawayError
from seaway.launch import endpoint
from seaway.launch.train import FRAMEWORKS
from seaway.training.spec import ENV, TrainSpec
from tests.images.installed import ROOT, blocked, names, unseen
from tests.support.fake_cluster import fake_cluster
from tests.support.laptop import free_port
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs, tiny_rows
from tests.support.waiting import until

HOOK = Path(__file__).parent / "hook"
NAME, VERSION, TARGET = "tiny", "v1", "late"
ABSENT = {
    "launcher": "onnx",
    "sklearn": "torch",
    "torch": "sklearn",
    "jax": "torch",
    "tensorflow": "torch",
    "xgboost": "sklearn",
    "server": "polars",
}
"""A module that an image does not have."""
TRAINED: dict[str, dict[str, Any]] = {
    "pytorch": {"epochs": 1},
    "jax": {"epochs": 1},
    "tensorflow": {"epochs": 1},
    "xgboost": {"n_estimators": 3},
}
"""Frameworks whose image only trains, with hyperparameters."""


@dataclass(kw_only=True)
class Line:
    """A folder in which the steps of one run find and leave their files."""

    folder: Path
    env: dict[str, str]
    outputs: dict[str, Any] = field(default_factory=dict)
    """Parameters by step and name."""

    def command(self, image: str, argv: list[str], **env: str) -> tuple[list[str], dict[str, str]]:
        """A command and the environment that makes it see only what the image has."""
        file = self.folder / f"{image}.blocked.json"
        if not file.exists():
            file.write_text(json.dumps({"modules": sorted(blocked(image)), "distributions": sorted(unseen(image))}))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        seen = {"PYTHONPATH": str(HOOK), "SEAWAY_TEST_BLOCKED": str(file), "PATH": path, "PYTHONWARNINGS": "ignore"}
        return argv, self.env | seen | env

    def run(self, image: str, argv: list[str], **env: str) -> str:
        """What the command says; it must end well."""
        argv, env = self.command(image, argv, **env)
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=240, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        return said

    def step(self, component: str, artifacts: Mapping[str, str] | None = None, **parameters: Any) -> str:
        """One KFP step, in the image that its component names."""
        spec = yaml.safe_load((ROOT / "components" / component / "component.yaml").read_text())
        [executor] = spec["deploymentSpec"]["executors"].values()
        container = executor["container"]
        image = container["image"].rpartition("/seaway-")[2].partition("-python")[0]
        outputs = next(c for c in spec["components"].values() if "executorLabel" in c).get("outputDefinitions", {})
        out = self.folder / component
        given = {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {k: _artifact(k, uri) for k, uri in (artifacts or {}).items()},
            },
            "outputs": {
                "parameters": {k: {"outputFile": str(out / "parameters" / k)} for k in outputs.get("parameters", {})},
                "artifacts": {
                    k: _artifact(k, str(out / k), v["artifactType"]["schemaTitle"])
                    for k, v in outputs.get("artifacts", {}).items()
                },
                "outputFile": str(out / "executor_output.json"),
            },
        }
        argv = [*container["command"], *container["args"]]
        said = self.run(image, [json.dumps(given) if a == "{{$}}" else a for a in argv])
        done = json.loads((out / "executor_output.json").read_text())
        self.outputs[component] = done.get("parameterValues", {})
        return said

    def at(self, component: str, artifact: str) -> str:
        """Where a step left an artifact."""
        return str(self.folder / component / artifact)


def _artifact(name: str, uri: str, kind: str = "system.Artifact") -> dict[str, Any]:
    title = {"model": "system.Model"}.get(name, kind)
    return {"artifacts": [{"name": name, "type": {"schemaTitle": title}, "uri": uri, "metadata": {}}]}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A run on a cluster that has nothing in it."""
    folder = tmp_path_factory.mktemp("line")
    kept = ("HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS")
    env = {k: os.environ[k] for k in kept if k in os.environ} | {"SEAWAY_RUN_ID": "run-1"}
    with fake_cluster(folder) as cluster:
        yield Line(folder=folder, env=env | {"KUBECONFIG": str(cluster.kubeconfig)})


@pytest.mark.parametrize("image", names())
def test_what_an_image_does_not_have_is_not_found(line: Line, image: str) -> None:
    """Else the tests below would show nothing."""
    absent = ABSENT[image]
    code = f"""
import seaway, fsspec, click
try:
    import {absent}
except ModuleNotFoundError:
    pass
else:
    raise AssertionError("{absent} is there")
"""
    line.run(image, ["python3", "-c", code])


def test_the_steps_of_a_line_run_in_their_images(line: Line) -> None:
    table = line.folder / "trips.csv"
    tiny_rows(900, tiny_contract(), seed=1).write_csv(table)
    line.step("ingest", data=str(table), target=TARGET, split="random")
    made = {"train": line.at("ingest", "train"), "validation": line.at("ingest", "validation")}
    made |= {"contract": line.at("ingest", "contract_out"), "profile": line.at("ingest", "profile_out")}
    line.step("featurize", made)
    features = line.outputs["featurize"]

    spec = TrainSpec(
        name=NAME,
        version=VERSION,
        framework="sklearn",
        train=features["train_features_uri"],
        validation=features["validation_features_uri"],
        validation_rows=line.outputs["ingest"]["validation_uri"],
        features=features["features_uri"],
        contract=features["features_uri"] + "/contract.json",
        output=str(line.folder / "model"),
        params={"estimator": "logistic"},
    )
    line.run("sklearn", ["python", "-m", FRAMEWORKS["sklearn"].module], **{ENV: spec.to_json()})
    package = {"model": spec.output}
    judged = package | {"test": line.at("ingest", "test"), "train_features": features["train_features_uri"]}
    line.step("evaluate", judged | {"features": features["features_uri"]}, service=NAME)

    said = line.step("train", **_training(features), name=NAME, framework="pytorch", dry_run=True)
    assert "PyTorchJob" in said
    judged = package | {"evaluation": line.at("evaluate", "evaluation")}
    assert "InferenceService" in line.step("promote", judged, service=NAME, baseline="trivial", dry_run=True)
    chain = {"chain": [{"service": NAME, "answers": {"late": "label"}}]}
    assert "InferenceGraph" in line.step("deploy_graph", name="graph", graph=chain, dry_run=True)
    _serve_and_ask(line, spec.output)


def _training(features: Mapping[str, str]) -> dict[str, str]:
    return {
        "train_features": features["train_features_uri"],
        "validation_features": features["validation_features_uri"],
        "validation_rows": "/data/rows",
        "features": features["features_uri"],
    }


def _serve_and_ask(line: Line, package: str) -> None:
    """The server as its runtime starts it, and the step that asks it."""
    [runtime] = yaml.safe_load_all((ROOT / "manifests/runtime/serving-runtime.yaml").read_text())
    [container] = runtime["spec"]["containers"]
    port = free_port()
    changed = {"{{.Name}}": NAME, "/mnt/models": package, "8080": str(port)}
    argv = shlex.join([*container["command"], *container["args"]])
    for old, new in changed.items():
        argv = argv.replace(old, new)
    command, env = line.command("server", shlex.split(argv.replace("python ", f"{sys.executable} ", 1)))
    with (line.folder / "server.log").open("w+") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:

            def answers() -> bool:
                assert server.poll() is None, (line.folder / "server.log").read_text()
                try:
                    return bool(endpoint.metadata(f"http://127.0.0.1:{port}", NAME)["name"] == NAME)
                except SeawayError:
                    return False

            until(answers, what="the server answers", timeout_s=60)
            asked = {"model": package, "test": line.at("ingest", "test")}
            line.step("smoke_test", asked, service=NAME, url=f"http://127.0.0.1:{port}", rows=3)
        finally:
            server.kill()
            server.wait(timeout=30)


def test_every_framework_but_that_of_the_steps_is_tried() -> None:
    assert set(TRAINED) == {name for name, framework in FRAMEWORKS.items() if framework.image != "sklearn"}


@pytest.mark.parametrize("framework", TRAINED)
def test_the_image_of_a_framework_trains(line: Line, framework: str) -> None:
    folder = line.folder / framework
    spec = make_inputs(folder, tiny_contract(), rows=200)
    fields = json.loads(spec.to_json()) | {"framework": framework, "params": TRAINED[framework]}
    row = FRAMEWORKS[framework]
    said = line.run(row.image, ["python", "-m", row.module], **{ENV: json.dumps(fields)})
    assert "auc=" in said
    assert (folder / "package" / "model.json").is_file()
