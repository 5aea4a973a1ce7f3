"""Models that a user's own program hands over: an ONNX graph, and how to hold it against what the program answers.

In: a graph from the feature matrix to the answer, and the program's own answers if it gives them. Out: the same model
package that Seaway's workers write, through the same gate.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError, PackageError
from seaway.model import graph
from seaway.model.agreement import Agreement
from seaway.model.compose import compose
from seaway.model.contract import Contract
from seaway.model.session import open_session
from seaway.storage import uri as storage
from seaway.training import packaging, tables
from seaway.training.metrics import metrics as measure
from seaway.training.spec import TrainSpec

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

Predict = Callable[["NDArray[np.float32]"], Any]
"""Features [n, F] to probabilities [n, K] or values [n]."""
GATE_ROWS = 10_000
"""Held-out rows that the packaging gate compares."""
NOT_COMPARED = "not compared: the program gave no predictions; structure and finite answers were checked"


@dataclass(frozen=True, kw_only=True)
class ForeignModel:
    """A graph from outside, as `packaging.write_package` takes models."""

    graph: onnx.ModelProto
    answer: Predict
    """What the graph is held against."""
    params: Mapping[str, Any] = field(default_factory=dict)
    estimator: str = "custom"
    native: Path | None = None
    """Files of the program's own that go into the package; nothing of Seaway ever loads them."""
    target_std: float = 1.0
    classes: int = 0
    """K; 0 for values."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those frameworks that this process has loaded."""
        import sys

        known = {"torch": "torch", "jax": "jax", "flax": "flax", "keras": "keras", "sklearn": "scikit-learn"}
        found = [name for module, name in known.items() if module in sys.modules]
        if "tensorflow" in sys.modules:
            found += [n for n in ("tensorflow", "tensorflow-cpu") if _is_installed(n)][:1]
        return tuple(n for n in found if _is_installed(n))

    def to_onnx(self) -> onnx.ModelProto:
        """The graph."""
        return self.graph

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """The program's answers: probabilities [n, K], or values [n].

        Raises:
            PackageError: it answers in another shape, or not with finite numbers.
        """
        try:
            answers = np.asarray(self.answer(features))
        except PackageError:
            raise
        except Exception as e:
            raise PackageError(
                f"the model's answers must be had for features of shape {features.shape}, found "
                f"{type(e).__name__}: {e}"[:2000]
            ) from e
        rows = len(features)
        if not self.classes and answers.shape == (rows, 1):
            answers = answers[:, 0]
        wanted = (rows, self.classes) if self.classes else (rows,)
        if answers.shape != wanted or answers.dtype.kind not in "fiu":
            raise PackageError(
                f"the model must answer numbers of shape {wanted}, {'one probability a class' if self.classes else ''}"
                f", found {answers.dtype} of shape {answers.shape}".replace(", ,", ",")
            )
        if not np.isfinite(answers).all():
            row = int((~np.isfinite(answers)).reshape(rows, -1).any(axis=1).argmax())
            raise PackageError(
                f"the model must answer finite numbers, found {answers[row]} at row {row}: see whether it learnt from "
                "missing values or its loss became infinite"
            )
        return answers

    def save_native(self, folder: Path) -> Mapping[str, Any]:
        """Copy the program's own files."""
        if self.native is None:
            return {"format": "none"}
        for path in sorted(self.native.iterdir()):
            target = folder / path.name
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                shutil.copyfile(path, target)
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        return {"format": "own", "files": [f"native/{name}" for name in files]}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What came of it."""

    metrics: Mapping[str, float]
    """On the validation rows; empty when there are none."""
    agreement: Agreement
    compared: bool
    """Whether the program's own answers were there to compare with."""


