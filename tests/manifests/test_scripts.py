"""The two scripts, with a real kubectl against a laptop in place of the cluster."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest

from seaway.local.controllers.s3credentials import s3_env
from tests.manifests.kustomize import MANIFESTS
from tests.support.laptop import TestLaptop

pytestmark = pytest.mark.needs_kubectl


def script(laptop: TestLaptop, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(MANIFESTS / arguments[0]), *arguments[1:]]
    return subprocess.run(
        command, env=laptop.env | env, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def applied(laptop: TestLaptop, kind: str, name: str, **fields: Any) -> None:
    manifest = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}
    laptop.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def found(laptop: TestLaptop, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
    said: dict[str, Any] = json.loads(laptop.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
    return said


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_models_secret_is_made_from_kfps(laptop: TestLaptop) -> None:
    data = {"accesskey": coded("key"), "secretkey": coded('se"cr$et')}
    applied(laptop, "Secret", "mlpipeline-minio-artifact", data=data)
    for endpoint, https in (("http://store.kubeflow:9000", "0"), ("https://store.example", "1")):
        done = script(laptop, "model-store", "default", endpoint)
        assert done.returncode == 0, done.stderr
        secret = found(laptop, "secret", "seaway-model-store")
        assert secret["data"] == {"AWS_ACCESS_KEY_ID": data["accesskey"], "AWS_SECRET_ACCESS_KEY": data["secretkey"]}
        said = secret["metadata"]["annotations"]
        assert said["serving.kserve.io/s3-endpoint"] == endpoint.split("://")[1]
        assert said["serving.kserve.io/s3-usehttps"] == https
        # as the laptop reads it, which does as KServe does
        account = {"secrets": [{"name": "seaway-model-store"}]}
        known: dict[str, Any] = {"serviceaccounts": account, "secrets": secret}
        service = {
            "metadata": {"namespace": "default"},
            "spec": {"predictor": {"serviceAccountName": "a", "model": {"storageUri": "s3://b/m"}}},
        }
        env = {
            e["name"]: e.get("value") for e in s3_env(service, lambda resource, ns, name, known=known: known[resource])
        }
        assert env["AWS_ENDPOINT_URL"] == endpoint
        assert env.keys() >= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}


def test_a_key_that_is_missing_is_named(laptop: TestLaptop) -> None:
    applied(laptop, "Secret", "half", data={"accesskey": coded("key")})
    done = script(laptop, "model-store", "default", SEAWAY_STORAGE_SECRET="half")
    assert done.returncode == 1
    assert "Secret half in default must hold secretkey, found none" in done.stderr


def test_a_secret_that_is_missing_is_named(laptop: TestLaptop) -> None:
    done = script(laptop, "model-store", "default", SEAWAY_STORAGE_SECRET="nowhere")
    assert done.returncode != 0
    assert 'secrets "nowhere" not found' in done.stderr


ROUTER = {"image": "kserve/router:v0.21", "headers": {"propagate": ["^Authorization$"]}}


@pytest.mark.parametrize("router", [ROUTER, None], ids=["as installed", "without a router"])
def test_routers_pass_the_trace_on_and_keep_the_rest(laptop: TestLaptop, router: dict[str, Any] | None) -> None:
    laptop.kubectl("delete", "configmap", "inferenceservice-config", "--ignore-not-found")
    data = {"deploy": "{}"} | ({"router": json.dumps(router)} if router else {})
    applied(laptop, "ConfigMap", "inferenceservice-config", data=data)
    for _ in range(2):  # twice is as once
        done = script(laptop, "trace-headers", "default")
        assert done.returncode == 0, done.stderr
    now = found(laptop, "configmap", "inferenceservice-config")["data"]
    said = json.loads(now["router"])
    own = ["^Traceparent$", "^Tracestate$", "^X-Request-Id$"]
    assert said["headers"]["propagate"] == own + (["^Authorization$"] if router else [])
    assert now["deploy"] == "{}"
    if router:
        assert said["image"] == router["image"]
