"""A package is whole and unchanged, or it is none."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from seaway.errors import PackageError
from seaway.model import package
from seaway.model.columns import feeds
from tests.support.tiny_package import make_package


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "package"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed graph": (lambda p: os.truncate(p / "model.onnx", 500), r"changed: \['model.onnx'\]"),
    "a changed checkpoint": (lambda p: (p / "native/estimator.skops").write_bytes(b"x"), "native/estimator.skops"),
    "an added file": (lambda p: (p / "native/extra.pkl").write_bytes(b"x"), "native/extra.pkl"),
    "a missing file": (lambda p: (p / "native/estimator.skops").unlink(), "native/estimator.skops"),
    "no model.json": (lambda p: (p / "model.json").unlink(), "found no model.json"),
    "half a model.json": (lambda p: os.truncate(p / "model.json", 100), "must be JSON"),
    "another format": (lambda p: edit(p / "model.json", '"format": 1', '"format": 9'), "found 9"),
    "no version": (lambda p: edit(p / "model.json", '"version": "v1"', '"was": ""'), r"lacks \['version'\]"),
    "a broken contract": (lambda p: edit(p / "model.json", '"dtype": "string"', '"dtype": "str"'), "no valid contract"),
    "a hard-linked graph": (lambda p: os.link(p / "model.onnx", p.parent / "other"), "hard links"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_package_is_refused(copy: Path, how: str) -> None:
    tamper, reason = TAMPERED[how]
    tamper(copy)
    with pytest.raises(PackageError, match=reason):
        package.load(copy)


def test_a_whole_package_loads_and_answers(copy: Path) -> None:
    loaded = package.load(copy)
    assert (loaded.name, loaded.version) == ("tiny", "v1")
    frame = pl.DataFrame({"carrier": ["UA", None], "distance": [900, None], "temp": [3.5, None]})
    session = loaded.session()
    answers = session.run(None, feeds(frame, loaded.contract))
    assert [len(a) for a in answers] == [2, 2, 2]


def test_no_file_of_a_package_is_a_pickle(copy: Path) -> None:
    for path in copy.rglob("*"):
        assert path.suffix not in (".pkl", ".pickle", ".joblib")
        assert not path.is_file() or not path.read_bytes().startswith(b"\x80\x04")


def test_model_json_tells_what_is_in_the_package(copy: Path) -> None:
    info = json.loads((copy / "model.json").read_text())
    assert info["task"] == "classification"
    assert info["estimator"] == "hist_gradient_boosting"
    assert [o["name"] for o in info["outputs"]] == ["label", "probabilities", "probability"]
    assert info["agreement"]["rows_over_tolerance"] == 0
    assert info["provenance"]["run_id"] == "tiny-run"
    assert len(info["provenance"]["trace_id"]) == 32
    assert info["provenance"]["created"].endswith("Z")
    reports = {"reports/training.html", "reports/training.json"}
    assert set(info["files"]) == {"model.onnx", "native/estimator.skops"} | reports
    assert info["metrics"]["validation"]["auc"] > 0.8
