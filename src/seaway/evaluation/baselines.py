"""What a model must beat: a constant answer, and a linear model on the same features.

In: the training features (Parquet of float32 columns, ``__target__`` last: class index int64 or value float64). Out:
fitted baselines that answer matrices of the same features. Both are for comparison only and are never packaged.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from seaway.data import table
from seaway.errors import DataError
from seaway.evaluation.predict import Answers, run, threads
from seaway.model.contract import Contract, Target
from seaway.model.session import open_session

TARGET = "__target__"
MAX_ROWS, MAX_CELLS = 250_000, 80_000_000
"""More rows (or rows times features) would move a linear model by less than the holdout can tell; 320 MB at most."""


@dataclass(frozen=True)
class TrainFeatures:
    """A sample of the training features, in memory."""

    matrix: NDArray[np.float32]
    """Shape [rows, features]."""
    target: NDArray[Any]
    """Shape [rows]."""
    names: tuple[str, ...]
    rows: int
    """Of the whole file."""

    @classmethod
    def read(cls, uri: str, *, max_rows: int = MAX_ROWS, max_cells: int = MAX_CELLS) -> TrainFeatures:
        """Read the file, or of a longer one as many rows as are allowed, spread evenly.

        Raises:
            DataError: it cannot be read, is empty, or is not such a file.
        """
        with table.opened(uri) as (frame, _):
            names = frame.collect_schema().names()
            if not names or names[-1] != TARGET or len(names) < 2:
                raise DataError(f"{uri}: training features must end in the column {TARGET!r}, found {names[-3:]}")
            limit = max(1, min(max_rows, max_cells // (len(names) - 1)))
            with table.reading(uri):
                rows = int(frame.select(pl.len()).collect().item())
                if rows > limit:
                    at = pl.int_range(pl.len(), dtype=pl.Int64)
                    frame = frame.filter(at * limit % rows < limit)
                whole = frame.collect()
        if whole.is_empty():
            raise DataError(f"{uri}: training features must have rows, found none")
        matrix = whole.drop(TARGET).cast(pl.Float32).to_numpy()
        return cls(matrix, whole[TARGET].to_numpy(), tuple(names[:-1]), rows)


class Trivial:
    """Answers every row alike: the share of each class in training, or the mean of the target."""

    def __init__(self, train: TrainFeatures, target: Target) -> None:
        if target.classes is None:
            self._constant = np.array([train.target.mean()])
        else:
            self._constant = _counts(train.target, target) / len(train.target)
        self._task = target.task

    def answer(self, rows: int) -> Answers:
        """The answers to that many rows."""
        if self._task == "regression":
            return Answers(values=np.repeat(self._constant, rows))
        probabilities = np.tile(self._constant, (rows, 1))
        return Answers(probabilities, probabilities.argmax(axis=1))


class Linear:
    """Logistic or ridge regression on standardized features; missing features count as their mean."""

    def __init__(self, train: TrainFeatures, target: Target) -> None:
        self.notes: list[str] = []
        if len(train.target) < train.rows:
            self.notes.append(
                f"the linear baseline was trained on {len(train.target):,} of {train.rows:,} rows, spread evenly"
            )
        self._classes = None if target.classes is None else len(target.classes)
        columns = [_mean_and_spread(column) for column in train.matrix.T]
        self._mean, spread = (np.array(c, dtype=np.float32) for c in zip(*columns, strict=True))
        self._scale = np.where(spread > 0, spread, np.float32(1))
        self._present: list[int] = []
        if target.classes is not None:
            self._present = np.flatnonzero(_counts(train.target, target)).tolist()
        self._model = self._fit(self._standardized(train.matrix), train.target)

    def answer(self, matrix: NDArray[np.float32]) -> Answers:
        """Answers to features of shape [n, features]."""
        rows = self._standardized(matrix)
        if self._classes is None:
            return Answers(values=np.asarray(self._model.predict(rows)))
        probabilities = np.zeros((len(matrix), self._classes))
        probabilities[:, self._present] = 1.0 if self._model is None else self._model.predict_proba(rows)
        return Answers(probabilities, probabilities.argmax(axis=1))

    def _fit(self, rows: NDArray[np.float32], target: NDArray[Any]) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression, Ridge
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        if self._classes is None:
            # a thousandth of the features' variance: one-hot columns add up to one, and float32 cannot tell by how much
            return Ridge(alpha=max(1.0, 1e-3 * len(rows))).fit(rows, target)
        if len(self._present) < 2:
            self.notes.append("the training target holds one class: the linear baseline answers it always")
            return None
        # on standardized features L-BFGS needs some 15 passes; a Newton step costs as many as there are features
        model = LogisticRegression(solver="lbfgs", tol=1e-3, max_iter=100)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # two threads gain nothing on one such fit, and wait spinning where other steps run beside this one
            with threadpool_limits(1):
                model.fit(rows, target)
        if any(issubclass(w.category, ConvergenceWarning) for w in caught):
            self.notes.append("the linear baseline stopped before it converged")
        return model

    def _standardized(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite becomes 0 below
            rows = matrix - self._mean
            rows /= self._scale
            for column in np.flatnonzero(~np.isfinite(rows.sum(axis=0, dtype=np.float64))):
                values = rows[:, column]
                values[~np.isfinite(values)] = 0.0
        return rows


class FeatureGraph:
    """The graph from raw columns to the matrix that training saw."""

    def __init__(self, folder: Path) -> None:
        self.contract = Contract.from_json((folder / "contract.json").read_bytes())
        self._session = open_session((folder / "features.onnx").read_bytes(), threads=threads())

    def matrix(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Features of raw rows, float32 [n, features]."""
        (matrix,) = run(self._session, batch, self.contract, name="features").values()
        return matrix


def _mean_and_spread(column: NDArray[np.float32]) -> tuple[float, float]:
    """Of the finite values; 0 and 0 if there are none."""
    finite = column[np.isfinite(column)]
    if not len(finite):
        return 0.0, 0.0
    return float(finite.mean(dtype=np.float64)), float(finite.std(dtype=np.float64))


def _counts(target: NDArray[Any], declared: Target) -> NDArray[np.int64]:
    classes = len(declared.classes or ())
    if target.dtype.kind not in "iu" or target.min() < 0 or target.max() >= classes:
        raise DataError(
            f"{TARGET} must hold indices of the {classes} classes {list(declared.classes or ())[:10]}, "
            f"found {target.dtype} from {target.min()} to {target.max()}"
        )
    return np.bincount(target, minlength=classes)
