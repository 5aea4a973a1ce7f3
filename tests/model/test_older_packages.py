"""A package outlives the release that made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import seaway
from seaway.model import package
from tests.support.release_package import KEPT, TASKS, answers, keep

FOLDERS = sorted(folder for folder in KEPT.glob("*/*") if folder.is_dir())


def close(found: Any, wanted: Any) -> bool:
    """Equal, numbers to seven digits: another onnxruntime may add in another order."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(close(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(close(f, w) for f, w in zip(found, wanted, strict=True))
    if isinstance(wanted, float):
        return bool(found == pytest.approx(wanted, rel=1e-6))
    return type(found) is type(wanted) and found == wanted


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_a_package_of_an_older_version_loads_and_answers_as_it_did(folder: Path) -> None:
    request, wanted = (json.loads((folder / f"{name}.json").read_text()) for name in ("request", "answer"))
    with package.opened(str(folder / "package")) as opened:
        assert opened.provenance["seaway"] == folder.parent.name
    found = answers(folder / "package", request)
    assert len(found["predictions"]) == 12
    assert close(found, wanted), f"found {found}, wanted {wanted}"


def test_every_release_since_the_first_keeps_both_tasks() -> None:
    assert {f.parent.name for f in FOLDERS} >= {"0.1.0"}
    assert {f.name for f in FOLDERS if f.parent.name == "0.1.0"} == set(TASKS)


def test_todays_code_keeps_packages_that_it_can_read_again(tmp_path: Path) -> None:
    keep(tmp_path, ["regressor"])
    with package.opened(str(tmp_path / "regressor" / "package")) as opened:
        assert opened.provenance["seaway"] == seaway.__version__
    assert len(json.loads((tmp_path / "regressor" / "answer.json").read_text())["predictions"]) == 12
