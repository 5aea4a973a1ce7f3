"""The step `featurize`: learn the statistics of a plan and write the features of both splits with its graph.

In: the splits and the contract that `ingest` wrote. Out: a folder with features.onnx, plan.json, statistics.json and
contract.json, and two Parquet files, which came out of that very graph.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from seaway.data import table as tables
from seaway.data.dtypes import convert
from seaway.errors import PlanError
from seaway.features import report as reports
from seaway.features import transform
from seaway.features.fit import fit
from seaway.features.fitted_plan import FittedPlan
from seaway.features.graph import to_onnx
from seaway.features.infer import infer
from seaway.features.lookups import open_graph
from seaway.features.plan import FeaturePlan
from seaway.model import graph as gate
from seaway.model.contract import Contract
from seaway.storage import uri as storage

GRAPH, PLAN, STATISTICS, CONTRACT = "features.onnx", "plan.json", "statistics.json", "contract.json"

_log = logging.getLogger("seaway.features")


@dataclass(frozen=True, kw_only=True)
class FeaturizeResult:
    """What `featurize` wrote."""

    rows: int
    """Training rows."""
    validation_rows: int
    features: int
    """Columns of the feature matrix."""
    feature_names: tuple[str, ...]
    fit_seconds: float
    transform_seconds: float
    """Reading, transforming and writing both splits."""

    @property
    def metrics(self) -> dict[str, float]:
        """What the pipeline's metrics show."""
        counts = {"train_rows": self.rows, "validation_rows": self.validation_rows, "features": self.features}
        return counts | {"fit_seconds": self.fit_seconds, "transform_seconds": self.transform_seconds}


def featurize(
    *,
    train: str,
    validation: str,
    contract: str,
    plan: str = "",
    profile: str = "",
    features: str,
    train_features: str,
    validation_features: str,
    report: str = "",
) -> FeaturizeResult:
    """Fit a feature plan on the training rows and write both splits' features.

    Args:
        train: URI of the training rows: Parquet, a file or a folder.
        validation: URI of the validation rows; nothing is learnt from them.
        contract: URI of the contract.
        plan: URI of a plan in JSON or YAML; empty infers one from the contract and the profile.
        profile: URI of the profile that `ingest` wrote; empty if there is none.
        features: URI of the folder to write: features.onnx, plan.json, statistics.json, contract.json.
        train_features: URI of the Parquet file to write.
        validation_features: URI of the Parquet file to write.
        report: URI of the HTML report to write; empty for none.

    Raises:
        PlanError: the plan does not fit the contract.
        DataError: a split cannot be read, or has a row without a target.
    """
    signature = Contract.from_json(storage.read_bytes(contract))
    chosen = _plan(plan, profile, signature)
    chosen.check(signature)
    started = time.perf_counter()
    with tables.opened(train) as (frame, _):
        schema = frame.collect_schema()
        used = [c for c in signature.columns if c.name in chosen.columns]
        if missing := [c.name for c in used if c.name not in schema]:
            raise PlanError(f"{train}: must have the columns {missing} that the plan names, found {list(schema)[:50]}")
        fitted = fit(chosen, signature, frame.select(convert(c.name, schema[c.name], c.dtype) for c in used))
    fit_seconds = time.perf_counter() - started
    graph = to_onnx(fitted, signature)
    gate.check(graph)
    content = graph.SerializeToString()
    opened = open_graph(content)
    names = fitted.feature_names
    counts = []
    for name, rows, out in (("training", train, train_features), ("validation", validation, validation_features)):
        started = time.perf_counter()
        written = transform.write(opened, rows, signature, names, out)
        counts.append((name, written, time.perf_counter() - started))
    _write(fitted, signature, content, features)
    if report:
        storage.write_bytes(report, reports.html(fitted, signature, counts).encode())
    result = FeaturizeResult(
        rows=counts[0][1],
        validation_rows=counts[1][1],
        features=len(names),
        feature_names=names,
        fit_seconds=round(fit_seconds, 3),
        transform_seconds=round(sum(seconds for _, _, seconds in counts), 3),
    )
    _log.info("%d columns became %d features of %d rows", len(chosen.columns), result.features, result.rows)
    return result


def load(features: str) -> tuple[bytes, FittedPlan, Contract]:
    """The graph, the fitted plan and the contract of a folder that `featurize` wrote."""
    content = storage.read_bytes(storage.join(features, GRAPH))
    fitted = FittedPlan.from_dict(json.loads(storage.read_bytes(storage.join(features, STATISTICS))))
    return content, fitted, Contract.from_json(storage.read_bytes(storage.join(features, CONTRACT)))


def _plan(plan: str, profile: str, contract: Contract) -> FeaturePlan:
    if plan:
        return FeaturePlan.from_text(storage.read_bytes(plan))
    return infer(contract, json.loads(storage.read_bytes(profile)) if profile else None)


def _write(fitted: FittedPlan, contract: Contract, graph: bytes, uri: str) -> None:
    """The folder appears whole."""
    with tempfile.TemporaryDirectory(prefix="seaway-") as tmp:
        folder = Path(tmp) / "features"
        folder.mkdir()
        (folder / GRAPH).write_bytes(graph)
        (folder / PLAN).write_text(fitted.plan.to_json())
        (folder / STATISTICS).write_text(fitted.to_json())
        (folder / CONTRACT).write_text(contract.to_json())
        storage.upload_folder(folder, uri, last=GRAPH)
