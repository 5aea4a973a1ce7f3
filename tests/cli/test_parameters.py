"""Texts of a command line become values of the pipeline's types, or a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from seaway.cli.run import find_pipeline
from seaway.errors import InputError
from seaway.local.kfp.spec import PipelineSpec


@pytest.fixture(scope="module")
def spec() -> PipelineSpec:
    return PipelineSpec.read(find_pipeline("train_and_serve"))


def test_steps_come_in_the_order_of_their_dependencies(spec: PipelineSpec) -> None:
    assert spec.steps == ("ingest", "featurize", "train", "evaluate", "promote", "smoke-test")


def test_texts_become_values(spec: PipelineSpec) -> None:
    given = {
        "seed": "7",
        "test_fraction": "0.3",
        "fail_if_not_promoted": "True",
        "exclude": "a,b",
        "params": '{"max_iter": 10}',
        "name": "123",
    }
    assert spec.values(given) == {
        "seed": 7,
        "test_fraction": 0.3,
        "fail_if_not_promoted": True,
        "exclude": ["a", "b"],
        "params": {"max_iter": 10},
        "name": "123",
    }
    assert isinstance(spec.values({"margin": "1"})["margin"], float)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sed": "1"}, "has no parameter 'sed'; near: ['seed'"),
        ({"seed": "x"}, "'seed' must be an integer, found 'x'"),
        ({"seed": "true"}, "'seed' must be an integer"),
        ({"params": "[1]"}, "'params' must be a JSON object"),
        ({"fail_if_not_promoted": "perhaps"}, "must be true or false"),
    ],
)
def test_what_does_not_fit_is_said(spec: PipelineSpec, given: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        spec.values(given)
    assert words in str(caught.value)


def test_a_missing_parameter_is_named(spec: PipelineSpec) -> None:
    with pytest.raises(InputError, match=r"must be given \['name', 'target'\]: add --param name=..."):
        spec.check({"data": "x"})


def test_an_unknown_pipeline_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be one of .*train_and_serve"):
        find_pipeline("nope")
    (tmp_path / "x.yaml").write_text("a: 1")
    with pytest.raises(InputError, match="must be a pipeline that kfp compiled"):
        PipelineSpec.read(tmp_path / "x.yaml")
