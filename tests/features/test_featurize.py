from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from seaway.errors import InputError, PlanError
from seaway.features import step
from seaway.features.transform import transform
from seaway.model.contract import Column, Contract, Target

CONTRACT = Contract(
    columns=(
        Column(name="size", dtype="float64", nullable=True),
        Column(name="colour", dtype="string", nullable=True),
        Column(name="id", dtype="string"),
    ),
    target=Target(name="y", task="classification", dtype="bool", classes=(False, True)),
)


def _rows(n: int, shift: float = 0) -> pl.DataFrame:
    rng = np.random.default_rng(n)
    return pl.DataFrame(
        {
            "size": rng.normal(shift, 1, n),
            "colour": rng.choice(["red", "green", "<b>blue</b>"], n),
            "id": [f"{n}-{k}" for k in range(n)],
            "y": rng.random(n) < 0.5,
        }
    )


@pytest.fixture
def inputs(tmp_path):
    _rows(900).write_parquet(tmp_path / "train.parquet")
    _rows(300, shift=100).with_columns(colour=pl.lit("violet")).write_parquet(tmp_path / "validation.parquet")
    (tmp_path / "contract.json").write_text(CONTRACT.to_json())
    profile = {"rows": 900, "columns": [{"name": "id", "distinct": 900}, {"name": "colour", "distinct": 3}]}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    return {
        "train": str(tmp_path / "train.parquet"),
        "validation": str(tmp_path / "validation.parquet"),
        "contract": str(tmp_path / "contract.json"),
        "features": str(tmp_path / "out" / "features"),
        "train_features": str(tmp_path / "out" / "train"),
        "validation_features": str(tmp_path / "out" / "validation"),
    }


def test_it_writes_the_graph_the_plan_the_statistics_and_both_splits(inputs, tmp_path):
    result = step.featurize(
        **inputs, profile=str(tmp_path / "profile.json"), report=str(tmp_path / "out" / "report.html")
    )
    assert (result.rows, result.validation_rows) == (900, 300)
    assert result.features == len(result.feature_names) == 7
    assert not any(name.startswith("id") for name in result.feature_names)
    graph, fitted, contract = step.load(inputs["features"])
    assert contract == CONTRACT
    assert fitted.feature_names == result.feature_names
    train, validation = (pl.read_parquet(inputs[k]) for k in ("train_features", "validation_features"))
    # nothing was learnt from validation: its mean is 100, its only colour unknown
    assert abs(train["size"].mean()) < 1e-6
    assert validation["size"].mean() > 50
    assert validation["colour=<unknown>"].sum() == 300
    assert train["__target__"].to_list() == pl.read_parquet(inputs["train"])["y"].cast(pl.Int64).to_list()
    again = np.concatenate(list(transform(graph, inputs["train"], contract)))
    np.testing.assert_array_equal(train.drop("__target__").to_numpy(), again)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "id" in page
    assert "&lt;b&gt;blue&lt;/b&gt;" in page
    assert "<b>blue" not in page
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["features", "report.html", "train", "validation"]


def test_the_plan_it_wrote_gives_the_same_features_again(inputs, tmp_path):
    first = step.featurize(**inputs)
    (tmp_path / "plan.json").write_bytes((tmp_path / "out" / "features" / "plan.json").read_bytes())
    before = (tmp_path / "out" / "features" / "features.onnx").read_bytes()
    second = step.featurize(**inputs, plan=str(tmp_path / "plan.json"))
    assert second.feature_names == first.feature_names
    assert (tmp_path / "out" / "features" / "features.onnx").read_bytes() == before


def test_a_yaml_plan_may_name_some_columns_only(inputs, tmp_path):
    (tmp_path / "plan.yaml").write_text("version: 1\nfeatures:\n- {column: size, transform: numeric, scale: none}\n")
    result = step.featurize(**inputs, plan=str(tmp_path / "plan.yaml"))
    assert result.feature_names == ("size",)
    got = pl.read_parquet(inputs["train_features"])["size"]
    np.testing.assert_allclose(got, pl.read_parquet(inputs["train"])["size"], rtol=1e-6)


def test_a_plan_that_does_not_fit_writes_nothing(inputs, tmp_path):
    (tmp_path / "plan.json").write_text('{"version": 1, "features": [{"column": "sise", "transform": "numeric"}]}')
    with pytest.raises(PlanError, match="did you mean 'size'"):
        step.featurize(**inputs, plan=str(tmp_path / "plan.json"))
    assert not (tmp_path / "out").exists()


def test_a_split_that_is_not_there_is_named(inputs):
    with pytest.raises(InputError, match=r"nowhere\.parquet"):
        step.featurize(**inputs | {"train": "/nowhere.parquet"})
