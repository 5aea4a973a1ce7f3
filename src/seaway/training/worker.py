"""What every training worker does, whatever its framework: read, train, measure, package.

A framework is one module with a function ``fit`` that ends in ``raise SystemExit(worker.main(fit))``. In: TrainSpec in
the environment. Out: a model package, logs, and metrics as lines ``name=value`` on stdout, which is what Katib's StdOut
collector reads.
"""

from __future__ import annotations

import datetime as dt
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from seaway.errors import DataError, PackageError, SeawayError
from seaway.model.agreement import Agreement
from seaway.model.contract import Contract
from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training import packaging, tables
from seaway.training.metrics import metrics as measure
from seaway.training.packaging import TrainedModel
from seaway.training.spec import EXIT_INPUT, TrainSpec
from seaway.training.tables import Table

if TYPE_CHECKING:
    import onnx

GATE_ROWS = 10_000
"""Held-out rows that the packaging gate compares."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a framework trains on."""

    contract: Contract
    train: Table
    validation: Table | None
    """For early stopping; None when the spec names none."""


Fit = Callable[[TrainSpec, TrainingData], TrainedModel]
"""Trains one model; raises InputError where a hyperparameter does not hold."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came out."""

    metrics: Mapping[str, float]
    """On the validation rows; empty when there are none with a target."""
    agreement: Agreement
    """Of the package with the framework."""


def train(spec: TrainSpec, fit: Fit) -> Trained:
    """Train a model and write its package.

    Raises:
        InputError: the data, the contract or a hyperparameter does not hold.
        PackageError: the model cannot become one graph that agrees with the framework; nothing is written.
    """
    started = time.monotonic()
    contract = Contract.from_json(storage.read_bytes(spec.contract))
    features = packaging.read_features(spec.features)
    data = _read(spec, contract, features)
    rows = tables.read_rows(spec.validation_rows, contract, limit=GATE_ROWS)
    if len(next(iter(rows.values()))) == 0:
        raise DataError(f"the validation rows must be at least one, found none in {spec.validation_rows}: keep some")
    logs.info(
        _logger,
        "read the training data",
        rows=len(data.train),
        features=len(data.train.names),
        seconds=_since(started),
    )
    at = time.monotonic()
    model = fit(spec, data)
    logs.info(_logger, "trained", estimator=model.estimator, params=dict(model.params), seconds=_since(at))
    at = time.monotonic()
    found: dict[str, float] = {}
    if data.validation is not None:
        answers = model.predict(data.validation.features)
        found = measure(contract.target.task, data.validation.target, answers)
        logs.info(_logger, "measured", **found, rows=len(data.validation), seconds=_since(at))
    at = time.monotonic()
    std = float(data.train.target.std()) if contract.target.task == "regression" else 1.0
    agreed = packaging.write_package(model, spec, contract, features=features, rows=rows, metrics=found, target_std=std)
    logs.info(_logger, "wrote the package", uri=spec.output, **agreed.to_dict(), seconds=_since(at))
    return Trained(metrics=found, agreement=agreed)


def _read(spec: TrainSpec, contract: Contract, features: onnx.ModelProto) -> TrainingData:
    table = tables.read_table(spec.train, contract.target, what="training")
    tables.check_classes(table, contract.target)
    made = features.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    if made and made != len(table.names):
        raise PackageError(
            f"the features' graph makes {made} features and {spec.train} has {len(table.names)}: "
            "give the files of one features step"
        )
    validation = None
    if spec.validation:
        validation = tables.read_table(spec.validation, contract.target, what="validation")
        if validation.names != table.names:
            raise DataError(
                f"{spec.validation}: must have the training features {list(table.names[:5])}, in that order"
            )
    return TrainingData(contract=contract, train=table, validation=validation)


def main(fit: Fit) -> int:
    """A worker's whole life; its exit code: 0 with the package written, 65 with a last line ``error: ...``."""
    signal.signal(signal.SIGTERM, _terminate)
    logs.setup(step="train", component="train")
    try:
        trained = train(TrainSpec.from_env(), fit)
    except SeawayError as e:
        sys.stdout.flush()
        sys.stderr.write(f"error: {e}\n")
        return EXIT_INPUT
    stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for name, value in trained.metrics.items():
        if np.isfinite(value):  # Katib reads "nan" as an empty text and stalls
            sys.stdout.write(f"{stamp} {name}={value:.6f}\n")
    sys.stdout.flush()
    return 0


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by an exception, so that temporary folders go."""
    raise SystemExit(128 + number)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