def read_graph(given: bytes | str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """An ONNX model, checked.

    Args:
        given: its bytes, the path of a file, or the model itself.

    Raises:
        PackageError: it is none, or may not be loaded.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if isinstance(given, str | Path):
        path = Path(given)
        if not path.is_file():
            raise PackageError(f"the model must be an ONNX file, found nothing at {path}: write it first")
        given = path.read_bytes()
    if isinstance(given, bytes | bytearray | memoryview):
        try:
            given = onnx.load_from_string(bytes(given))
        except DecodeError:
            raise PackageError("the model must be ONNX, found bytes that are none: export it anew") from None
    if not isinstance(given, onnx.ModelProto) or not given.graph.node:
        raise PackageError(f"the model must be an ONNX graph with nodes, found {type(given).__name__}: export it anew")
    graph.check(given)
    return given


def own_answers(model: onnx.ModelProto, classes: int) -> Predict:
    """The graph's own answers, for where the program gives none.

    Raises:
        PackageError: onnxruntime refuses the graph, or it has not one input and the output that is wanted.
    """
    session = open_session(model.SerializeToString())
    wanted = "probabilities" if classes else "value"
    inputs, outputs = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
    if len(inputs) != 1 or wanted not in outputs:
        raise PackageError(
            f"the model must have one input, float32 [n, F], and an output {wanted!r}, found the inputs {inputs} and "
            f"the outputs {outputs}: name them so when exporting"
        )
    return lambda features: session.run([wanted], {inputs[0]: features})[0]


def write(
    spec: TrainSpec,
    given: onnx.ModelProto,
    *,
    predict: Predict | None,
    native: Path | None = None,
    params: Mapping[str, Any] | None = None,
    estimator: str = "custom",
    extra_metrics: Mapping[str, float] | None = None,
) -> Written:
    """Compose, hold against the program's answers, measure, and write the package.

    Args:
        spec: names, destination, and what the provenance tells.
        given: the graph from the feature matrix to the answer.
        predict: the program's own answers; without it the graph alone is checked, and the package says so.
        native: folder of the program's own files.
        params: hyperparameters it was trained with.
        estimator: what kind of model it is, for people.
        extra_metrics: of the program's own.

    Raises:
        PackageError: the graph does not hold, or does not answer as the program does; nothing is written.
        DataError: the data cannot be read.
    """
    contract = Contract.from_json(storage.read_bytes(spec.contract))
    features = packaging.read_features(spec.features)
    rows = tables.read_rows(spec.validation_rows, contract, limit=GATE_ROWS)
    if len(next(iter(rows.values()))) == 0:
        raise DataError(f"the validation rows must be at least one, found none in {spec.validation_rows}: keep some")
    compose(features, given, contract)  # what does not fit is said before anything is computed
    classes = len(contract.target.classes or ())
    model = ForeignModel(
        graph=given,
        answer=predict or own_answers(given, classes),
        params=dict(spec.params) if params is None else dict(params),
        estimator=estimator,
        native=native,
        target_std=_target_std(spec, contract),
        classes=classes,
    )
    found = {**_measured(model, spec, contract), **(extra_metrics or {})}
    overrides = {} if predict else {"agreement": {"said": NOT_COMPARED}}
    agreed = packaging.write_package(
        model, spec, contract, features=features, rows=rows, metrics=found, overrides=overrides
    )
    return Written(metrics=found, agreement=agreed, compared=predict is not None)


def _measured(model: ForeignModel, spec: TrainSpec, contract: Contract) -> dict[str, float]:
    """Metrics on all validation rows, by the graph itself: the gate says that it answers as the program does."""
    if not spec.validation:
        return {}
    by_graph = dataclasses.replace(model, answer=own_answers(model.graph, model.classes))
    with tables.opened(spec.validation, contract.target, what="validation") as part:
        both = [(batch.target, by_graph.predict(batch.features)) for batch in part.batches()]
    targets, answers = zip(*both, strict=True)
    return measure(contract.target.task, np.concatenate(targets), np.concatenate(answers))


def _target_std(spec: TrainSpec, contract: Contract) -> float:
    if contract.target.classes is not None:
        return 1.0
    count, total, squares = 0, 0.0, 0.0
    with tables.opened(spec.train, contract.target, what="training") as part:
        first: float | None = None
        for batch in part.batches():
            first = float(batch.target[0]) if first is None else first
            shifted = batch.target.astype(np.float64) - first  # else the squares of great values lose their digits
            count, total, squares = count + len(shifted), total + shifted.sum(), squares + (shifted**2).sum()
    return float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0)))


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
