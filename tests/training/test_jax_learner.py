"""The learner of JAX against torch, written out here, and what it must not do: compile again, or look at padding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional

from seaway.training.jax.fit import FRAMEWORK
from seaway.training.network import hyperparameters
from seaway.training.network.learner import Arrays, Batch, Learner, NetworkSpec, initial
from seaway.training.peers import Alone

NUMBERS, CODES, ROWS = 3, 2, 11


@pytest.fixture(autouse=True)
def quickly_compiled() -> Iterator[None]:
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def network_spec(
    *, numbers: int = NUMBERS, codes: int = CODES, classes: int = 3, weights: Any = (), **params: Any
) -> NetworkSpec:
    task = "classification" if classes else "regression"
    given = {"hidden": [8, 8], "dropout": 0.0, **params}
    chosen = hyperparameters.choose(task, given, rows=1000)[1]
    return NetworkSpec(
        numbers=numbers,
        codes=codes,
        table_rows=ROWS if codes else 0,
        classes=classes,
        chosen=chosen,
        class_weights=weights,
        seed=5,
    )


def learner(spec: NetworkSpec) -> Learner:
    return FRAMEWORK.build(spec, Alone(), initial(spec))


def begin(ours: Learner, spec: NetworkSpec) -> None:
    """As if it were new, with what it has compiled."""
    ours.restore(initial(spec), {})
    ours.begin_epoch(1)


def batches(spec: NetworkSpec, lengths: list[int], *, seed: int = 1) -> Iterator[Batch]:
    random = np.random.default_rng(seed)
    for n in lengths:
        numbers = random.normal(size=(n, spec.numbers)).astype(np.float32)
        target: Any = numbers.argmax(axis=1) if spec.classes else numbers.sum(axis=1) * 2
        codes = random.integers(0, max(spec.table_rows, 1), (n, spec.codes)).astype(np.int32)
        yield Batch(numbers=numbers, codes=codes, target=target)


class Torch:
    """The same network and steps, as short as they can be."""

    def __init__(self, spec: NetworkSpec) -> None:
        self.spec = spec
        self.weights = {k: torch.from_numpy(v).clone().requires_grad_() for k, v in initial(spec).items()}
        self.adamw = torch.optim.AdamW(self.weights.values(), weight_decay=spec.chosen.weight_decay)

    def scores(self, batch: Batch) -> torch.Tensor:
        found = self.weights["table.weight"][torch.from_numpy(batch.codes).long()]
        x = torch.cat([torch.from_numpy(batch.numbers), found.flatten(1)], dim=1)
        for k in range(len(self.spec.chosen.hidden)):
            y = functional.linear(x, self.weights[f"layers.{k}.weight"], self.weights[f"layers.{k}.bias"]).relu()
            x = x + y if x.shape == y.shape else y
        return functional.linear(x, self.weights["head.weight"], self.weights["head.bias"])

    def loss(self, batch: Batch) -> torch.Tensor:
        scores, target = self.scores(batch), torch.from_numpy(batch.target)
        if self.spec.classes:
            weight = torch.tensor(self.spec.class_weights) if self.spec.class_weights else None
            return functional.cross_entropy(scores, target, weight=weight, reduction="sum")
        of = functional.mse_loss if self.spec.chosen.loss == "mse" else functional.huber_loss
        return of(scores[:, 0], target, reduction="sum")

    def step(self, batch: Batch, rate: float) -> float:
        loss = self.loss(batch)
        self.adamw.zero_grad()
        (loss / len(batch)).backward()
        self.adamw.param_groups[0]["lr"] = rate
        self.adamw.step()
        return float(loss.detach())


def same(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    "spec",
    [
        network_spec(weights=(0.5, 1.5, 3.0), hidden=[8, 8, 4], weight_decay=0.3),
        network_spec(classes=0, loss="huber", codes=0),
        network_spec(classes=0, loss="mse", hidden=[4]),
    ],
    ids=["weighted classes", "huber without codes", "values"],
)
def test_it_learns_as_torch_does(spec: NetworkSpec) -> None:
    ours, torchs = learner(spec), Torch(spec)
    ours.begin_epoch(1)
    losses = []
    for step, batch in enumerate(batches(spec, [40, 41, 39, 40, 41] * 4)):
        rate = 2e-2 * math.cos(step / 20)
        losses.append((float(ours.step(batch, rate=rate, everyones=len(batch))), torchs.step(batch, rate)))
    assert [a for a, _ in losses] == pytest.approx([b for _, b in losses], rel=1e-4)
    unseen = next(batches(spec, [70], seed=2))
    assert float(ours.loss(unseen)) < 0.95 * float(Torch(spec).loss(unseen).detach()), "it learns"
    assert ours.scores(unseen) == pytest.approx(torchs.scores(unseen).detach().numpy(), abs=2e-4)
    assert float(ours.loss(unseen)) == pytest.approx(float(torchs.loss(unseen).detach()), rel=1e-4)
    for name, array in ours.weights().items():
        assert array == pytest.approx(torchs.weights[name].detach().numpy(), abs=2e-4), name


def test_batches_that_differ_by_a_row_compile_once_and_empty_ones_teach_nothing_but_decay() -> None:
    compiled: list[str] = []

    def listen(event: str, duration: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    spec = network_spec(dropout=0.2, weight_decay=0)
    ours = learner(spec)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for batch in batches(spec, [16, 17, 15, 16, 17, 0, 1]):
            ours.step(batch, rate=1e-2, everyones=16)
        assert len(compiled) == 2, "gradient and update"
        ours.restore(ours.weights(), ours.optimizer())
        ours.step(next(batches(spec, [17])), rate=1e-2, everyones=16, computed=lambda: None)
        assert len(compiled) == 2
        # all lengths of one power of two are one
        assert {ours.scores(b).shape for b in batches(spec, [9, 13, 16])} == {(9, 3), (13, 3), (16, 3)}
        assert len(compiled) == 3
    finally:
        jax.monitoring.clear_event_listeners()
    fresh = learner(spec)
    assert float(fresh.step(next(batches(spec, [0])), rate=1e-2, everyones=5)) == 0
    assert same(fresh.weights(), initial(spec))
    assert fresh.scores(next(batches(spec, [0]))).shape == (0, 3)


def test_what_is_dropped_follows_from_seed_epoch_and_step_and_comes_back_after_a_restore() -> None:
    spec = network_spec(dropout=0.5)
    ours = learner(spec)
    batch = next(batches(spec, [40]))
    losses = []
    for _ in range(2):
        begin(ours, spec)
        losses.append([float(ours.step(batch, rate=0.0, everyones=40)) for _ in range(3)])
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 3, "another mask each step"
    assert abs(np.mean(losses[0]) / float(ours.loss(batch)) - 1) < 0.5, "the mean stays what it was"

    begin(ours, spec)
    ends = []
    for step in batches(spec, [40] * 3):
        ours.step(step, rate=1e-2, everyones=40)
    kept = ours.weights(), ours.optimizer()
    for _ in range(2):
        ours.begin_epoch(2)
        for step in batches(spec, [40] * 3, seed=4):
            ours.step(step, rate=1e-2, everyones=40)
        ends.append(ours.weights())
        begin(ours, spec)
        ours.restore(*kept)
        assert same(ours.optimizer(), kept[1])
    assert same(*ends)
    assert not same(ends[0], kept[0])


def test_each_row_counts_the_same_whoever_has_it() -> None:
    """Gradients of sums over everyone's rows add up: two halves, each over all rows, make the whole."""
    spec = network_spec()
    told: list[str] = []
    whole, ours = Torch(spec), learner(spec)
    batch = next(batches(spec, [33]))
    ours.step(batch, rate=1e-3, everyones=66, computed=lambda: told.append("computed"))
    assert told == ["computed"]
    (whole.loss(batch) / 66).backward()
    for name, array in ours.optimizer().items():
        if name.startswith("first/"):
            expected = 0.1 * whole.weights[name.removeprefix("first/")].grad
            assert array == pytest.approx(expected.numpy(), abs=1e-6), name


def test_bfloat16_learns_nearly_alike_and_answers_in_float32() -> None:
    spec, half = network_spec(), network_spec(precision="bfloat16")
    exact, coarse = learner(spec), learner(half)
    assert exact.device == "cpu"
    batch = next(batches(spec, [64]))
    losses = [float(ours.step(batch, rate=1e-3, everyones=64)) for ours in (exact, coarse)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    coarse.restore(exact.weights(), exact.optimizer())
    assert np.array_equal(exact.scores(batch), coarse.scores(batch))
    auto = learner(network_spec(precision="auto"))
    assert float(auto.step(batch, rate=1e-3, everyones=64)) == losses[0], "on a CPU it costs more than it gives"
