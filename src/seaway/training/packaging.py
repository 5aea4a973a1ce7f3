"""From a trained model to a model package: compose, compare, write.

In: a trained model of any framework, the features' graph and held-out raw rows. Out: a package at the spec's URI, or a
`PackageError` and nothing written. The reference is the framework's answer on what the features' graph computes from
the raw rows, not on the stored features: the whole way that a request takes is compared.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import platform
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from seaway._version import __version__
from seaway.errors import PackageError
from seaway.model import answer, graph, package
from seaway.model.agreement import Agreement, agreement
from seaway.model.compose import compose
from seaway.model.contract import Contract
from seaway.model.session import open_session
from seaway.observe import trace
from seaway.storage import uri as storage
from seaway.training.signals import held_back
from seaway.training.spec import TrainSpec

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

FEATURES = "features.onnx"


class TrainedModel(Protocol):
    """What a framework's module hands over when it has trained."""

    @property
    def estimator(self) -> str:
        """Its name among the framework's models."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """The hyperparameters it was trained with, as JSON."""
        ...

    @property
    def libraries(self) -> tuple[str, ...]:
        """Distributions whose versions belong into the provenance."""
        ...

    @property
    def target_std(self) -> float:
        """Standard deviation of the training target, all ranks' rows; for classes 1."""
        ...

    def to_onnx(self) -> onnx.ModelProto:
        """The graph: one float32 input [n, F]; output ``probabilities`` float32 [n, K], or ``value`` [n] or [n, 1].

        Raises:
            PackageError: the model cannot become ONNX, by name, with what to do.
        """
        ...

    def predict(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """The framework's own answers: probabilities [n, K], or values [n]."""
        ...

    def save_native(self, folder: Path) -> Mapping[str, Any]:
        """Write the framework's checkpoint into ``folder``, never a pickle; what a reader must know of it, as JSON."""
        ...


@runtime_checkable
class Reported(Protocol):
    """A trained model that tells how it was trained."""

    @property
    def reports(self) -> Mapping[str, str]:
        """Texts by file name, for the package's folder ``reports``."""
        ...


def write_package(
    model: TrainedModel,
    spec: TrainSpec,
    contract: Contract,
    *,
    features: onnx.ModelProto,
    rows: Mapping[str, NDArray[Any]],
    metrics: Mapping[str, float],
    reports: Mapping[str, str] = MappingProxyType({}),
    overrides: Mapping[str, Any] | None = None,
) -> Agreement:
    """Compose the whole graph, hold it against the framework and write the package.

    Args:
        model: the trained model.
        spec: names, destination and what the provenance tells.
        contract: of the raw columns.
        features: the graph from raw columns to the matrix [n, F].
        rows: held-out raw rows as inputs of the graph.
        metrics: on the validation rows.
        reports: texts by file name, for the folder ``reports``.
        overrides: of keys of model.json, where a model from outside has more or less to tell.

    Raises:
        PackageError: the model cannot be converted, or does not agree with the framework.
    """
    estimator = model.to_onnx()
    graph.check(estimator)
    whole = compose(features, estimator, contract)
    graph.check(whole)
    content = whole.SerializeToString()
    reference = model.predict(_feature_matrix(features, rows))
    agreed = agreement(open_session(content), rows, reference, contract.target.task, model.target_std)
    with tempfile.TemporaryDirectory(prefix="seaway-package-") as tmp:
        folder = Path(tmp) / "package"
        (folder / "native").mkdir(parents=True)
        (folder / package.GRAPH).write_bytes(content)
        for name, text in reports.items():
            (folder / "reports").mkdir(exist_ok=True)
            (folder / "reports" / name).write_text(text)
        info = {
            "name": spec.name,
            "version": spec.version,
            "task": contract.target.task,
            "framework": spec.framework,
            "estimator": model.estimator,
            "params": dict(model.params),
            "contract": contract.to_dict(),
            "outputs": [o.to_dict() for o in answer.outputs(contract)],
            "features": {"count": _width(features), "sha256": hashlib.sha256(features.SerializeToString()).hexdigest()},
            "metrics": {"validation": dict(metrics)},
            "agreement": agreed.to_dict(),
            "native": dict(model.save_native(folder / "native")),
            "provenance": _provenance(spec, model.libraries),
            **(overrides or {}),
        }
        # a local package takes its place in two renames that belong together
        with held_back() if storage.is_local(spec.output) else nullcontext():
            package.write(folder, spec.output, info)
    return agreed


def read_features(uri: str) -> onnx.ModelProto:
    """The features' graph of a features folder, checked.

    Raises:
        PackageError: there is none, or it may not be loaded.
    """
    import onnx

    with storage.localized(uri) as folder:
        path = folder / FEATURES
        if not path.is_file():
            raise PackageError(f"{uri}: must hold {FEATURES}, found none: run the features step again")
        graph.check_file(path)
        return onnx.load_from_string(path.read_bytes())


def _feature_matrix(features: onnx.ModelProto, rows: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    session = open_session(features.SerializeToString())
    wanted = [i.name for i in session.get_inputs()]
    matrix: NDArray[np.float32] = session.run(None, {name: rows[name] for name in wanted})[0]
    return matrix


def _width(features: onnx.ModelProto) -> int:
    width: int = features.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    return width


def _provenance(spec: TrainSpec, libraries: tuple[str, ...]) -> dict[str, Any]:
    run = spec.run_id or trace.run_id()
    return {
        "run_id": run,
        "trace_id": trace.trace_id(run) if run else "",
        "dataset_digest": spec.dataset_digest,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seed": spec.seed,
        "seaway": __version__,
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in (*libraries, "numpy", "onnx", "onnxruntime")},
    }
