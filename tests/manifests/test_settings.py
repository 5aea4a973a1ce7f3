"""What an administrator sets reaches steps, jobs and services; what is not set keeps nobody from starting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seaway.errors import InputError
from seaway.launch.promote import manifest
from seaway.launch.service import view
from seaway.launch.settings import CONFIG_KEYS, Settings
from tests.manifests.kustomize import MANIFESTS

STORE = "s3://bucket/model"
PIPELINES = sorted((MANIFESTS.parent / "pipelines").glob("*/pipeline.yaml"))


def env(settings: Settings, *uris: str) -> dict[str, Any]:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in settings.job_env(uris)}


def promoted(model: str) -> dict[str, Any]:
    replicas = {"min_replicas": 1, "max_replicas": 1, "cpu": "", "memory": ""}
    found: dict[str, Any] = manifest(
        name="flights", model=model, info={"version": "1"}, run_id="r", patch={}, **replicas
    )
    return found


def test_without_a_config_map_the_defaults_hold() -> None:
    assert Settings.from_env() == Settings()
    assert env(Settings.from_env(), "/data/a.parquet") == {}


def test_an_empty_value_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CONFIG_KEYS:
        monkeypatch.setenv(name, "")
    assert Settings.from_env() == Settings()


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_a_worker_that_reads_the_store_gets_keys_and_the_name_of_their_secret(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("SEAWAY_STORAGE_SECRET", "mine")
    monkeypatch.setenv("SEAWAY_S3_ENDPOINT", "http://store:9000")
    found = env(Settings.from_env(), "/local", f"{scheme}://b/x")
    assert found["SEAWAY_S3_ENDPOINT"] == "http://store:9000"
    assert found["SEAWAY_STORAGE_SECRET"] == "mine"
    for name, key in (("AWS_ACCESS_KEY_ID", "accesskey"), ("AWS_SECRET_ACCESS_KEY", "secretkey")):
        # optional: the worker's own error says more than a pod that never starts
        assert found[name] == {"secretKeyRef": {"name": "mine", "key": key, "optional": True}}


def test_a_keys_value_is_never_in_a_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-step")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    assert "very-secret" not in str(env(Settings.from_env(), STORE))
    assert "very-secret" not in str(promoted(STORE))


def test_a_service_is_deployed_as_the_cluster_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mode = "serving.kserve.io/deploymentMode"
    assert promoted(STORE)["metadata"]["annotations"][mode] == "Standard"
    monkeypatch.setenv("SEAWAY_DEPLOYMENT_MODE", "Knative")
    monkeypatch.setenv("SEAWAY_SERVER_SERVICE_ACCOUNT", "seaway-server")
    found = promoted("minio://bucket/model")
    assert found["metadata"]["annotations"][mode] == "Knative"
    assert found["spec"]["predictor"]["serviceAccountName"] == "seaway-server"
    assert found["spec"]["predictor"]["model"]["storageUri"] == STORE
    monkeypatch.setenv("SEAWAY_DEPLOYMENT_MODE", "cluster")
    assert mode not in promoted(STORE)["metadata"]["annotations"]


def test_steps_reach_a_service_where_the_setting_says(monkeypatch: pytest.MonkeyPatch) -> None:
    service = {
        "metadata": {"name": "flights", "namespace": "team"},
        "spec": {"predictor": {}},
        "status": {"address": {"url": "http://inside"}, "url": "https://outside"},
    }
    assert view(service).url == "http://inside"
    monkeypatch.setenv("SEAWAY_ENDPOINT_URL", "http://{service}-predictor.{namespace}.svc.cluster.local")
    assert view(service).url == "http://flights-predictor.team.svc.cluster.local"
    assert view({**service, "status": {}}).url == "", "a service that is not ready has no URL"


WRONG = {
    "SEAWAY_DEPLOYMENT_MODE": ["RawDeployment", "standard"],
    "SEAWAY_ENDPOINT_URL": ["http://gateway", "{service}.{namespace}", "http://{name}", "http://{service", "http://{}"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_setting_that_does_not_hold_is_refused_with_the_config_maps_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"{name} must be .*found '.*': correct the ConfigMap seaway-config"):
        Settings.from_env()


@pytest.mark.parametrize("file", PIPELINES, ids=lambda f: f.parent.name)
def test_every_step_of_a_pipeline_starts_without_config_map_and_secret(file: Path) -> None:
    spec, platform = yaml.safe_load_all(file.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == set(spec["deploymentSpec"]["executors"])
    for name, found in executors.items():
        [settings] = found["configMapAsEnv"]
        assert settings["optional"] is True, name
        keys = {e["configMapKey"] for e in settings["keyToEnv"]}
        assert keys == set(CONFIG_KEYS) == {e["envVar"] for e in settings["keyToEnv"]}
        [secret] = found["secretAsEnv"]
        assert secret["optional"] is True, name
        assert {e["envVar"]: e["secretKey"] for e in secret["keyToEnv"]} == {
            "AWS_ACCESS_KEY_ID": "accesskey",
            "AWS_SECRET_ACCESS_KEY": "secretkey",
        }


def test_the_page_for_administrators_has_every_setting() -> None:
    page = (MANIFESTS.parent / "docs" / "cluster.md").read_text()
    table = page.partition("## Settings")[2].partition("## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ") and "| key |" not in line]
    named = [name.strip() for row in rows for name in row.split(",")]
    assert sorted(named) == sorted(CONFIG_KEYS)
