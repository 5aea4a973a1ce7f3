"""What a model package answers to raw rows.

In: a package and frames of raw rows. Out: probabilities and labels, or values, checked to be numbers that metrics can
be computed from. It is the graph that serves requests, run by the same runtime.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seaway.data.conform import conform
from seaway.errors import PackageError
from seaway.evaluation import holdout, metrics
from seaway.model.answer import output_name
from seaway.model.columns import feed
from seaway.model.contract import Contract, Value

if TYPE_CHECKING:
    import onnxruntime as ort

    from seaway.model.package import Package

SUM_TOLERANCE = 1e-3
"""How far the float32 probabilities of a row may be from a sum of 1."""


@dataclass(frozen=True)
class Answers:
    """Answers to n rows: ``probabilities`` [n, classes] and ``labels`` [n] (class indices), or ``values`` [n]."""

    probabilities: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    values: NDArray[Any] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """The answers to all batches, in order."""

        def one(arrays: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
            known = [a for a in arrays if a is not None]
            return np.concatenate(known) if known else None

        return cls(
            one([p.probabilities for p in parts]), one([p.labels for p in parts]), one([p.values for p in parts])
        )


class Predictor:
    """A package that is ready to answer."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.contract = package.contract
        self._session = package.session(threads=threads())

    def answer(self, batch: pl.DataFrame) -> Answers:
        """Answers to raw rows; further columns are ignored.

        Raises:
            ContractError: the columns do not fit the package's contract.
            PackageError: the graph fails, or answers something that is no probability or value.
        """
        name = f"model {self.package.name!r}"
        outputs = run(self._session, batch, self.contract, name=name)
        return interpret(outputs, self.contract, name=name)


def predict(package: Package, test: str, *, batch_rows: int = holdout.BATCH_ROWS) -> tuple[Answers, NDArray[Any]]:
    """Answers to all rows of a table that have a target, and that target (class indices or values).

    Raises:
        DataError: the table cannot be read or has no usable target.
        ContractError: its columns do not fit the package's contract.
        PackageError: the graph fails or answers nonsense.
    """
    predictor = Predictor(package)
    answers, truths = [], []
    with holdout.opened(test, package.contract.target) as rows:
        for batch, truth in rows.batches(size=batch_rows):
            answers.append(predictor.answer(batch))
            truths.append(truth)
    return Answers.joined(answers), np.concatenate(truths)


def score(truth: NDArray[Any], answers: Answers) -> metrics.Scores:
    """Metrics of answers against the truth of the same rows."""
    if answers.probabilities is not None:
        return metrics.classification(truth, answers.probabilities, answers.labels)
    if answers.values is None:
        raise ValueError("answers must hold probabilities or values, found neither")
    return metrics.regression(truth, answers.values)


def threads() -> int:
    """Threads for one batch: the processors that this process may use, four at most."""
    return min(4, len(os.sched_getaffinity(0)))


def run(
    session: ort.InferenceSession, batch: pl.DataFrame, contract: Contract, *, name: str
) -> dict[str, NDArray[Any]]:
    """A graph's outputs by name; its inputs are columns of the contract.

    Raises:
        ContractError: the columns of ``batch`` do not fit the contract.
        PackageError: the graph fails; ``name`` says which one.
    """
    rows = conform(batch.lazy(), contract).collect()
    try:
        inputs = {i.name: feed(rows[i.name], contract.column(i.name)) for i in session.get_inputs()}
        answers = session.run(None, inputs)
    # onnxruntime's exceptions have no common base of their own
    except Exception as e:
        raise PackageError(f"{name}: its graph must answer rows of its contract, but failed: {e}") from e
    return dict(zip((o.name for o in session.get_outputs()), answers, strict=True))


def interpret(outputs: Mapping[str, NDArray[Any]], contract: Contract, *, name: str) -> Answers:
    """A model graph's outputs (`seaway.model.answer`) as answers.

    Raises:
        PackageError: an output is missing, has another shape, or holds no probability or value.
    """
    classes = contract.target.classes
    wanted = {
        role: output_name(contract, role) for role in (("value",) if classes is None else ("label", "probabilities"))
    }
    if missing := [n for n in wanted.values() if n not in outputs]:
        raise PackageError(f"{name}: its graph must have the outputs {missing}, found {sorted(outputs)}")
    if classes is None:
        values = outputs[wanted["value"]]
        if values.ndim != 1:
            raise PackageError(f"{name}: values must have shape [n], found {list(values.shape)}")
        _finite(values, f"{name}: values")
        return Answers(values=values)
    found = outputs[wanted["probabilities"]]
    if found.ndim != 2 or found.shape[1] != len(classes):
        raise PackageError(f"{name}: probabilities must have shape [n, {len(classes)}], found {list(found.shape)}")
    _finite(found, f"{name}: probabilities")
    wrong = (np.abs(found.sum(axis=1, dtype=np.float64) - 1) > SUM_TOLERANCE) | (found < -SUM_TOLERANCE).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise PackageError(
            f"{name}: probabilities must be from 0 to 1 and sum to 1, found {found[row].tolist()} at row {row}: "
            "the conversion to ONNX is wrong"
        )
    return Answers(np.clip(found, 0.0, 1.0), _class_indices(outputs[wanted["label"]], classes, name))


def _finite(values: NDArray[Any], what: str) -> None:
    broken = ~np.isfinite(values)
    if broken.any():
        row = int(np.argwhere(broken)[0][0])
        raise PackageError(f"{what} must be finite, found {int(broken.sum()):,} that are not, the first at row {row}")


def _class_indices(labels: NDArray[Any], classes: Sequence[Value], name: str) -> NDArray[np.int64]:
    known = {value: index for index, value in enumerate(classes)}
    distinct, inverse = np.unique(labels, return_inverse=True)
    if unknown := [v for v in distinct.tolist() if v not in known]:
        raise PackageError(f"{name}: labels must be among the classes {list(classes)}, found {unknown[:5]}")
    return np.array([known[v] for v in distinct.tolist()], dtype=np.int64)[inverse]
