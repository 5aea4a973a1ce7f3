"""Manifests hold everything in full, their names find them again, and patches merge."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seaway.resources import names
from seaway.resources.inference_service import inference_service
from seaway.resources.job import job
from seaway.resources.merge import merge
from seaway.resources.pod import Ends, Replica, env_list

CRDS = Path(__file__).parents[3] / "shared" / "crds" / "check.py"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=4)


def test_a_job_says_its_restarts_and_deadline_in_full() -> None:
    replica = Replica(image="i", command=["python"], env=env_list({"B": "2", "A": "1"}), cpu="500m", memory="1Gi")
    built = job(name="j", replica=replica, ends=Ends(deadline_s=60))
    spec = built["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] == 60
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    container = spec["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert container["resources"] == {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    assert spec["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


@pytest.mark.skipif(not CRDS.exists(), reason="the CRD schemas are not here")
def test_an_inference_service_holds_to_the_crd(tmp_path: Path) -> None:
    built = inference_service(
        name="flights", storage_uri="s3://b/m", cpu="1", memory="1Gi", env=env_list({"A": "1"}), service_account="sa"
    )
    file = tmp_path / "isvc.yaml"
    file.write_text(yaml.safe_dump(dict(built)))
    checked = subprocess.run([sys.executable, CRDS, file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_name_is_the_same_for_the_same_run_and_manifest_only() -> None:
    one: dict[str, Any] = {"kind": "Job", "metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}}
    assert names.object_name("train", "r1", one) == names.object_name("train", "r1", {**one})
    assert names.object_name("train", "r1", one) != names.object_name("train", "r2", one)
    assert names.object_name("train", "r1", one) != names.object_name("train", "r1", {**one, "spec": {"x": 2}})
    named = {**one, "metadata": {**one["metadata"], "name": "given"}}
    assert names.object_name("train", "r1", one) == names.object_name("train", "r1", named)


@given(st.text())
def test_any_text_becomes_a_dns_label(text: str) -> None:
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", names.dns_label(text))
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", names.object_name(text, "r", {"metadata": {}}))


@given(st.text())
def test_any_text_becomes_a_label_value(text: str) -> None:
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", names.label_value(text))


@given(OBJECTS, OBJECTS)
def test_merging_a_patch_twice_is_merging_it_once_and_changes_no_argument(manifest: Any, patch: Any) -> None:
    before = repr((manifest, patch))
    once = merge(manifest, patch)
    assert merge(once, patch) == once
    assert repr((manifest, patch)) == before


def test_null_removes_and_lists_replace() -> None:
    assert merge({"a": {"b": 1, "c": [1, 2]}}, {"a": {"b": None, "c": [3]}}) == {"a": {"c": [3]}}
