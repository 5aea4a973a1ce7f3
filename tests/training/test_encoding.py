"""Features are taken apart by the plan, encoded alike by NumPy and by the graph, and learnt alike by any ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seaway.errors import DataError, InputError
from seaway.model import graph
from seaway.training.encoding import Encoding, fit_encoding, moments
from seaway.training.layout import Category, Layout, read_layout
from seaway.training.network.encoded import Target
from seaway.training.network.export import to_onnx
from seaway.training.network.hyperparameters import choose
from seaway.training.network.learner import initial
from seaway.training.network.model import network_spec
from seaway.training.place import Place
from seaway.training.pytorch.network import Network
from seaway.training.tables import TARGET
from tests.training.inputs import weather_spec

LAYOUT = Layout(width=9, categories=(Category(name="a", start=3, size=2), Category(name="b", start=5, size=4)))
"""Three numbers and two categories."""
AWKWARD = [0.0, -0.0, 1.0, 1.0000001, -3.5, 1e-30, 3e38, -3e38, float("nan"), 7.0]
NUMBERS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 60), st.just(3)), elements=st.sampled_from([np.float32(v) for v in AWKWARD])
)


def alone(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array[None]


def matrix(numbers: np.ndarray[Any, Any], codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Features whose categories have these codes; 0 is none."""
    hot = np.concatenate([np.eye(c.size + 1)[codes[:, k]][:, 1:] for k, c in enumerate(LAYOUT.categories)], axis=1)
    return np.concatenate([numbers, hot], axis=1).astype(np.float32)


