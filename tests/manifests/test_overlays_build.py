"""Each overlay is what a cluster can be given, and fits the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seaway.launch.settings import CONFIG_KEYS, CONFIG_MAP, STORAGE_SECRET, Settings
from seaway.resources.images import image
from seaway.resources.inference_service import MODEL_FORMAT, inference_service
from seaway.resources.names import MANAGED_BY
from seaway.serving.__main__ import parser
from tests.manifests.kustomize import OVERLAYS, Object, built, raw, text

CRDS = Path(__file__).parents[3] / "shared" / "crds" / "check.py"
NAMESPACED = pytest.mark.parametrize("overlay", OVERLAYS[:2])

pytestmark = pytest.mark.needs_kubectl


def runtime() -> Object:
    [found] = raw("runtime/serving-runtime.yaml")
    return found


@pytest.mark.skipif(not CRDS.exists(), reason="the CRD schemas are not here")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_holds_to_its_schema(overlay: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(text(overlay))
    checked = subprocess.run(
        [sys.executable, CRDS, tmp_path / "all.yaml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "ServingRuntime/seaway-server: ok" in checked.stdout


@NAMESPACED
def test_everything_is_in_one_namespace(overlay: str) -> None:
    found = built(overlay)
    namespaces = {o["metadata"].get("namespace") for o in found.values()}
    assert len(namespaces) == 1
    assert None not in namespaces
    assert not {k for k, _ in found} & {"ClusterRole", "ClusterRoleBinding", "Namespace", "Secret"}


@pytest.mark.parametrize(("overlay", "account"), [(OVERLAYS[0], "pipeline-runner"), (OVERLAYS[1], "default-editor")])
def test_the_role_goes_to_whom_steps_run_as(overlay: str, account: str) -> None:
    found = built(overlay)
    binding = found["RoleBinding", "seaway-launcher"]
    assert binding["roleRef"]["name"] == "seaway-launcher"
    assert ("Role", "seaway-launcher") in found
    [subject] = binding["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": account, "namespace": binding["metadata"]["namespace"]}


@NAMESPACED
def test_the_settings_are_known_and_name_what_is_there(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = built(overlay)
    data = found["ConfigMap", CONFIG_MAP]["data"]
    assert set(data) <= set(CONFIG_KEYS)
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_env()
    assert ("ServiceAccount", settings.job_service_account) in found
    assert ("ServiceAccount", settings.server_service_account) in found
    assert settings.storage_secret == STORAGE_SECRET


@NAMESPACED
def test_no_pod_of_ours_is_given_a_token_of_the_api(overlay: str) -> None:
    accounts = [o for (kind, _), o in built(overlay).items() if kind == "ServiceAccount"]
    assert len(accounts) == 2
    assert all(a["automountServiceAccountToken"] is False for a in accounts)


def test_the_cluster_wide_runtime_is_the_same_one() -> None:
    [(key, found)] = built("overlays/cluster-runtime").items()
    assert key == ("ClusterServingRuntime", "seaway-server")
    assert "namespace" not in found["metadata"]
    assert found["spec"] == runtime()["spec"]


def test_the_runtime_is_chosen_for_our_services() -> None:
    spec = runtime()["spec"]
    service = inference_service(name="flights", storage_uri="s3://b/m")["spec"]["predictor"]["model"]
    [form] = spec["supportedModelFormats"]
    assert form["name"] == service["modelFormat"]["name"] == MODEL_FORMAT
    assert form["autoSelect"] is True
    assert service["protocolVersion"] in spec["protocolVersions"]
    assert "v1" in spec["protocolVersions"]


def test_the_runtime_starts_this_versions_server_as_it_wants_to_be_started() -> None:
    [container] = runtime()["spec"]["containers"]
    assert container["image"] == image("server"), "the tag is the package's version"
    assert container["name"] == "kserve-container"
    assert container["command"] == ["python", "-m", "seaway.serving"]
    args = parser().parse_args([a.replace("{{.Name}}", "flights") for a in container["args"]])
    assert (args.model_name, args.model_dir, args.port) == ("flights", "/mnt/models", [8080])
    ports = {p["containerPort"] for p in container["ports"]}
    probed = {container[p]["httpGet"]["port"] for p in ("readinessProbe", "livenessProbe")}
    assert ports == probed == {8080}
    assert container["securityContext"]["runAsNonRoot"] is True


def test_in_a_mesh_models_may_be_asked_on_their_own_paths_alone() -> None:
    found = built("overlays/profile")
    policy = found["AuthorizationPolicy", "seaway-models"]["spec"]
    assert policy["selector"]["matchLabels"] == MANAGED_BY, "the label that services and graphs hand on to their pods"
    [rule] = policy["rules"]
    [to] = rule["to"]
    assert to["operation"]["methods"] == ["GET", "POST"]
    assert "/*" not in to["operation"]["paths"]
    network = found["NetworkPolicy", "seaway-models"]["spec"]
    assert network["podSelector"]["matchLabels"] == MANAGED_BY
    assert network["policyTypes"] == ["Ingress"]
