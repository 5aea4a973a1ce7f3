from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.features.fit import fit
from seaway.features.graph import to_onnx
from seaway.features.kinds import Hash, MissingIndicator, Numeric, OneHot, Ordinal
from seaway.features.lookups import open_graph
from seaway.features.transform import matrix
from tests.features.reference import contract, frame, plan, run

TWO = contract(s="string", r="string", x="float64")
FEATURES = (
    OneHot(column="s", max_categories=3),
    Ordinal(column="s"),
    Hash(column="r", buckets=4),
    Numeric(column="x"),
    MissingIndicator(column="r"),
)
SOME = st.one_of(
    st.none(), st.sampled_from(["", "a", "b", "c", "ß"]), st.text(st.characters(codec="utf-8"), max_size=4)
)


@given(rows=st.lists(st.tuples(SOME, SOME), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_the_two_halves_compute_the_bits_of_the_whole(rows):
    table = frame(TWO, s=[s for s, _ in rows], r=[r for _, r in rows], x=[0.5] * len(rows))
    fitted = fit(plan(*FEATURES), TWO, table)
    whole = run(fitted, TWO, table)
    graph = open_graph(to_onnx(fitted, TWO).SerializeToString())
    assert matrix(graph, table, TWO).tobytes() == whole.tobytes()
    assert matrix(graph, table[::-1], TWO).tobytes() == whole[::-1].tobytes()


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_dictionary_larger_than_the_batch_and_one_with_strings_nobody_has(batch):
    values = [f"v{k}" for k in range(50)]
    table = frame(TWO, s=values, r=values, x=[1.0] * 50)
    fitted = fit(plan(*FEATURES), TWO, table)
    graph = open_graph(to_onnx(fitted, TWO).SerializeToString())
    codes = pa.array([None, 49, 3, None, 3, 0, None][:batch], pa.int32())
    array = pa.DictionaryArray.from_arrays(codes, pa.array(values))
    expected = run(fitted, TWO, frame(TWO, s=array.to_pylist(), r=array.to_pylist(), x=[1.0] * batch))
    for _ in range(2):  # the second time the dictionaries are known
        got = graph.run({"x": np.ones(batch)}, {"s": array, "r": array})
        assert got.tobytes() == expected.tobytes()


def test_a_plan_of_strings_only_and_one_without_any():
    table = frame(TWO, s=["a", None], r=["b", ""], x=[1.0, None])
    for feature in (OneHot(column="s"), Numeric(column="x")):
        fitted = fit(plan(feature), TWO, table)
        got = matrix(to_onnx(fitted, TWO).SerializeToString(), table, TWO)
        assert got.tobytes() == run(fitted, TWO, table).tobytes()


def test_a_large_table_in_memory_is_in_order():
    table = frame(TWO, s=["a"] * 70_000, r=[None] * 70_000, x=list(np.arange(70_000.0)))
    fitted = fit(plan(Numeric(column="x", scale="none"), OneHot(column="s")), TWO, table)
    got = matrix(to_onnx(fitted, TWO).SerializeToString(), table, TWO)
    assert got[:, 0].tolist() == list(range(70_000))