@given(numbers=NUMBERS, seed=st.integers(0, 999), bins=st.sampled_from([0, 1, 2, 16]))
@settings(max_examples=60)
def test_the_graph_encodes_as_numpy_does(numbers: np.ndarray[Any, Any], seed: int, bins: int) -> None:
    draw = np.random.default_rng(seed)
    codes = np.stack([draw.integers(0, 3, len(numbers)), draw.integers(0, 5, len(numbers))], axis=1)
    features = matrix(numbers, codes)
    found, categories = LAYOUT.split(features)
    np.testing.assert_array_equal(categories, codes)
    encoding = fit_encoding(LAYOUT, found, bins=bins, gather=alone)
    assert Encoding.from_dict(encoding.to_dict()).to_dict() == encoding.to_dict()
    _, chosen = choose("classification", {"hidden": [6, 6], "embedding_dim": 2, "dropout": 0.5}, rows=100)
    spec = network_spec(encoding, Target(classes=3), chosen, seed=seed)
    weights = initial(spec)
    network = Network(spec).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    model = to_onnx(encoding, weights, classifies=True)
    graph.check(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # rows that training never saw: past all edges, missing where nothing was, between the values
    unseen = matrix(draw.choice([5e37, -5e37, np.nan, 0.3, np.inf, -np.inf], (20, 3)), draw.integers(0, 3, (20, 2)))
    for rows in (features, unseen, features[:0]):
        with torch.inference_mode():
            n, c = encoding.apply(rows)
            expected = network(torch.from_numpy(n), torch.from_numpy(c)).softmax(dim=1).numpy()
        assert c.min(initial=0) >= 0
        assert c.max(initial=0) < encoding.rows
        np.testing.assert_allclose(session.run(None, {"features": rows})[0], expected, atol=2e-6)


def in_ranks(parts: list[np.ndarray[Any, Any]]) -> Callable[[int], Callable[[Any], Any]]:
    """For each rank a gather that brings what the others give in the same call, one after the other."""
    # every rank asks for the same things in the same order: run the others first, and remember
    asked: list[list[Any]] = []

    def gather_of(rank: int) -> Callable[[Any], Any]:
        calls = iter(range(100))

        def gather(array: Any) -> Any:
            call = next(calls)
            if call == len(asked):
                asked.append([None] * len(parts))
            asked[call][rank] = np.array(array)
            if any(a is None for a in asked[call]):
                raise LookupError
            return np.stack(asked[call])

        return gather

    return gather_of


def together(parts: list[np.ndarray[Any, Any]], learn: Callable[[Any, Any], Any]) -> list[Any]:
    """What each rank learns, when all are asked again until every one has answered."""
    gather_of = in_ranks(parts)
    out: list[Any] = []
    while len(out) < len(parts):
        out = []
        for rank, part in enumerate(parts):
            try:
                out.append(learn(part, gather_of(rank)))
            except LookupError:
                continue
    return out


@given(values=NUMBERS.filter(lambda v: len(v) >= 3), ranks=st.integers(1, 3))
def test_moments_do_not_depend_on_how_rows_are_dealt_out(values: np.ndarray[Any, Any], ranks: int) -> None:
    small = np.where(np.abs(values) > 1e6, 1e6, values).astype(np.float64) + 1e7
    starts = [Place(rank=r, world_size=ranks).part(len(small)) for r in range(ranks)]
    for count, mean, std in together([small[a : a + n] for a, n in starts], moments):
        np.testing.assert_array_equal(count, (~np.isnan(small)).sum(axis=0))
        for column in range(3):
            if count[column]:
                np.testing.assert_allclose(mean[column], np.nanmean(small[:, column]), rtol=1e-12)
                np.testing.assert_allclose(std[column], np.nanstd(small[:, column]), rtol=1e-6, atol=1e-6)


def test_all_ranks_learn_the_same_encoding_though_none_has_seen_all() -> None:
    draw = np.random.default_rng(0)
    numbers = np.concatenate([draw.normal(0, 1, (700, 3)), draw.normal(5, 1, (701, 3))]).astype(np.float32)
    layout = Layout(width=3)
    whole = fit_encoding(layout, numbers, bins=8, gather=alone)
    first, second = together(
        [numbers[:700], numbers[700:]], lambda part, gather: fit_encoding(layout, part, bins=8, gather=gather)
    )
    assert first.to_dict() == second.to_dict() == whole.to_dict()


def test_a_number_gets_intervals_only_where_they_tell_more_than_itself() -> None:
    two = np.array([0, 1, 0, 1], np.float32)
    many = np.arange(4, dtype=np.float32)
    gone = np.array([0, np.nan, 0, 0], np.float32)
    encoding = fit_encoding(Layout(width=3), np.stack([two, many, gone], axis=1), bins=64, gather=alone)
    assert {k: v.tolist() for k, v in encoding.edges.items()} == {1: [0.5, 1.5, 2.5], 2: []}
    numbers, codes = encoding.apply(np.array([[0, 9, np.nan], [0, -9, 3]], np.float32))
    assert codes.tolist() == [[3, 6], [0, 5]]
    assert numbers[0, 2] == 0
    assert np.abs(numbers).max() <= 10


def test_the_layout_is_what_the_features_step_wrote(tmp_path: Path) -> None:
    spec = weather_spec(tmp_path, "two", rows=200)
    features = pl.read_parquet(spec.train).drop(TARGET)
    layout = read_layout(spec.features, tuple(features.columns))
    assert [(c.name, c.size) for c in layout.categories] == [("city", 5)]
    _, codes = layout.split(features.to_numpy())
    raw = pl.read_parquet(tmp_path / "train_rows")
    values = features.columns[layout.categories[0].start :][:5]
    assert [values[k - 1] for k in codes[:, 0]] == [f"city={c}" for c in raw["city"]]
    with pytest.raises(DataError, match="must be of the 2 features"):
        read_layout(spec.features, ("x", "y"))
    assert read_layout(str(tmp_path), ("x", "y")) == Layout(width=2)


@given(rows=st.integers(0, 10_000), world_size=st.integers(1, 64))
def test_parts_are_a_partition_of_nearly_equal_sizes(rows: int, world_size: int) -> None:
    parts = [Place(rank=r, world_size=world_size).part(rows) for r in range(world_size)]
    assert [a for a, _ in parts] == [sum(n for _, n in parts[:k]) for k in range(world_size)]
    assert sum(n for _, n in parts) == rows
    assert max(n for _, n in parts) - min(n for _, n in parts) <= 1


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_place_outside_of_the_world_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(InputError, match="less than the world size"):
        Place(rank=rank, world_size=world_size)
