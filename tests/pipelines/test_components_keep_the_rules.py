"""Components and pipelines stay inside what kfp.local and the KFP backend both run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPONENTS = sorted(ROOT.glob("components/*/component.py"))
PIPELINES = sorted(ROOT.glob("pipelines/*/pipeline.py"))
SIDE_EFFECTS = {"train", "evaluate", "promote", "smoke-test", "deploy-graph"}
"""Tasks that create, change or look at something outside of their inputs: a cached answer would be a wrong one."""

by_folder = pytest.mark.parametrize("path", COMPONENTS, ids=lambda p: p.parent.name)
by_module = pytest.mark.parametrize("path", COMPONENTS + PIPELINES, ids=lambda p: p.parent.name)


def function(path: Path) -> ast.FunctionDef:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == path.parent.name)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_there_are_components_and_pipelines() -> None:
    assert COMPONENTS
    assert PIPELINES


@by_folder
def test_a_component_is_short_and_its_body_is_an_import_and_a_call(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 120
    body = function(path).body[1:]  # without the docstring
    assert body[-1].end_lineno is not None
    assert body[-1].end_lineno - body[0].lineno + 1 <= 10


@by_module
def test_a_module_has_no_annotations_that_kfp_cannot_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    assert "from __future__" not in text
    assert "Literal" not in text
    for node in ast.walk(function(path).args):
        assert not isinstance(node, ast.BinOp), "X | None is not read by kfp"
    for default in function(path).args.defaults:
        assert not (isinstance(default, ast.Constant) and default.value is None), "use a sentinel, not None"


@by_module
def test_every_argument_and_output_is_described(path: Path) -> None:
    doc = ast.get_docstring(function(path)) or ""
    for argument in function(path).args.args:
        assert f"\n    {argument.arg}: " in doc, f"{argument.arg} is not described"


@by_folder
def test_the_cluster_installs_nothing_at_run_time(path: Path) -> None:
    (spec,) = documents(path.with_suffix(".yaml"))
    for executor in spec["deploymentSpec"]["executors"].values():
        container = executor["container"]
        assert "pip install" not in str(container["command"])
        assert "-python:" in container["image"], "kfp.local warns of an image without python in its name"


@pytest.mark.parametrize("path", PIPELINES, ids=lambda p: p.parent.name)
def test_a_task_with_side_effects_is_never_cached(path: Path) -> None:
    spec, _ = documents(path.with_suffix(".yaml"))
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
    for name in SIDE_EFFECTS & tasks.keys():
        assert tasks[name].get("cachingOptions", {}).get("enableCache") is not True, name


@pytest.mark.parametrize("path", PIPELINES, ids=lambda p: p.parent.name)
def test_every_task_learns_the_run_from_its_pods_label(path: Path) -> None:
    spec, platform = documents(path.with_suffix(".yaml"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == spec["deploymentSpec"]["executors"].keys()
    for executor in executors.values():
        assert {"fieldPath": "metadata.labels['pipeline/runid']", "name": "SEAWAY_RUN_ID"} in executor["fieldPathAsEnv"]


def test_the_compiled_yaml_is_what_the_sources_compile_to() -> None:
    from click.testing import CliRunner

    from seaway.cli import seaway

    result = CliRunner().invoke(seaway, ["compile", "--check"])
    assert result.exit_code == 0, result.output
