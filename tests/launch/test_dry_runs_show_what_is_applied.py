"""A dry run logs exactly the manifest that would be applied, and every one holds to its CRD."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seaway.errors import InputError
from seaway.launch import train as launcher
from seaway.launch.api import Object
from seaway.launch.graph import deploy_graph
from seaway.launch.jobkinds import KINDS
from seaway.launch.train import train
from tests.support.promotions import promoted

CRDS = Path(__file__).parents[3] / "shared" / "crds" / "check.py"
TRAIN: dict[str, Any] = {
    "train_features": "s3://b/t", "validation_features": "s3://b/v", "validation_rows": "s3://b/r", "features": "s3://b/f",
    "model": "s3://b/m/", "name": "flights-late", "framework": "pytorch", "estimator": "", "params": {}, "seed": 0,
    "dataset_digest": "", "replicas": 1, "cpu": "", "memory": "", "gpus": 0, "framework_version": "", "retries": 1,
    "deadline_s": 0, "namespace": "", "patch": {}, "dry_run": True,
}  # fmt: skip
FULL: dict[str, Any] = {"replicas": 3, "cpu": "500m", "memory": "2Gi", "deadline_s": 3600}
TRAININGS: dict[str, dict[str, Any]] = {
    "sklearn": {"framework": "sklearn"},
    "sklearn in full": {"framework": "sklearn", "cpu": "2", "memory": "1Gi", "retries": 3, "deadline_s": 60},
    "one replica": {},
    "workers": {"replicas": 4, "cpu": "500m", "memory": "2Gi", "deadline_s": 3600, "estimator": "mlp"},
    "gpus": {"replicas": 2, "gpus": 8, "framework_version": "2.13"},
    "xgboost": {"framework": "xgboost", "cpu": "2"},
    "xgboost together": {"framework": "xgboost", **FULL},
    "jax": {"framework": "jax"},
    "jax in full": {"framework": "jax", **FULL, "gpus": 2},
    "tensorflow": {"framework": "tensorflow"},
    "tensorflow in full": {"framework": "tensorflow", **FULL, "gpus": 2},
    "v2": {"api": "v2"},
    "v2 in full": {"api": "v2", **FULL, "gpus": 2},
    "v2 jax": {"api": "v2", "framework": "jax", **FULL},
    "elastic": {"scaling": {"replicas": 2, "min_replicas": 1, "max_replicas": 4, "cpu": 0.5, "batch_rule": "linear"}},
    "one's own": {"framework": "jax", "entrypoint": "s3://b/train.py", "image": "mine/jax:1", "replicas": 2},
    "measured": {"framework": "tensorflow", "scaling": '{"replicas": 2}', "measure_scaling": True},
    "a patch": {"replicas": 2, "patch": {"spec": {"runPolicy": {"schedulingPolicy": {"queue": "team"}}}}},
}
GRAPHS: dict[str, dict[str, Any]] = {
    "a chain": {
        "chain": [
            {"service": "late", "answers": {"late": "label", "probability": "probability"}},
            {"service": "delay", "answers": {"minutes": "value"}, "when": "probability >= 0.3"},
        ]
    },
    "nodes": {
        "nodes": {
            "root": {
                "routerType": "Splitter",
                "steps": [{"serviceName": "late", "weight": 90}, {"serviceName": "late2", "weight": 10}],
            }
        }
    },
}


def shown(caplog: pytest.LogCaptureFixture) -> Object:
    """The manifest of the last dry run."""
    [*_, found] = [r.getMessage() for r in caplog.records if r.getMessage().startswith("dry run, not ")]
    manifest: Object = json.loads(found.partition(": ")[2])
    return manifest


def trained(caplog: pytest.LogCaptureFixture, **changes: Any) -> Object:
    assert train(**{**TRAIN, **changes}).job == shown(caplog)["metadata"]["name"]
    return shown(caplog)


@pytest.mark.skipif(not CRDS.exists(), reason="the CRD schemas are not here")
@pytest.mark.usefixtures("api")
def test_every_launchers_manifests_hold_to_the_crds(
    tmp_path: Path, packages: tuple[Path, Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWAY_S3_ENDPOINT", "http://minio:9000")
    monkeypatch.setenv("SEAWAY_JOB_SERVICE_ACCOUNT", "trainer")
    monkeypatch.setenv("SEAWAY_SERVER_SERVICE_ACCOUNT", "server")
    manifests = [trained(caplog, **changes) for changes in TRAININGS.values()]
    for changes in ({}, {"cpu": "1", "memory": "1Gi", "min_replicas": 2, "max_replicas": 4}):
        promoted(tmp_path, packages[0], "dry", dry_run=True, **changes)
        manifests.append(shown(caplog))
    for graph in GRAPHS.values():
        deploy_graph(name="dry", graph=graph, summary=str(tmp_path / "summary.md"), dry_run=True)
        manifests.append(shown(caplog))
    of_jobs = {"Job", "PyTorchJob", "JAXJob", "TFJob", "TrainJob"}
    assert {m["kind"] for m in manifests} == {*of_jobs, "InferenceService", "InferenceGraph"}
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(manifests))
    checked = subprocess.run([sys.executable, CRDS, file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.usefixtures("api")
def test_what_a_dry_run_shows_is_what_is_applied(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[Object] = []
    monkeypatch.setattr(launcher, "run_job", lambda api, manifest, **rest: applied.append(manifest))
    monkeypatch.setattr(launcher.package, "read_info", lambda uri: {"files": {}, "metrics": {"validation": {}}})
    for changes in TRAININGS.values():
        dry = trained(caplog, **changes)
        train(**{**TRAIN, **changes, "dry_run": False})
        assert applied.pop() == dry


@pytest.mark.usefixtures("api")
def test_a_pytorchjob_leaves_nothing_to_the_operators_defaults(caplog: pytest.LogCaptureFixture) -> None:
    job = trained(caplog, replicas=3, gpus=2, memory="2Gi", cpu="1", deadline_s=60, framework_version="2.13")
    spec = job["spec"]
    assert spec["nprocPerNode"] == "2"
    assert spec["runPolicy"] == {
        "backoffLimit": 0, "cleanPodPolicy": "Running", "suspend": False, "activeDeadlineSeconds": 60,
        "ttlSecondsAfterFinished": 86_400,
    }  # fmt: skip
    replicas = spec["pytorchReplicaSpecs"]
    assert {role: (r["replicas"], r["restartPolicy"]) for role, r in replicas.items()} == {
        "Master": (1, "Never"),
        "Worker": (2, "Never"),
    }
    for replica in replicas.values():
        template = replica["template"]
        [container] = template["spec"]["containers"]
        assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
        assert container["name"] == "pytorch"
        assert container["image"].endswith("-torch2.13")
        assert container["ports"] == [{"name": "pytorchjob-port", "containerPort": 23456}]
        assert container["resources"] == {
            "requests": {"cpu": "1", "memory": "2Gi", "nvidia.com/gpu": 2},
            "limits": {"memory": "2Gi", "nvidia.com/gpu": 2},
        }
        env = {e["name"]: e.get("value") for e in container["env"]}
        assert json.loads(env["SEAWAY_TRAIN_SPEC"] or "")["checkpoints"] == "s3://b/m.checkpoints"
    assert "Worker" not in trained(caplog, replicas=1)["spec"]["pytorchReplicaSpecs"]


@pytest.mark.usefixtures("api")
def test_a_retried_step_computes_the_same_name_and_version_whatever_its_span(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for span in ("b", "c"):
        monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{span * 16}-01")
        found.append((trained(caplog, replicas=2), train(**{**TRAIN, "replicas": 2}).version))
    (first, version), (second, again) = found
    assert (first["metadata"], version) == (second["metadata"], again)
    assert f"{'b' * 16}" in json.dumps(first)
    assert f"{'c' * 16}" in json.dumps(second)


@pytest.mark.usefixtures("api")
def test_the_name_leaves_room_for_a_replicas_suffix(caplog: pytest.LogCaptureFixture) -> None:
    job = trained(caplog, name="a-very-long-name-of-a-model-that-somebody-has-thought-of", replicas=1000)
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", f"{job['metadata']['name']}-worker-998")


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"framework": "sklearn", "replicas": 2}, r"'sklearn' trains on one replica, found replicas=2: use .*torch"),
        ({"framework": "sklearn", "gpus": 1}, r"'sklearn' trains without GPUs, found gpus=1: use one of .*'jax'"),
        ({"framework": "caffe"}, r"framework must be one of \[.*'pytorch', 'sklearn', .*\], found 'caffe'$"),
        ({"framework": "pytoch"}, "found 'pytoch': did you mean 'pytorch'"),
        ({"api": "v3"}, r"api must be one of \['v1', 'v2'\], found 'v3'"),
        ({"api": "v2", "framework": "tensorflow"}, r"TrainJob .*trains \['pytorch', 'jax'\].* found .*'tensorflow'"),
        ({"api": "v2", "framework": "xgboost", "gpus": 1}, "found framework 'xgboost': use api 'v1'; .* without GPUs"),
        ({"api": "v2", "scaling": {"max_replicas": 2}}, "a TrainJob .* has a fixed number of nodes"),
        ({"framework": "jax", "scaling": {"max_replicas": 2}}, r"'jax' .*fixed number .*only \['pytorch'\] are el"),
        ({"framework": "tensorflow", "scaling": {"processes": 2}}, "all of a replica's devices .*found processes=2"),
        ({"framework": "xgboost", "scaling": {"batch_rule": "sqrt"}}, "'xgboost' has no batches, found .*='sqrt'"),
        ({"scaling": {"replcas": 2}}, r"scaling takes \[.*\], found 'replcas': did you mean 'replicas'"),
        ({"scaling": {"batch_rule": "linaer"}}, "found 'linaer': did you mean 'linear'"),
        ({"scaling": {"batch_rule": "linear"}, "params": {"batch_rule": "sqrt"}}, "the same batch_rule"),
        ({"scaling": {"replicas": 1.5}}, "replicas must be a whole number, found 1.5"),
        ({"scaling": {"replicas": 0}}, "replicas must be at least 1, found 0"),
        ({"scaling": {"gpus": 65}}, "gpus must be at most 64, found 65"),
        ({"scaling": {"replicas": 3, "max_replicas": 2}}, "must be from min_replicas to max_replicas, found .*=3"),
        ({"scaling": "[1]"}, r"scaling must be an object .* found \[1\]"),
        ({"scaling": "{"}, "scaling must be JSON"),
        ({"memory": "4"}, "memory must be at least 4Mi, found '4': write its unit"),
        ({"cpu": "two"}, "cpu must be an amount such as 2, 0.5 or 500m, found 'two'"),
        ({"command": ["Rscript"]}, "'pytorch' has a command of its own"),
        ({"replicas": 0}, "replicas must be at least 1, found 0"),
        ({"gpus": -1}, "gpus must be at least 0, found -1"),
        ({"retries": -1}, "retries must be at least 0, found -1"),
        ({"deadline_s": -5}, "deadline_s must be at least 0, found -5"),
        ({"framework_version": "2.13 beta"}, r"framework_version must be a version such as 2\.13, found '2\.13 beta'"),
        ({"seed": -1}, "seed must be from 0 to 4,294,967,295, found -1"),
        ({"seed": 2**32}, "seed must be from 0 to 4,294,967,295, found 4294967296"),
    ],
)
def test_a_parameter_that_does_not_hold_is_refused_before_a_job_is_made(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        train(**{**TRAIN, **changes})


def test_every_framework_has_a_kind_of_job_that_is_known() -> None:
    assert {f.kind for f in launcher.FRAMEWORKS.values()} <= {kind for _, kind in KINDS}
