"""``python -m tests.support.release_package``: keep small packages of this release, with rows and the answers they got.

Later releases must load them and answer the same: tests/model/test_older_packages.py.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import seaway
from seaway.model.contract import Task
from seaway.serving import v1
from seaway.serving.served import ServedModel
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_package, tiny_rows

KEPT = Path(__file__).parents[1] / "model" / "packages"
TASKS: dict[str, Task] = {"classifier": "classification", "regressor": "regression"}


def answers(package: Path, request: dict[str, Any]) -> Any:
    """What the model server answers to a request of the v1 protocol."""
    model = ServedModel.open(str(package))
    read = v1.read(model, json.dumps(request).encode(), max_rows=1000)
    return json.loads(v1.write(model, read, model.predict(read.feeds)))


def keep(folder: Path, names: Iterable[str] = TASKS) -> None:
    """Write this release's packages below ``folder``."""
    for name, task in ((name, TASKS[name]) for name in names):
        contract = tiny_contract(task)
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(make_package(Path(scratch), task=task), folder / name / "package")
        request = {"instances": tiny_rows(12, contract, seed=5).drop(contract.target.name).to_dicts()}
        found = answers(folder / name / "package", request)
        for file, content in (("request.json", request), ("answer.json", found)):
            (folder / name / file).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    destination = KEPT / seaway.__version__
    if destination.exists():
        sys.exit(f"{destination} is there already: a release is kept once, by the code that made it")
    keep(destination)
