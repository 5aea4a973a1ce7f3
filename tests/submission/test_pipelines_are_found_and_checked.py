"""A pipeline by name, YAML, file or function; parameters in its types; and what is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seaway.cli.run import find_pipeline
from seaway.errors import InputError, SubmissionError
from seaway.pipelines.train_and_serve.pipeline import train_and_serve
from seaway.submission.package import opened
from seaway.submission.source import find
from tests.submission.conftest import GIVEN, HELPER, MODULE

SECOND = """
@dsl.pipeline(name="two")
def two(n: int = 1):
    with dsl.If(n == 1, "inner"):
        add(x=n)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(HELPER)
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    return path


def names(pipeline: Any) -> str:
    with opened(pipeline) as package:
        return package.spec.name


def test_a_name_a_yaml_a_file_and_a_function_are_pipelines(file: Path, tmp_path: Path) -> None:
    assert names("train_and_serve") == names("train-and-serve") == "train-and-serve"
    assert names(file) == names(str(file)) == "one"
    assert names(find(str(file), tmp_path)) == "one"
    assert names(train_and_serve) == "train-and-serve"


def test_a_run_on_the_laptop_takes_a_file_too(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWAY_HOME", str(tmp_path / "home"))
    found = find_pipeline(str(file))
    assert found == tmp_path / "home" / "compiled" / "one.yaml"
    assert names(found) == "one"


def test_one_of_several_in_a_file_is_named(file: Path) -> None:
    file.write_text(MODULE + SECOND)
    assert names(f"{file}:two") == "two"
    with pytest.raises(InputError, match=r"must have one pipeline, found \['one', 'two'\]: name one, .*mine.py:one"):
        names(file)
    with pytest.raises(InputError, match="must have the pipeline 'three'"):
        names(f"{file}:three")
    named = file.with_name("two.py")
    named.write_text(MODULE + SECOND)
    assert names(named) == "two"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "found none: decorate a function with @dsl.pipeline"),
        ("import nothing_of_that_name", "must run without an error, found ModuleNotFoundError"),
        ("def (", "must run without an error, found SyntaxError"),
        ("from __future__ import annotations\n" + HELPER, "leave out `from __future__ import annotations`"),
    ],
)
def test_a_file_without_a_pipeline_is_refused(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        names(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1", "must be a pipeline that kfp compiled"),
        ("a: [", "must be YAML"),
        ("\x00", "must be YAML"),
        ("", "must be a pipeline that kfp compiled"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow", "must be a pipeline that kfp compiled"),
        ("pipelineInfo: {name: x}\nroot: {}\nschemaVersion: 2.0.0", "must have schemaVersion 2.1.0, found '2.0.0'"),
        ("pipelineInfo: {name: x}\nroot: {dag: {tusks: {}}}\nschemaVersion: 2.1.0", "must be a pipeline that kfp 2"),
        ("pipelineInfo: {name: x}\nroot: {}\nschemaVersion: 2.1.0\n---\nfoo: 1", "must be a pipeline that kfp 2"),
    ],
)
def test_a_yaml_that_is_no_pipeline_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        names(path)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for missing in ("nope", tmp_path / "nope.yaml", tmp_path / "nope.py"):
        with pytest.raises(InputError, match=r"must be one of|no such file"):
            names(missing)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"targt": "x"}, "has no parameter 'targt'; near: ['target']"),
        ({"seed": "x"}, "'seed' must be an integer, found 'x'"),
        ({"seed": 1.5}, "'seed' must be an integer"),
        ({"seed": True}, "'seed' must be an integer"),
        ({"target": 3}, "'target' must be text, found 3: put it in quotes"),
        ({"exclude": {"a": 1}}, "'exclude' must be a JSON list"),
        ({"params": [1]}, "'params' must be a JSON object"),
        ({"margin": float("nan")}, "'margin' must be plain JSON with finite numbers"),
        ({"margin": "NaN"}, "'margin' must be plain JSON with finite numbers"),
        ({"params": {"a": object()}}, "'params' must be plain JSON"),
        ({"params": {"a": [2**53 + 1]}}, "no integer beyond 2^53"),
        ({"seed": str(2**60)}, "no integer beyond 2^53"),
        ({"fail_if_not_promoted": "perhaps"}, "must be true or false"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(given: dict[str, Any], words: str) -> None:
    with opened("train_and_serve") as package, pytest.raises(InputError) as caught:
        package.values({**GIVEN, **given})
    assert words in str(caught.value)


def test_values_and_texts_become_the_pipelines_types() -> None:
    with opened("train_and_serve") as package:
        texts = {"seed": "7", "margin": "1", "exclude": "a,b", "params": '{"k": [1]}', "fail_if_not_promoted": "True"}
        typed = {"seed": 7, "margin": 1, "exclude": ("a", "b"), "params": {"k": [1]}, "fail_if_not_promoted": True}
        found = package.values({**GIVEN, **texts})
        assert found == package.values({**GIVEN, **typed})
        assert found == {**GIVEN, **typed, "exclude": ["a", "b"]}
        with pytest.raises(InputError, match=r"must be given \['name', 'target'\]"):
            package.values({"data": "x"})


def test_whether_the_scheduled_time_is_used_is_known(file: Path) -> None:
    def takes(pipeline: Any) -> bool:
        with opened(pipeline) as package:
            return package.takes_scheduled_time

    assert takes("train_and_serve")
    assert takes(file)
    file.write_text(MODULE.replace(", note=scheduled_time", ""))
    assert not takes(file)
    file.write_text(MODULE.replace(', scheduled_time: str = ""', "").replace(", note=scheduled_time", ""))
    assert not takes(file)


def test_without_the_cache_no_task_of_any_depth_has_it(file: Path) -> None:
    file.write_text(MODULE + SECOND)
    with opened(f"{file}:two") as package:
        spec, *_ = yaml.safe_load_all(package.without_cache().path.read_text())
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    tasks = [task for dag in dags for task in dag["tasks"].values()]
    assert len(tasks) == 2
    assert all(task["cachingOptions"] == {} for task in tasks)


def test_a_step_of_a_pipeline_is_told_to_start_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_KFP_RUNTIME", "true")
    with pytest.raises(SubmissionError, match="env -u _KFP_RUNTIME seaway submit"):
        names("train_and_serve")
