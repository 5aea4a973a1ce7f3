from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from seaway.features.fit import fit
from seaway.features.kinds import Bucketize, Elapsed, MissingIndicator, Numeric, PassThrough
from seaway.model.contract import MISSING_INT64
from tests.features.reference import check, contract, fit_and_run, frame, plan, run

NUMBERS = contract(x="float64", k="int64", b="bool")
FLOATS = st.one_of(st.none(), st.floats(), st.floats(-100, 100))
INTS = st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-5, 5))


@given(
    rows=st.lists(st.tuples(FLOATS, INTS, st.sampled_from([None, True, False])), min_size=1, max_size=30),
    unseen=st.lists(st.tuples(FLOATS, INTS, st.sampled_from([None, True, False])), max_size=10),
    impute=st.sampled_from(["mean", "median", "constant", "none"]),
    log=st.booleans(),
    scale=st.sampled_from(["standard", "min_max", "robust", "none"]),
)
@settings(max_examples=60, deadline=None)
def test_any_number_becomes_what_the_reference_says(rows, unseen, impute, log, scale):
    columns = dict(zip("xkb", map(list, zip(*rows, strict=True)), strict=True))
    options = {"impute": impute, "scale": scale, "fill": 3.5}
    fitted = fit(
        plan(
            Numeric(column="k", log=log, **options),
            Numeric(column="x", **options),
            MissingIndicator(column="k"),
            Numeric(column="b", **options),
            PassThrough(column="x"),
            Numeric(column="x", impute="none", log=True, scale="none"),
            MissingIndicator(column="x"),
        ),
        NUMBERS,
        frame(NUMBERS, **columns),
    )
    # three features of x would share a name
    assert fitted.feature_names[:1] != fitted.feature_names[1:2]
    rows = rows + unseen
    table = frame(NUMBERS, **dict(zip("xkb", map(list, zip(*rows, strict=True)), strict=True)))
    got = run(fitted, NUMBERS, table)
    assert got.shape == (len(rows), 7)
    for k, feature in enumerate(fitted.features):
        single = fit_like(fitted, k)
        if abs(feature.scale) < 1e-290 or abs(feature.offset) > 1e290:
            continue  # the reference overflows where the graph is clipped
        check(single, run(single, NUMBERS, table), table)


def fit_like(fitted, k):
    from seaway.features.fitted_plan import FittedPlan

    return FittedPlan(rows=fitted.rows, features=(fitted.features[k],))


@pytest.mark.parametrize(
    ("scale", "peer"), [("standard", StandardScaler()), ("min_max", MinMaxScaler()), ("robust", RobustScaler())]
)
def test_scales_are_those_of_scikit_learn(scale, peer):
    x = np.random.default_rng(0).gamma(2, 30, 1000)
    x[::7] = np.nan
    _, got = fit_and_run(NUMBERS, _floats(x), Numeric(column="x", impute="none", scale=scale))
    np.testing.assert_allclose(got, peer.fit_transform(x.reshape(-1, 1)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("impute", ["mean", "median"])
def test_missing_and_infinite_values_are_filled_and_do_not_count(impute):
    x = [1.0, 2.0, 9.0, None, math.nan, math.inf, -math.inf]
    _, got = fit_and_run(NUMBERS, _floats(x), Numeric(column="x", impute=impute, scale="none"))
    fill = 4.0 if impute == "mean" else 2.0
    assert got[:, 0].tolist() == [1, 2, 9, fill, fill, fill, fill]


def test_the_logarithm_is_accurate_near_zero_and_held_at_its_floor():
    x = [1e-300, 1e-18, -1e-12, 0.0, 1e-5, 1.0, 1e300, -1.0, -50.0]
    _, got = fit_and_run(NUMBERS, _floats(x), Numeric(column="x", log=True, scale="none"))
    expected = np.log1p(np.maximum(x, -1 + 1e-6)).astype(np.float32)
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-7)


def test_the_marker_of_missing_is_not_mistaken_for_its_neighbours():
    table = frame(NUMBERS, x=[1.0] * 4, k=[MISSING_INT64 + 1, None, 2**53 + 1, -(2**62)], b=[None, True, False, True])
    _, got = fit_and_run(NUMBERS, table, MissingIndicator(column="k"), MissingIndicator(column="b"))
    assert got.tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]


