"""What a model server on the laptop is given to read its package, as KServe's controller works it out."""

from __future__ import annotations

from typing import Any

import pytest

from seaway.local.controllers.predictor import CONTAINER, model_pod
from seaway.local.controllers.s3credentials import s3_env

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def secret(name: str, data: dict[str, str] = KEYS, **annotations: str) -> dict[str, Any]:
    marks = {f"serving.kserve.io/s3-{k}": v for k, v in annotations.items()}
    return {"metadata": {"name": name, "annotations": marks}, "data": data}


def service(uri: str = "s3://b/m", **predictor: Any) -> dict[str, Any]:
    metadata = {"name": "flights", "namespace": "team", "uid": "u"}
    spec = {"predictor": {"model": {"storageUri": uri}, **predictor}}
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata, "spec": spec}


def env(manifest: dict[str, Any], *secrets: dict[str, Any], account: str = "default") -> dict[str, Any]:
    names = [{"name": s["metadata"]["name"]} for s in secrets] + [{"name": "not-there"}]
    known: dict[tuple[str, str, str], Any] = {("serviceaccounts", "team", account): {"secrets": names}}
    known |= {("secrets", "team", s["metadata"]["name"]): s for s in secrets}
    found = s3_env(manifest, lambda *key: known.get(key))
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in found}


def test_the_keys_stay_in_the_secret() -> None:
    found = env(service(), secret("store"))
    assert found == {k: {"secretKeyRef": {"name": "store", "key": k}} for k in KEYS}


@pytest.mark.parametrize(
    ("https", "scheme"), [({"usehttps": "0"}, "http"), ({"usehttps": "1"}, "https"), ({}, "https")]
)
def test_the_endpoint_is_https_unless_the_secret_says_otherwise(https: dict[str, str], scheme: str) -> None:
    found = env(service(), secret("store", endpoint="minio:9000", region="eu-1", verifyssl="0", **https))
    assert found["AWS_ENDPOINT_URL"] == f"{scheme}://minio:9000"
    assert found["AWS_DEFAULT_REGION"] == "eu-1"
    assert found["S3_VERIFY_SSL"] == "0"


def test_only_the_services_own_account_counts() -> None:
    assert env(service(serviceAccountName="mine"), secret("store"), account="mine")
    assert not env(service(serviceAccountName="mine"), secret("store"), account="default")
    assert not env(service(serviceAccountName="mine"), secret("store"), account="other")


def test_secrets_of_another_kind_are_left_aside() -> None:
    assert not env(service(), secret("token", data={"token": "t"}), secret("kfps", data={"secretkey": "s"}))


@pytest.mark.parametrize("uri", ["/data/model", "file:///data/model", "gs://b/m"])
def test_a_model_elsewhere_needs_no_keys(uri: str) -> None:
    assert not env(service(uri), secret("store"))


def test_what_the_service_itself_sets_goes_last() -> None:
    manifest = service()
    manifest["spec"]["predictor"]["model"]["env"] = [{"name": "AWS_ENDPOINT_URL", "value": "http://mine"}]
    given = [{"name": "AWS_ENDPOINT_URL", "value": "http://theirs"}]
    pod = model_pod(manifest, "flights-1", service_port=1, free_port=lambda: 2, credentials=given)
    [container] = pod["spec"]["containers"]
    assert container["name"] == CONTAINER
    assert [e["value"] for e in container["env"] if e["name"] == "AWS_ENDPOINT_URL"] == ["http://theirs", "http://mine"]
