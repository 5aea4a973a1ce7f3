from __future__ import annotations

import json
import math

import numpy as np
import onnx
import polars as pl
import pytest

from seaway.errors import DataError, PlanError
from seaway.features import fit as fitting
from seaway.features.fit import fit
from seaway.features.fitted_plan import FittedPlan
from seaway.features.graph import to_onnx
from seaway.features.kinds import (
    Bucketize,
    DateParts,
    Elapsed,
    Hash,
    MissingIndicator,
    Numeric,
    OneHot,
    Ordinal,
    PassThrough,
)
from seaway.model.versions import IR_VERSION, ML_OPSET, OPSET
from tests.features.reference import check, contract, frame, plan, run

ALL = contract(x="float64", k="int64", s="string", b="bool", t="timestamp", unused="float64")
EVERYTHING = plan(
    OneHot(column="s", max_categories=3),
    Numeric(column="x"),
    DateParts(column="t", is_weekend=True, raw=("month",)),
    Hash(column="s", buckets=4),
    Bucketize(column="k", quantiles=3),
    Ordinal(column="k"),
    Numeric(column="k", log=True, scale="min_max"),
    Bucketize(column="x", edges=(0.0,), encode="ordinal"),
    MissingIndicator(column="s"),
    MissingIndicator(column="t"),
    PassThrough(column="b"),
    Elapsed(column="t"),
    Ordinal(column="s"),
    OneHot(column="b"),
)


def _rows(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)

    def some(values):
        return [None if rng.random() < 0.2 else v for v in values.tolist()]

    table = frame(
        ALL,
        x=some(rng.normal(size=n)),
        k=some(rng.integers(-3, 9, n)),
        s=some(rng.choice(["a", "b", "ü", "😀", ""], n)),
        b=some(rng.random(n) < 0.5),
        t=[None] * n,
        unused=[0.0] * n,
    )
    micros = pl.Series("t", some(rng.integers(-(2**51), 2**51, n)), dtype=pl.Int64)
    return table.with_columns(micros.cast(pl.Datetime("us", "UTC")))


@pytest.fixture(scope="module")
def everything():
    table = _rows(400)
    fitted = fit(EVERYTHING, ALL, table)
    return table, fitted, run(fitted, ALL, table)


def test_all_transforms_together_agree_with_the_reference(everything):
    table, fitted, got = everything
    assert np.isfinite(got[:, [n != "b" for n in fitted.feature_names]]).all()
    for feature in fitted.features:
        alone = FittedPlan(rows=fitted.rows, features=(feature,))
        check(alone, run(alone, ALL, table), table)


def test_a_row_has_the_same_bits_alone_and_among_others(everything):
    table, fitted, got = everything
    for k in (0, 7, 399):
        assert run(fitted, ALL, table[k : k + 1]).tobytes() == got[k : k + 1].tobytes()


def test_an_empty_batch_has_all_columns(everything):
    table, fitted, _ = everything
    assert run(fitted, ALL, table[:0]).shape == (0, len(fitted.feature_names))
    for feature in fitted.features:
        alone = FittedPlan(rows=fitted.rows, features=(feature,))
        assert run(alone, ALL, table[:0]).shape == (0, len(alone.feature_names)), feature


def test_the_graph_has_the_pinned_versions_and_only_the_inputs_it_uses(everything):
    _, fitted, _ = everything
    model = to_onnx(fitted, ALL)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == IR_VERSION
    assert {o.domain: o.version for o in model.opset_import} == {"": OPSET, "ai.onnx.ml": ML_OPSET, "com.microsoft": 1}
    assert {i.name for i in model.graph.input} == {"x", "k", "s", "b", "t"}
    assert [o.name for o in model.graph.output] == ["features"]
    assert not any(n.op_type in ("Sin", "Cos") for n in model.graph.node)


def test_fitting_eager_and_lazy_frames_and_files_gives_the_same(everything, tmp_path):
    table, fitted, _ = everything
    assert fit(EVERYTHING, ALL, table.lazy()).to_dict() == fitted.to_dict()
    table.write_parquet(tmp_path / "t.parquet", row_group_size=64)
    _close(fit(EVERYTHING, ALL, pl.scan_parquet(tmp_path / "t.parquet")).to_dict(), fitted.to_dict())


def test_quantiles_column_by_column_are_the_same(everything, monkeypatch):
    table, fitted, _ = everything
    monkeypatch.setattr(fitting, "QUANTILES_TOGETHER", 10)
    assert fit(EVERYTHING, ALL, table).to_dict() == fitted.to_dict()


def test_a_fitted_plan_survives_json(everything):
    _, fitted, _ = everything
    again = FittedPlan.from_dict(json.loads(fitted.to_json()))
    assert again == fitted
    assert again.plan == EVERYTHING
    assert to_onnx(again, ALL).SerializeToString() == to_onnx(fitted, ALL).SerializeToString()


@pytest.mark.parametrize("raw", [None, [], {}, {"version": 1}, {"version": 9, "features": []}])
def test_what_is_no_fitted_plan_is_refused(raw):
    with pytest.raises(PlanError, match="run `featurize` again"):
        FittedPlan.from_dict(raw)


def test_columns_may_have_any_name():
    names = [
        "features",
        "seaway_0",
        "seaway_c1",
        "😀",
        "a b\n'\"/",
        "x",
        "x.missing",
        "x#2",
        "s=<unknown>",
        "__target__",
    ]
    signature = contract(**dict.fromkeys(names, "float64"), s="string")
    table = frame(signature, **{n: [float(k), None] for k, n in enumerate(names)}, s=["<unknown>", ""])
    features = [f for n in names for f in (PassThrough(column=n), MissingIndicator(column=n))]
    fitted = fit(plan(*features, OneHot(column="s"), Numeric(column="x")), signature, table)
    assert len(set(fitted.feature_names)) == len(fitted.feature_names) == 2 * len(names) + 4
    assert "__target__" not in fitted.feature_names  # that is the name of the target's column
    model = to_onnx(fitted, signature)
    assert [o.name for o in model.graph.output] == ["features_"]
    got = run(fitted, signature, table)
    assert got[0, : len(names)].tolist() == list(map(float, range(len(names))))
    assert [math.isnan(v) for v in got[1, : len(names)]] == [True] * len(names)


def test_nothing_is_learnt_from_no_rows():
    with pytest.raises(DataError, match="at least one, found none"):
        fit(EVERYTHING, ALL, _rows(3)[:0])


def test_a_contract_of_another_dtype_is_refused(everything):
    _, fitted, _ = everything
    other = contract(x="int64", k="int64", s="string", b="bool", t="timestamp")
    with pytest.raises(PlanError, match="'x' was fitted as float64, the contract has int64"):
        to_onnx(fitted, other)


def _close(a, b):
    """Equal but for the last bits of floats: a sum in another order."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for k in a:
            _close(a[k], b[k])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _close(x, y)
    elif isinstance(a, float):
        assert a == pytest.approx(b, rel=1e-12)
    else:
        assert a == b
