"""What every training worker does, whatever its framework: meet the other ranks, read, train, measure, package.

A framework is one module with a function ``fit``, and one that joins the ranks if it trains on several, that ends in
``raise SystemExit(worker.main(fit, join))``. In: TrainSpec in the environment. Out: a model package, logs, and metrics
as lines ``name=value`` on stdout, which is what Katib's StdOut collector reads. Every rank trains on its own part of
the rows; rank 0 alone measures and packages, the others end with the training.
"""

from __future__ import annotations

import datetime as dt
import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError, DeadlineError, PackageError, PeerLostError, SeawayError, UnreachableError
from seaway.model.agreement import Agreement
from seaway.model.contract import Contract
from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training import checkpoints, packaging, signals, tables
from seaway.training.metrics import metrics as measure
from seaway.training.packaging import Reported, TrainedModel
from seaway.training.peers import Peers, alone
from seaway.training.place import Place
from seaway.training.spec import EXIT_INPUT, EXIT_PEER, TrainSpec
from seaway.training.tables import Part

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

GATE_ROWS = 10_000
"""Held-out rows that the packaging gate compares."""

EXIT_CODES: tuple[tuple[type[SeawayError], int], ...] = (
    (PeerLostError, EXIT_PEER),
    (DeadlineError, EXIT_PEER),  # a peer that never came
    (UnreachableError, 1),  # a store that may answer next time
    (SeawayError, EXIT_INPUT),
)
"""Of each error, first match wins; whoever started the worker tells by them whether a retry can help."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a framework trains on; nothing is read before it asks."""

    contract: Contract
    peers: Peers
    """The other ranks."""
    train: Part
    """This rank's training rows."""
    validation: Part | None
    """This rank's validation rows, for early stopping; None when the spec names none."""

    @property
    def place(self) -> Place:
        """This rank's, and how many there are."""
        return self.peers.place


Fit = Callable[[TrainSpec, TrainingData], TrainedModel]
"""Trains one model, together with the other ranks, and returns it on each of them.

It holds `tables.check_classes` over the rows of all ranks, and raises InputError where a hyperparameter does not hold.
"""

Join = Callable[[TrainSpec], AbstractContextManager[Peers]]
"""Meets the other ranks; within the block they are there."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came out."""

    metrics: Mapping[str, float]
    """On the validation rows; empty when there are none, and on ranks that do not lead."""
    agreement: Agreement | None
    """Of the package with the framework; None on ranks that do not lead: they write none."""


def _alone(spec: TrainSpec) -> AbstractContextManager[Peers]:
    """No other rank, for frameworks that train in one process."""
    return alone()


def train(spec: TrainSpec, fit: Fit, join: Join = _alone) -> Trained:
    """Train a model and, on rank 0, write its package.

    Raises:
        InputError: the data, the contract or a hyperparameter does not hold, or the ranks were told different things.
        PackageError: the model cannot become one graph that agrees with the framework; nothing is written.
        DeadlineError: a rank did not come in time.
        PeerLostError: a rank went away.
    """
    with join(spec) as peers:
        place = peers.place
        contract = Contract.from_json(storage.read_bytes(spec.contract))
        features = packaging.read_features(spec.features)
        rows = _gate_rows(spec, contract) if place.leads else {}
        with _opened(spec, contract, features, peers) as data:
            at = time.monotonic()
            with place.span("fit"):
                model = fit(spec, data)
            logs.info(_logger, "trained", estimator=model.estimator, params=dict(model.params), seconds=_since(at))
    if not place.leads:
        return Trained(metrics={}, agreement=None)
    at = time.monotonic()
    found: dict[str, float] = {}
    if spec.validation:
        with place.span("measure"):
            found = _measure(model, spec, contract)
        logs.info(_logger, "measured", **found, seconds=_since(at))
    at = time.monotonic()
    with place.span("package"):
        reports = model.reports if isinstance(model, Reported) else {}
        agreed = packaging.write_package(
            model, spec, contract, features=features, rows=rows, metrics=found, reports=reports
        )
    checkpoints.remove(spec)
    logs.info(_logger, "wrote the package", uri=spec.output, **agreed.to_dict(), seconds=_since(at))
    return Trained(metrics=found, agreement=agreed)


@contextmanager
def _opened(spec: TrainSpec, contract: Contract, features: onnx.ModelProto, peers: Peers) -> Iterator[TrainingData]:
    """The tables, once it is known that they fit each other."""
    place = peers.place
    with ExitStack() as stack:
        train = stack.enter_context(tables.opened(spec.train, contract.target, what="training", place=place))
        made = features.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        if made and made != len(train.names):
            raise PackageError(
                f"the features' graph makes {made} features and {spec.train} has {len(train.names)}: "
                "give the files of one features step"
            )
        validation = None
        if spec.validation:
            validation = stack.enter_context(
                tables.opened(spec.validation, contract.target, what="validation", place=place)
            )
            if validation.names != train.names:
                raise DataError(
                    f"{spec.validation}: must have the training features {list(train.names[:5])}, in that order"
                )
        yield TrainingData(contract=contract, peers=peers, train=train, validation=validation)


def _gate_rows(spec: TrainSpec, contract: Contract) -> dict[str, NDArray[Any]]:
    """The held-out raw rows that the gate compares; read first, for nothing else can be wrong with them later."""
    rows = tables.read_rows(spec.validation_rows, contract, limit=GATE_ROWS)
    if len(next(iter(rows.values()))) == 0:
        raise DataError(f"the validation rows must be at least one, found none in {spec.validation_rows}: keep some")
    return rows


def _measure(model: TrainedModel, spec: TrainSpec, contract: Contract) -> dict[str, float]:
    """Metrics on all validation rows, a batch at a time."""
    with tables.opened(spec.validation, contract.target, what="validation") as validation:
        both = [(batch.target, model.predict(batch.features)) for batch in validation.batches()]
    targets, answers = zip(*both, strict=True)
    return measure(contract.target.task, np.concatenate(targets), np.concatenate(answers))


def main(fit: Fit, join: Join = _alone) -> int:
    """A worker's whole life; its exit code, see `EXIT_CODES`: where it is not 0, the last line is ``error: ...``."""
    signals.leave_on_sigterm()
    logs.setup(step="train", component="train")
    try:
        trained = train(TrainSpec.from_env(), fit, join)
    except SeawayError as e:
        sys.stdout.flush()
        sys.stderr.write(f"error: {e}\n")
        return next(code for kind, code in EXIT_CODES if isinstance(e, kind))
    except OSError as e:
        # a folder that was copied says of each file why, in words alone
        if e.errno not in _FULL and not any(os.strerror(code) in str(e) for code in _FULL):
            raise
        where = e.filename2 or e.filename or "the model's folder"
        sys.stdout.flush()
        sys.stderr.write(
            f"error: the disk must have room for what the training writes, found none left at {where}: free some, or "
            "point TMPDIR (its work) or the store (its model) to another disk\n"
        )
        return 1
    stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for name, value in trained.metrics.items():
        if np.isfinite(value):  # Katib reads "nan" as an empty text and stalls
            sys.stdout.write(f"{stamp} {name}={value:.6f}\n")
    sys.stdout.flush()
    return 0


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
