"""What `kubectl kustomize` makes of a folder below manifests/."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = ("overlays/standalone", "overlays/profile", "overlays/cluster-runtime")

Object = dict[str, Any]


def text(folder: str) -> str:
    """The YAML, as it would be applied."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(MANIFESTS / folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(folder: str) -> dict[tuple[str, str], Object]:
    """The objects by kind and name."""
    documents = [d for d in yaml.safe_load_all(text(folder)) if d]
    found = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    assert len(found) == len(documents)
    return found


def raw(file: str) -> list[Object]:
    """The objects of one file, as written."""
    return [d for d in yaml.safe_load_all((MANIFESTS / file).read_text()) if d]