def test_a_column_without_values_or_of_one_value_has_scale_one():
    table = frame(NUMBERS, x=[None, math.nan, None], k=[7, 7, 7], b=[True] * 3)
    for scale in ("standard", "min_max", "robust"):
        _, got = fit_and_run(NUMBERS, table, Numeric(column="x", scale=scale), Numeric(column="k", scale=scale))
        assert got.tolist() == [[0, 0]] * 3


def test_a_constant_with_rounding_noise_counts_as_constant():
    fitted, got = fit_and_run(NUMBERS, _floats([0.1] * 1001), Numeric(column="x"))
    assert fitted.features[0].scale == 1
    assert abs(got).max() < 1e-6


def test_numbers_beyond_float32_are_held_at_its_ends():
    _, got = fit_and_run(NUMBERS, _floats([1e300, -1e300, 1.0]), PassThrough(column="x"))
    assert got[:, 0].tolist() == [float(np.finfo(np.float32).max), float(np.finfo(np.float32).min), 1]


@given(
    x=st.lists(FLOATS, min_size=1, max_size=40),
    edges=st.lists(st.integers(-50, 50), min_size=1, max_size=6, unique=True),
    quantiles=st.integers(2, 6),
)
@settings(max_examples=30, deadline=None)
def test_every_number_lies_in_exactly_one_bucket(x, edges, quantiles):
    features = (
        Bucketize(column="x", edges=tuple(float(e) for e in sorted(edges))),
        Bucketize(column="k", quantiles=quantiles),
    )
    k = [None if v is None or not math.isfinite(v) else int(max(-9, min(9, v))) for v in x]
    table = frame(NUMBERS, x=x, k=k, b=[None] * len(x))
    fitted, got = fit_and_run(NUMBERS, table, *features)
    check(fitted, got, table)
    assert (got.sum(axis=1) == 2).all()
    ordinal = [Bucketize(column=f.column, edges=f.edges, quantiles=f.quantiles, encode="ordinal") for f in features]
    fitted, got = fit_and_run(NUMBERS, table, *ordinal)
    check(fitted, got, table)


def test_quantile_buckets_hold_equal_counts():
    x = np.random.default_rng(1).permutation(1000).astype(float)
    _, got = fit_and_run(NUMBERS, _floats(x), Bucketize(column="x", quantiles=4))
    assert got.sum(axis=0).tolist() == [250, 250, 250, 250, 0]


def test_quantiles_of_one_value_leave_two_buckets():
    fitted, got = fit_and_run(NUMBERS, _floats([5.0] * 9), Bucketize(column="x", quantiles=10))
    assert fitted.features[0].edges == (5.0,)
    assert fitted.feature_names == ("x=(-inf, 5)", "x=[5, inf)", "x=<missing>")
    assert got.tolist() == [[0, 1, 0]] * 9


def test_elapsed_counts_days_from_the_first_timestamp():
    times = contract(t="timestamp")
    day = 86_400_000_000
    table = frame(times, t=[-day, None, 0, day // 2]).with_columns(pl.col("t").cast(pl.Datetime("us", "UTC")))
    _, got = fit_and_run(times, table, Elapsed(column="t"))
    assert got[:, 0].tolist() == [0, 0, 1, 1.5]


def test_every_combination_of_steps_agrees_between_one_row_and_many():
    rng = np.random.default_rng(2)
    table = _floats(np.where(rng.random(200) < 0.2, np.nan, rng.lognormal(0, 3, 200)))
    for impute, log, scale in itertools.product(("median", "none"), (False, True), ("standard", "robust")):
        fitted, got = fit_and_run(NUMBERS, table, Numeric(column="x", impute=impute, log=log, scale=scale))
        assert run(fitted, NUMBERS, table[17:18]).tobytes() == got[17:18].tobytes()


def _floats(x) -> pl.DataFrame:
    return frame(NUMBERS, x=list(x), k=[0] * len(x), b=[True] * len(x))
