"""A worker whose framework is not installed says which extra brings it, and is not tried again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seaway.training.spec import ENV, EXIT_INPUT
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs


@pytest.mark.parametrize(
    ("framework", "library", "extra"),
    [("pytorch", "torch", "torch"), ("jax", "flax", "jax"), ("xgboost", "xgboost", "xgboost")],
)
def test_a_worker_without_its_framework_names_the_extra(
    tmp_path: Path, framework: str, library: str, extra: str
) -> None:
    (tmp_path / "path").mkdir()
    text = f"raise ModuleNotFoundError(\"No module named '{library}'\", name='{library}')\n"
    (tmp_path / "path" / f"{library}.py").write_text(text)
    spec = make_inputs(tmp_path, tiny_contract(), rows=60)
    known = {k: v for k, v in os.environ.items() if not k.startswith("SEAWAY_")}
    env = known | {ENV: spec.to_json(), "PYTHONPATH": str(tmp_path / "path")}
    command = [sys.executable, "-m", f"seaway.training.{framework}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == EXIT_INPUT, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: this worker must have the libraries of the extra {extra!r}")
    assert f"No module named {library!r}" in last
    assert f"pip install 'seaway[{extra}]'" in last
    assert "Traceback" not in done.stderr
