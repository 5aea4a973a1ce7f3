"""Importing the package and its command loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["kfp", "kubernetes", "kserve", "torch", "jax", "tensorflow"]
HEAVY += ["sklearn", "pandas", "polars", "onnxruntime", "onnx"]


@pytest.mark.parametrize("module", ["seaway", "seaway.cli", "seaway.launch.train", "seaway.launch.promote"])
def test_a_module_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == []
