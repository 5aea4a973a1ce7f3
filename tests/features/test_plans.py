from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.errors import PlanError
from seaway.features.infer import infer
from seaway.features.kinds import (
    TRANSFORMS,
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
from seaway.features.plan import FeaturePlan
from seaway.model.contract import Column, Contract, Target

CONTRACT = Contract(
    columns=(
        Column(name="price", dtype="float64", nullable=True),
        Column(name="carrier", dtype="string"),
        Column(name="left", dtype="timestamp"),
        Column(name="count", dtype="int64"),
        Column(name="paid", dtype="bool"),
    ),
    target=Target(name="late", task="classification", dtype="bool", classes=(False, True)),
)
NAMES = st.sampled_from(["a", "b", "über", "😀", 'quo"te'])
FEATURES = st.one_of(
    st.builds(
        Numeric, column=NAMES, log=st.booleans(), fill=st.floats(-9, 9), impute=st.sampled_from(["mean", "none"])
    ),
    st.builds(OneHot, column=NAMES, min_frequency=st.sampled_from([1, 0.25, 40])),
    st.builds(Ordinal, column=NAMES, max_categories=st.integers(1, 9)),
    st.builds(Hash, column=NAMES, buckets=st.integers(2, 9), seed=st.integers(0, 9)),
    st.builds(Bucketize, column=NAMES, edges=st.just((1.0, 2.5))),
    st.builds(Bucketize, column=NAMES, quantiles=st.integers(2, 9), encode=st.just("ordinal")),
    st.builds(DateParts, column=NAMES, raw=st.sampled_from([(), ("hour", "week")]), is_weekend=st.booleans()),
    *(st.builds(kind, column=NAMES) for kind in (PassThrough, MissingIndicator, Elapsed)),
)


@given(st.lists(FEATURES, min_size=1, unique=True))
def test_a_plan_survives_json_and_yaml(features):
    import yaml

    plan = FeaturePlan(features=tuple(features))
    assert FeaturePlan.from_text(plan.to_json()) == plan
    assert FeaturePlan.from_text(yaml.safe_dump(plan.to_dict(), allow_unicode=True).encode()) == plan


def test_a_json_plan_needs_no_yaml(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    text = '{"version": 1, "features": [{"column": "price", "transform": "numeric"}]}'
    assert FeaturePlan.from_text(text).features == (Numeric(column="price"),)
    with pytest.raises(PlanError, match="install PyYAML"):
        FeaturePlan.from_text("version: 1")


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ({"column": "price", "transform": "numeri"}, "found 'numeri', did you mean 'numeric'?"),
        ({"column": "price", "transform": ["numeric"]}, "transform must be one of numeric, pass_through"),
        ({"transform": "numeric"}, "must name its column"),
        ({"column": 3, "transform": "numeric"}, "must name its column, found 3"),
        ({"column": "price", "transform": "numeric", "inpute": "mean"}, "no option 'inpute', did you mean 'impute'?"),
        ({"column": "price", "transform": "pass_through", "zzz": 1}, "no option 'zzz', its options are []"),
        ({"column": "price", "transform": "numeric", "impute": "men"}, "none, did you mean 'mean'?, found 'men'"),
        ({"column": "price", "transform": "numeric", "impute": ["mean"]}, "impute must be one of"),
        ({"column": "price", "transform": "numeric", "fill": "0"}, "fill must be a finite number, found '0'"),
        ({"column": "price", "transform": "numeric", "fill": float("nan")}, "fill must be a finite number"),
        ({"column": "price", "transform": "numeric", "log": "yes"}, "log must be true or false, found 'yes'"),
        ({"column": "price", "transform": "bucketize"}, "either quantiles or edges"),
        ({"column": "price", "transform": "bucketize", "edges": [2, 1]}, "edges must be increasing"),
        ({"column": "price", "transform": "bucketize", "edges": 2}, "edges must be a list, found 2"),
        ({"column": "price", "transform": "bucketize", "edges": ["a"]}, "edges must be increasing finite numbers"),
        ({"column": "price", "transform": "bucketize", "quantiles": 1}, "quantiles must be a whole number from 2"),
        ({"column": "carrier", "transform": "one_hot", "min_frequency": 0}, "min_frequency must be a fraction above 0"),
        (
            {"column": "carrier", "transform": "one_hot", "max_categories": True},
            "max_categories must be a whole number",
        ),
        ({"column": "carrier", "transform": "hash", "buckets": 1}, "buckets must be a whole number from 2"),
        ({"column": "carrier", "transform": "hash", "seed": -1}, "seed must be a whole number from 0"),
        ({"column": "left", "transform": "date_parts", "raw": ["hours"]}, "week, did you mean 'hour'?"),
        ({"column": "left", "transform": "date_parts", "raw": [["hour"]]}, "raw must be among hour"),
        ({"column": "left", "transform": "date_parts", "cyclic": []}, "name a part in cyclic or raw"),
        ({"column": "left", "transform": "date_parts", "raw": ["hour", "hour"]}, "raw must be distinct"),
        ("price", "a feature must be an object"),
        # dtype and column against the contract
        ({"column": "prise", "transform": "numeric"}, "'prise' must be in the contract, did you mean 'price'?"),
        ({"column": "qqqqqq", "transform": "numeric"}, "the contract has ['price', 'carrier'"),
        (
            {"column": "carrier", "transform": "numeric"},
            "numeric: takes int64 or float64 or bool, the contract has string",
        ),
        ({"column": "price", "transform": "one_hot"}, "one_hot: takes string or int64 or bool"),
        ({"column": "count", "transform": "date_parts"}, "takes timestamp, the contract has int64"),
        ({"column": "paid", "transform": "hash"}, "takes string, the contract has bool"),
        ({"column": "late", "transform": "numeric"}, "is the target"),
    ],
)
def test_a_plan_that_does_not_hold_is_refused_in_words(feature, says):
    with pytest.raises(PlanError) as e:
        FeaturePlan.from_text(json.dumps({"version": 1, "features": [feature]})).check(CONTRACT)
    assert says in str(e.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "must be an object"),
        ("{}", "version must be 1, found None"),
        ('{"version": 2, "features": []}', "version must be 1, found 2"),
        ('{"version": 1, "features": []}', "at least one feature"),
        ('{"version": 1, "features": "x"}', "must be a list"),
        ('{"version": 1, "feature": []}', "found also ['feature']"),
        ("a: [", "JSON or YAML"),
        (b"\xff\xfe\xfa", "JSON or YAML"),
    ],
)
def test_a_text_that_is_no_plan_is_refused_in_words(text, says):
    with pytest.raises(PlanError) as e:
        FeaturePlan.from_text(text)
    assert says in str(e.value)


