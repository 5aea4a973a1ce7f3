"""A user's own components, in a pipeline of their own, are shown and logged as Seaway's are."""

import json
import warnings
from pathlib import Path

import pytest
from kfp import dsl
from kfp.compiler import Compiler

from tests.cli.conftest import Seaway


@dsl.component(base_image="mine-python:1", install_kfp_package=False)
def add(x: int, y: int, note: dsl.Output[dsl.Dataset]) -> int:
    print("adding", x, y)  # noqa: T201
    if y == 13:
        raise ValueError("unlucky")
    return x + y


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    @dsl.pipeline(name="own")
    def own(y: int = 2):
        first = add(x=1, y=2)
        add(x=first.outputs["Output"], y=y)

    path = tmp_path_factory.mktemp("own") / "own.yaml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Compiler().compile(own, str(path))
    return path


def test_own_components_have_records_and_logs(seaway: Seaway, source: Path) -> None:
    seaway("run", str(source))
    found = json.loads(seaway("runs", "last", "--json"))
    assert [(s["step"], s["state"]) for s in found["steps"]] == [("01-add", "succeeded"), ("02-add", "succeeded")]
    assert found["steps"][1]["inputs"] == {"x": 3, "y": 2}
    assert found["steps"][1]["outputs"]["Output"] == 5
    assert found["steps"][1]["outputs"]["note"].endswith("/add-2/note")
    assert "adding 3 2" in seaway("logs", "last", "--step", "02")


def test_a_failing_component_of_ones_own_shows_its_traceback(seaway: Seaway, source: Path) -> None:
    said = seaway("run", str(source), "--param", "y=13", check=False)
    assert "02-add failed" in said
    assert "ValueError: unlucky" in said
    assert json.loads(seaway("runs", "last", "--json"))["steps"][1]["state"] == "failed"
