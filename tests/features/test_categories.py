from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from seaway.features.fit import fit
from seaway.features.hashing import bucket, murmurhash3
from seaway.features.kinds import Hash, MissingIndicator, OneHot, Ordinal
from tests.features.reference import check, contract, fit_and_run, frame, plan, run

MIXED = contract(s="string", k="int64", b="bool")
STRINGS = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "b", "é", "😀", "None", "nan"]),
    st.text(st.characters(codec="utf-8")),
)
INTS = st.one_of(st.none(), st.integers(-2, 2), st.integers(-(2**63) + 1, 2**63 - 1))
BOOLS = st.sampled_from([None, True, False])
ROWS = st.lists(st.tuples(STRINGS, INTS, BOOLS), min_size=1, max_size=25)


def _table(rows):
    return frame(MIXED, **dict(zip("skb", map(list, zip(*rows, strict=True)), strict=True)))


@given(seen=ROWS, unseen=ROWS, most=st.integers(1, 4), least=st.sampled_from([1, 2, 0.3]))
@settings(max_examples=50, deadline=None)
def test_any_category_becomes_what_the_reference_says(seen, unseen, most, least):
    features = [
        OneHot(column="s", max_categories=most, min_frequency=least),
        Ordinal(column="s", max_categories=most),
        Hash(column="s", buckets=5, seed=11),
        OneHot(column="k", max_categories=most),
        Ordinal(column="k"),
        OneHot(column="b"),
        Ordinal(column="b"),
        MissingIndicator(column="s"),
    ]
    table = _table(seen + unseen)
    for feature in features:
        fitted = fit(plan(feature), MIXED, _table(seen))
        check(fitted, run(fitted, MIXED, table), table)
    fitted = fit(plan(*features), MIXED, _table(seen))
    got = run(fitted, MIXED, table)
    assert got.shape == (table.height, len(set(fitted.feature_names)))
    first = fitted.feature_names.index("s=<unknown>")
    assert (got[:, first:].sum(axis=1) == 4).all()  # one of each of the four one-hot features


def test_the_most_frequent_are_kept_and_ties_go_to_the_smaller():
    rows = ["c"] * 3 + ["b"] * 3 + ["a"] * 2 + ["d"] * 5 + [""] * 9
    table = frame(MIXED, s=rows, k=[0] * len(rows), b=[True] * len(rows))
    fitted = fit(plan(OneHot(column="s", max_categories=2)), MIXED, table)
    assert fitted.features[0].categories == ("d", "b")
    assert fitted.features[0].counts == (5, 3)
    assert fitted.features[0].missing == 9
    assert fitted.feature_names == ("s=<unknown>", "s=<missing>", "s=d", "s=b")
    assert fit(plan(OneHot(column="s", min_frequency=3)), MIXED, table).features[0].categories == ("d", "b", "c")
    # a fraction is of all rows, missing ones too: 22 rows, so at least 4.4
    assert fit(plan(OneHot(column="s", min_frequency=0.2)), MIXED, table).features[0].categories == ("d",)


def test_a_column_without_values_has_unknown_and_missing_only():
    table = frame(MIXED, s=[None, ""], k=[None, None], b=[None, None])
    fitted, got = fit_and_run(MIXED, table, OneHot(column="s"), OneHot(column="k"), Ordinal(column="b"))
    assert fitted.feature_names == ("b.rank", "s=<unknown>", "s=<missing>", "k=<unknown>", "k=<missing>")
    assert got.tolist() == [[1, 0, 1, 0, 1]] * 2


def test_a_category_of_two_hundred_thousand_levels_is_ranked():
    n = 200_000
    signature = contract(s="string")
    table = frame(signature, s=[f"id-{i}" for i in range(n)] + ["id-7", "id-7", "id-9"])
    fitted = fit(plan(Ordinal(column="s"), OneHot(column="s", max_categories=3)), signature, table)
    got = run(fitted, signature, frame(signature, s=["id-7", "id-9", "nobody", "", f"id-{n - 1}"]))
    assert got[:4].tolist() == [[2, 0, 0, 1, 0, 0], [3, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]]
    assert 3 < got[4, 0] <= n + 1


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_hash_is_murmurhash3_for_any_text(seed):
    texts = ["", "a", "ab", "abc", "abcd", "N14228", "naïve", "日本語", "😀😀", "x" * 1000]
    assert [murmurhash3(t, seed) for t in texts] == [murmurhash3_32(t.encode(), seed, positive=True) for t in texts]
    signature = contract(s="string")
    table = frame(signature, s=texts[1:])
    _, got = fit_and_run(signature, table, Hash(column="s", buckets=1000, seed=seed))
    assert np.argmax(got, axis=1).tolist() == [1 + bucket(t, 1000, seed) for t in texts[1:]]