def test_the_same_feature_twice_is_refused():
    with pytest.raises(PlanError, match="the same numeric is in the plan twice"):
        FeaturePlan(features=(Numeric(column="a"), Numeric(column="a")))
    FeaturePlan(features=(Numeric(column="a"), Numeric(column="a", log=True)))


def test_every_transform_can_be_written_with_its_defaults_or_says_what_it_needs():
    for name in TRANSFORMS:
        raw = {"column": "a", "transform": name} | ({"quantiles": 4} if name == "bucketize" else {})
        plan = FeaturePlan.from_dict({"version": 1, "features": [raw]})
        assert plan.to_dict()["features"][0].items() >= raw.items()


def test_the_inferred_plan_suits_each_dtype():
    plan = infer(CONTRACT)
    plan.check(CONTRACT)
    assert [(f.column, f.transform) for f in plan.features] == [
        ("price", "numeric"),
        ("price", "missing_indicator"),
        ("carrier", "one_hot"),
        ("left", "date_parts"),
        ("count", "numeric"),
        ("paid", "pass_through"),
    ]


def test_the_inferred_plan_leaves_out_what_the_profile_knows_to_tell_nothing():
    def planned(rows, **distinct):
        profile = {"rows": rows, "columns": [{"name": n, "distinct": d} for n, d in distinct.items()]}
        return infer(CONTRACT, profile)

    assert "count" not in planned(1000, count=1).columns
    assert "carrier" not in planned(1000, carrier=990).columns
    assert "carrier" in planned(150, carrier=150).columns  # few rows: it may yet be a category
    few, many = planned(10_000, carrier=120), planned(10_000, carrier=3000)
    kept = [next(f.max_categories for f in p.features if isinstance(f, OneHot)) for p in (few, many)]
    assert kept[0] >= 120 > kept[1]


def test_a_table_of_names_only_still_has_a_plan_and_one_of_constants_none():
    target = CONTRACT.target
    names = Contract(columns=(Column(name="id", dtype="string"),), target=target)
    profile = {"rows": 1000, "columns": [{"name": "id", "distinct": 1000}]}
    assert infer(names, profile).features == (Hash(column="id"),)
    constant = Contract(columns=(Column(name="k", dtype="int64"),), target=target)
    with pytest.raises(PlanError, match="every column is constant"):
        infer(constant, {"rows": 9, "columns": [{"name": "k", "distinct": 1}]})
