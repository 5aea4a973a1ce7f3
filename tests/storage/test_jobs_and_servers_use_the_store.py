"""A line whose data, features and model live in an object store: worker and model server read and write it.

Both run as the laptop's pods, in an environment of their own: all they know of the store comes from Secrets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway.errors import JobFailedError, LaunchError
from seaway.launch.api import Api
from seaway.launch.promote import champion_uri
from seaway.launch.smoke import smoke_test
from seaway.launch.train import train
from seaway.model.package import read_info
from seaway.storage import uri
from tests.support.laptop import TestLaptop, running_laptop
from tests.support.object_store import Keys, ObjectStore, stalled_server
from tests.support.promotions import promoted
from tests.support.release_package import KEPT
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs

ROOT = "minio://box/v2/artifacts"
"""As KFP's default pipeline root is written."""


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLaptop]:
    with running_laptop(tmp_path_factory.mktemp("laptop") / "home") as found:
        yield found


@pytest.fixture
def api(laptop: TestLaptop, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The laptop as a step sees it that may use the store."""
    for name, value in {
        "KUBECONFIG": str(laptop.kubeconfig),
        "SEAWAY_HOME": str(laptop.home),
        "SEAWAY_RUN_ID": "run-1",
        "SEAWAY_STORAGE_SECRET": "my-store",
        "SEAWAY_SERVER_SERVICE_ACCOUNT": "seaway-server",
    }.items():
        monkeypatch.setenv(name, value)
    return Api.connect()


def apply(laptop: TestLaptop, manifest: dict[str, Any]) -> None:
    laptop.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))


def secret(laptop: TestLaptop, name: str, data: dict[str, str], **annotations: str) -> None:
    coded = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
    marks = {f"serving.kserve.io/s3-{k}": v for k, v in annotations.items()}
    laptop.kubectl("delete", "secret", name, "--ignore-not-found")
    metadata = {"name": name, "annotations": marks}
    apply(laptop, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": coded})


def credentials(laptop: TestLaptop, store: ObjectStore, keys: Keys) -> None:
    """Both Secrets: KFP's for jobs, KServe's, by a service account, for servers."""
    secret(laptop, "my-store", {"accesskey": keys.key, "secretkey": keys.secret})
    env = {k: v for k, v in keys.env.items() if k.endswith(("KEY_ID", "ACCESS_KEY"))}
    host = store.endpoint.removeprefix("http://")
    secret(laptop, "model-store", env, endpoint=host, usehttps="0", region="us-east-1")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "seaway-server"}}
    apply(laptop, {**account, "secrets": [{"name": "model-store"}]})


def trained(root: str, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "train_features": f"{root}/train.parquet",
        "validation_features": f"{root}/validation.parquet",
        "validation_rows": f"{root}/validation_rows.parquet",
        "features": f"{root}/features",
        "model": f"{root}/model",
        "name": "tiny",
        "framework": "sklearn",
        "estimator": "logistic",
        "params": {},
        "seed": 7,
        "dataset_digest": "0" * 64,
        "replicas": 1,
        "cpu": "",
        "memory": "",
        "gpus": 0,
        "framework_version": "",
        "retries": 0,
        "deadline_s": 0,
        "namespace": "",
        "patch": {},
        "dry_run": False,
    }
    return train(**{**arguments, **changes})


def upload_inputs(folder: Path, root: str) -> None:
    """What ingest and featurize leave in the store."""
    spec = make_inputs(folder, tiny_contract())
    (folder / "features" / "contract.json").write_bytes(Path(spec.contract).read_bytes())
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        uri.write_bytes(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.mark.needs_kubectl
def test_a_model_is_trained_served_and_asked_from_the_store(
    api: Api, laptop: TestLaptop, s3: ObjectStore, tmp_path: Path
) -> None:
    credentials(laptop, s3, s3.user)
    upload_inputs(tmp_path, f"{ROOT}/good")
    done = trained(f"{ROOT}/good")
    assert done.model_uri == f"{ROOT}/good/model"
    assert 0.5 < done.metrics["auc"] <= 1
    assert "v2/artifacts/good/model/model.json" in s3.keys("box")
    assert read_info(done.model_uri)["version"] == done.version

    said = promoted(tmp_path, done.model_uri, "tiny")
    assert said.promoted
    # the service's storageUri is one that KServe knows
    assert champion_uri("tiny") == f"{ROOT}/good/model".replace("minio://", "s3://")
    asked = smoke_test(
        service="tiny",
        url="",
        model=done.model_uri,
        test=str(tmp_path / "validation_rows.parquet"),
        rows=5,
        tolerance=1e-6,
        timeout_s=20,
        namespace="",
    )
    assert (asked.rows, asked.version) == (5, done.version)


LACKING = {
    "no Secret": (None, "must be given credentials, found none: Secret my-store in the pod's namespace must hold"),
    "a Secret without the key": ({"accesskey": "x"}, "found none: Secret my-store in the pod's namespace must hold"),
    "another's keys": ({"accesskey": "AKIAX", "secretkey": "x"}, "must let us in, found: .*: Secret my-store in"),
}


@pytest.mark.needs_kubectl
@pytest.mark.parametrize("how", LACKING)
def test_a_step_whose_worker_gets_no_keys_fails_with_the_secrets_name(
    api: Api, laptop: TestLaptop, s3: ObjectStore, how: str
) -> None:
    data, words = LACKING[how]
    laptop.kubectl("delete", "secret", "my-store", "--ignore-not-found")
    if data is not None:
        secret(laptop, "my-store", data)
    with pytest.raises(JobFailedError, match=words) as failed:
        trained(f"{ROOT}/{how.replace(' ', '-')}", retries=3)
    assert failed.value.exit_code == 65, "a retry would end the same"
    assert "Traceback" not in str(failed.value)


@pytest.mark.needs_kubectl
def test_a_worker_whose_store_is_away_ends_so_that_it_is_tried_again(
    api: Api, laptop: TestLaptop, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(laptop, s3, s3.user)
    monkeypatch.setenv("SEAWAY_S3_TIMEOUT_S", "0.2")
    with stalled_server() as endpoint:
        monkeypatch.setenv("SEAWAY_S3_ENDPOINT", endpoint)
        with pytest.raises(JobFailedError, match=f"the object store at {endpoint} must answer") as failed:
            trained(f"{ROOT}/away")
    assert failed.value.exit_code == 1


@pytest.mark.needs_kubectl
def test_a_server_that_gets_no_keys_says_so_and_nothing_is_left(
    api: Api, laptop: TestLaptop, s3: ObjectStore, tmp_path: Path
) -> None:
    uri.upload_folder(KEPT / "0.1.0" / "classifier" / "package", "s3://box/lone", last="model.json")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "seaway-server"}}
    apply(laptop, {**account, "secrets": [{"name": "not-there"}]})
    with pytest.raises(LaunchError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must hold the right keys"):
        promoted(tmp_path, "s3://box/lone", "lone")
    assert champion_uri("lone") == ""
