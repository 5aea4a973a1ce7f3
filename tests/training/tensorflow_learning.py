"""What the tests of TensorFlow's learner ask it, in a process of its own: loading TensorFlow takes long.

``python -m tests.training.tensorflow_learning`` writes a JSON object of findings.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from seaway.training.network import hyperparameters
from seaway.training.network.learner import Batch, NetworkSpec, initial
from seaway.training.peers import Alone
from seaway.training.place import Place
from seaway.training.tensorflow.learner import FRAMEWORK, TensorFlowLearner

ROWS = 50
"""Of the table."""


def network(classes: int, *, codes: int = 4, weights: tuple[float, ...] = (), **params: Any) -> NetworkSpec:
    task = "classification" if classes else "regression"
    given = {"hidden": [16, 16, 8], "dropout": 0, "weight_decay": 0.1, **params}
    return NetworkSpec(
        numbers=7,
        codes=codes,
        table_rows=ROWS if codes else 0,
        classes=classes,
        chosen=hyperparameters.choose(task, given, rows=1000)[1],
        class_weights=weights,
        seed=3,
    )


def batches(spec: NetworkSpec, count: int, *, length: int = 64) -> Iterator[Batch]:
    random = np.random.default_rng(1)
    for k in range(count):
        n = length + k % 2
        numbers = random.normal(size=(n, spec.numbers)).astype(np.float32)
        codes = random.integers(0, max(spec.table_rows, 1), (n, spec.codes)).astype(np.int32)
        target: Any = random.integers(0, spec.classes, n) if spec.classes else 2 * numbers[:, 0]
        yield Batch(numbers=numbers, codes=codes, target=target)


def learner(spec: NetworkSpec, rank: int = 0) -> TensorFlowLearner:
    ours = TensorFlowLearner(spec, Alone(Place(rank=rank, world_size=2)), initial(spec))
    ours.begin_epoch(1)
    return ours


def taught(ours: TensorFlowLearner, rows: Iterator[Batch], **more: Any) -> list[float]:
    return [float(ours.step(b, rate=1e-2, everyones=len(b), **more)) for b in rows]


def torchs(spec: NetworkSpec, rows: Iterator[Batch]) -> tuple[list[float], dict[str, Any]]:
    """The same network and steps in torch, as short as they can be."""
    weights = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in initial(spec).items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-2, weight_decay=spec.chosen.weight_decay)
    losses = []
    for b in rows:
        found = weights["table.weight"][torch.tensor(b.codes).long()].reshape(len(b), -1)
        x = torch.cat([torch.tensor(b.numbers), found], 1)
        for k in range(len(spec.chosen.hidden)):
            y = torch.relu(functional.linear(x, weights[f"layers.{k}.weight"], weights[f"layers.{k}.bias"]))
            x = x + y if x.shape == y.shape else y
        scores = functional.linear(x, weights["head.weight"], weights["head.bias"])
        target = torch.tensor(b.target)
        if spec.classes:
            each = torch.tensor(spec.class_weights) if spec.class_weights else None
            loss = functional.cross_entropy(scores, target, weight=each, reduction="sum")
        elif spec.chosen.loss == "huber":
            loss = functional.huber_loss(scores[:, 0], target, reduction="sum")
        else:
            loss = functional.mse_loss(scores[:, 0], target, reduction="sum")
        optimizer.zero_grad()
        (loss / len(b)).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {k: v.detach().numpy() for k, v in weights.items()}


def apart(ours: list[float], theirs: list[float]) -> float:
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def beside_torch() -> dict[str, Any]:
    found = {}
    for name, spec in {
        "classes": network(3, weights=(1.0, 2.0, 0.5)),
        "huber": network(0, loss="huber"),
        "mse": network(0, loss="mse", codes=0),
        "linear": network(2, hidden=[1]),
    }.items():
        ours = learner(spec)
        losses, weights = torchs(spec, batches(spec, 20))
        found[name] = {"losses": apart(taught(ours, batches(spec, 20)), losses)}
        found[name]["weights"] = max(float(np.abs(w - weights[k]).max()) for k, w in ours.weights().items() if w.size)
    return found


def shapes_and_traces() -> dict[str, Any]:
    spec = network(3, dropout=0.2)
    ours = learner(spec)
    for length in (1, 5, 64):
        taught(ours, batches(spec, 2, length=length))
    nobody = next(iter(batches(spec, 1, length=0)))
    lengths = [len(ours.scores(b)) for b in (nobody, *batches(spec, 2))]
    before = ours.weights()
    loss = float(ours.step(nobody, rate=0.0, everyones=9)) + float(ours.loss(nobody))
    still = all(np.array_equal(w, before[k]) for k, w in ours.weights().items())
    functions = (ours._gradients, ours._loss, ours._scores, ours._update)
    traces = [f.experimental_get_tracing_count() for f in functions]
    shaped = {k: v.shape for k, v in before.items()} == spec.shapes()
    return {"nobody": loss, "still": still, "lengths": lengths, "traces": traces, "shaped": shaped}


def dropout() -> dict[str, Any]:
    spec = network(3, dropout=0.5, hidden=[8])
    batch = next(iter(batches(spec, 1)))

    def losses(ours: TensorFlowLearner, epoch: int = 1) -> list[float]:
        ours.begin_epoch(epoch)
        return [float(ours.step(batch, rate=0.0, everyones=1)) for _ in range(3)]

    ours = learner(spec)
    first = losses(ours)
    others = [losses(ours, 2), losses(learner(spec, rank=1)), losses(learner(dataclasses.replace(spec, seed=4)))]
    return {
        "again": first == losses(ours),
        "apart": len({*first, *(loss for other in others for loss in other)}),
        "none": float(ours.loss(batch)) == float(ours.loss(batch)) != first[0],
    }


def goes_on() -> dict[str, Any]:
    spec = network(3, dropout=0.2, hidden=[8])
    rows = list(batches(spec, 8))
    whole, other = learner(spec), learner(spec)
    first = taught(whole, iter(rows[:4]))
    weights, optimizer = whole.weights(), whole.optimizer()
    whole.begin_epoch(2)
    second = taught(whole, iter(rows[4:]))
    other.restore(weights, optimizer)
    other.begin_epoch(2)
    same = taught(other, iter(rows[4:])) == second
    other.restore(initial(spec), {})
    other.begin_epoch(1)
    return {"same": same, "anew": taught(other, iter(rows[:4])) == first}


def optional() -> dict[str, Any]:
    small = {"hidden": [8]}
    ours = learner(network(3, **small))
    plain = taught(ours, batches(network(3), 10))
    out = {}
    for name, params in {
        "accumulate": {"accumulate": 3},
        "compile": {"compile": True},
        "bfloat16": {"precision": "bfloat16"},
    }.items():
        spec = network(3, **small, **params)
        out[name] = apart(taught(learner(spec), batches(spec, 10)), plain)
    told: list[int] = []
    ours.restore(initial(network(3, **small)), {})
    called = taught(ours, batches(network(3), 10), computed=lambda: told.append(1), exchange=False)
    return {**out, "called": len(told), "as_ever": called == plain}


if __name__ == "__main__":
    asked = (beside_torch, shapes_and_traces, dropout, goes_on, optional)
    findings = {question.__name__: question() for question in asked}
    findings["framework"] = {"name": FRAMEWORK.name, "libraries": FRAMEWORK.libraries}
    json.dump(findings, sys.stdout)
