"""Promotion: the gate's word, a rolling deployment, the way back, and the smoke test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seaway.errors import InputError, LaunchError, NotPromotedError
from seaway.launch import endpoint
from seaway.launch.api import Api
from seaway.launch.promote import champion_uri
from seaway.launch.service import INFERENCE_SERVICE, served
from seaway.launch.smoke import smoke_test
from seaway.model.package import read_info
from tests.support.promotions import evaluation, promoted

Packages = tuple[Path, Path]


def smoke(model: Path, service: str) -> Any:
    rows = model.parent / "validation_rows.parquet"
    return smoke_test(
        service=service, url="", model=str(model), test=str(rows), rows=5, tolerance=1e-4, timeout_s=10, namespace=""
    )


def test_a_model_is_promoted_answers_and_is_replaced_without_changing_its_url(
    api: Api, packages: Packages, tmp_path: Path
) -> None:
    one, two = packages
    first = promoted(tmp_path, one, "rolling")
    assert first.promoted
    assert (tmp_path / "summary.md").read_text().startswith("# Promoted")
    assert champion_uri("rolling") == str(one)
    assert smoke(one, "rolling").rows == 5
    second = promoted(tmp_path, two, "rolling")
    assert second.url == first.url
    assert champion_uri("rolling") == str(two)
    assert smoke(two, "rolling").version == read_info(str(two))["version"]


def test_a_live_endpoint_that_answers_otherwise_fails_the_smoke_test(
    api: Api, packages: Packages, tmp_path: Path
) -> None:
    one, two = packages
    promoted(tmp_path, one, "other")
    with pytest.raises(LaunchError, match=r"differences|must serve version"):
        smoke(two, "other")


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_serving(api: Api, packages: Packages, tmp_path: Path) -> None:
    one, two = packages
    promoted(tmp_path, one, "kept")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.json").write_bytes((two / "model.json").read_bytes())
    (broken / "model.onnx").write_bytes(b"rubbish")
    with pytest.raises(LaunchError, match="cannot serve its model"):
        promoted(tmp_path, broken, "kept")
    now = served(api, "kept")
    assert now is not None
    assert now.storage_uri == str(one)
    assert smoke(one, "kept").rows == 5


def test_a_first_model_that_cannot_be_loaded_leaves_no_service(api: Api, packages: Packages, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.json").write_bytes((packages[0] / "model.json").read_bytes())
    with pytest.raises(LaunchError, match="cannot serve its model"):
        promoted(tmp_path, broken, "never")
    assert api.get(INFERENCE_SERVICE, "never") is None


def test_a_model_below_the_baseline_is_not_promoted_green_or_red(api: Api, packages: Packages, tmp_path: Path) -> None:
    low = evaluation(tmp_path, auc=0.6)
    found = promoted(tmp_path, packages[0], "low", evaluation=low)
    assert not found.promoted
    assert "0.7" in " ".join(found.reasons)
    assert (tmp_path / "summary.md").read_text().startswith("# Not promoted")
    assert api.get(INFERENCE_SERVICE, "low") is None
    with pytest.raises(NotPromotedError, match="not promoted"):
        promoted(tmp_path, packages[0], "low", evaluation=low, fail_if_not_promoted=True)


def test_a_model_worse_than_the_served_one_is_promoted_within_the_margin_only(
    api: Api, packages: Packages, tmp_path: Path
) -> None:
    worse = evaluation(tmp_path, auc=0.9, champion=0.95)
    assert not promoted(tmp_path, packages[0], "margin", evaluation=worse, margin=0.01).promoted
    assert promoted(tmp_path, packages[0], "margin", evaluation=worse, margin=0.1).promoted


def test_a_dry_run_applies_nothing(api: Api, packages: Packages, tmp_path: Path) -> None:
    assert promoted(tmp_path, packages[0], "dry", dry_run=True).promoted
    assert api.get(INFERENCE_SERVICE, "dry") is None


def test_a_patch_reaches_the_manifest(api: Api, packages: Packages, tmp_path: Path) -> None:
    promoted(tmp_path, packages[0], "patched", patch={"metadata": {"labels": {"team": "air"}}})
    found = api.get(INFERENCE_SERVICE, "patched")
    assert found is not None
    assert found["metadata"]["labels"]["team"] == "air"


def test_a_refused_row_and_a_dead_endpoint_are_said_in_words(api: Api, packages: Packages, tmp_path: Path) -> None:
    url = promoted(tmp_path, packages[0], "words").url
    with pytest.raises(InputError, match="answered 400"):
        endpoint.infer(url, "words", {"inputs": []})
    with pytest.raises(LaunchError, match=r"must answer, found .*refused: is the service ready"):
        endpoint.infer("http://127.0.0.1:9", "words", {"inputs": []}, timeout_s=1)
