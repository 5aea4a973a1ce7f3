"""A model as it is served: the graph in onnxruntime, the contract compiled, the response headers made once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seaway.errors import PackageError, Violation
from seaway.model import package as packages
from seaway.model.contract import V2_DATATYPE, Column, Contract
from seaway.model.package import Package
from seaway.observe import trace
from seaway.serving.guard import Guard
from seaway.serving.metrics import ModelMetrics
from seaway.serving.refusal import of_contract

Feeds = dict[str, NDArray[Any]]

GRAPH_TYPE = {
    "string": "tensor(string)",
    "int64": "tensor(int64)",
    "float64": "tensor(double)",
    "bool": "tensor(int64)",
    "timestamp": "tensor(int64)",
}
"""onnxruntime's name for the input that each dtype of the contract becomes."""

_ANSWER_DATATYPE = {
    "tensor(string)": "BYTES",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(double)": "FP64",
    "tensor(float)": "FP32",
    "tensor(bool)": "BOOL",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


class ServedModel:
    """One model, loaded and warm.

    Args:
        package: verified.
        name: under which it is served; the package's own if empty.
        threads: inside one operator of the graph.

    Raises:
        PackageError: the name fits no URL, or the graph does not take the contract's columns or does not run.
    """

    def __init__(self, package: Package, *, name: str = "", threads: int = 1) -> None:
        self.name = name or package.name
        if not _NAME.fullmatch(self.name):
            raise PackageError(f"a served model's name must be letters, digits, '.', '_' or '-', found {self.name!r}")
        self.version = package.version
        self.run_id = str(package.provenance.get("run_id") or "")
        self.trace_id = str(package.provenance.get("trace_id") or "") or (
            trace.trace_id(self.run_id) if self.run_id else ""
        )
        self.trace_header = _header(self.trace_id)
        """Of a prediction that came without a trace: it belongs to the run that made the model."""
        self.contract: Contract = package.contract
        self.guards = {c.name: Guard(c) for c in package.contract.columns}
        self.metrics = ModelMetrics(self.name, self.version)
        self.headers = [
            (b"content-type", b"application/json"),
            (b"x-seaway-model", self.name.encode()),
            (b"x-seaway-model-version", _header(self.version)),
        ]
        if self.run_id:
            self.headers.append((b"x-seaway-run-id", _header(self.run_id)))
        self.session = package.session(threads=threads)
        self.fed = frozenset(self._check_inputs())
        """Columns that the graph takes; the others are checked and left."""
        self.answers = self._check_outputs()
        """(name, Open Inference Protocol's datatype, shape) of every answer."""
        self.answer_names = [name for name, _, _ in self.answers]
        self.datatypes = {name: datatype for name, datatype, _ in self.answers}
        self._warm_up()

    @classmethod
    def open(cls, uri: str, *, name: str = "", threads: int = 1) -> ServedModel:
        """The model of the package at any URI; nothing of it is needed on disk afterwards."""
        with packages.opened(uri) as package:
            return cls(package, name=name, threads=threads)

    def predict(self, feeds: Feeds, wanted: list[str] | None = None) -> list[NDArray[Any]]:
        """The graph's answers for checked inputs of shape [n], in the order of ``answers`` or ``wanted``."""
        outputs: list[NDArray[Any]] = self.session.run(wanted or self.answer_names, feeds)
        return outputs

    def metadata(self) -> dict[str, Any]:
        """The Open Inference Protocol's model metadata, from the contract."""
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "onnxruntime_onnx",
            "inputs": [
                {"name": c.name, "datatype": V2_DATATYPE[c.dtype], "shape": [-1]} for c in self.contract.columns
            ],
            "outputs": [{"name": name, "datatype": kind, "shape": shape} for name, kind, shape in self.answers],
        }

    def _check_inputs(self) -> list[str]:
        for graph_input in self.session.get_inputs():
            guard = self.guards.get(graph_input.name)
            if guard is None or GRAPH_TYPE[guard.column.dtype] != graph_input.type:
                wanted = GRAPH_TYPE[guard.column.dtype] if guard else "a column of the contract"
                raise PackageError(
                    f"model {self.name!r}: the graph's input {graph_input.name!r} must be {wanted}, found "
                    f"{graph_input.type}: package the model again"
                )
        return [i.name for i in self.session.get_inputs()]

    def _check_outputs(self) -> list[tuple[str, str, list[int]]]:
        outputs = [(o.name, o.type, list(o.shape[1:])) for o in self.session.get_outputs()]
        if wrong := [(name, kind) for name, kind, _ in outputs if kind not in _ANSWER_DATATYPE]:
            raise PackageError(f"model {self.name!r}: answers must be among {sorted(_ANSWER_DATATYPE)}, found {wrong}")
        return [
            (name, _ANSWER_DATATYPE[kind], [-1, *(d if isinstance(d, int) else -1 for d in rest)])
            for name, kind, rest in outputs
        ]

    def _warm_up(self) -> None:
        """Run rows that the contract allows: a model that cannot answer must not open its port."""
        for n in (1, 2):
            broken: list[Violation] = []
            feeds: Feeds = {}
            for name, guard in self.guards.items():
                array = guard.check([_allowed_value(guard.column)] * n, broken)
                if array is not None and name in self.fed:
                    feeds[name] = array
            if broken:
                raise PackageError(f"model {self.name!r}: no row fits the contract: {of_contract(broken)}")
            try:
                outputs = self.predict(feeds)
            except Exception as e:  # onnxruntime's errors share no base of their own
                raise PackageError(f"model {self.name!r}: the graph must answer a row of its contract: {e}") from e
            if wrong := [a for a, o in zip(self.answer_names, outputs, strict=True) if not np.shape(o)[:1] == (n,)]:
                raise PackageError(f"model {self.name!r}: the answers {wrong} must have one row a row of the request")


def _allowed_value(column: Column) -> Any:
    if column.values is not None:
        return column.values[0]
    if column.dtype in ("int64", "float64"):
        bounds = [b for b in (column.minimum, column.maximum) if b is not None]
        value = bounds[0] if bounds else 0
        return value if column.dtype == "float64" else int(-(-value // 1) if column.minimum is not None else value // 1)
    return {"string": "", "bool": False, "timestamp": 0}[column.dtype]


def _header(text: str) -> bytes:
    """A text as a header's value: what HTTP does not allow there becomes ``?``."""
    return re.sub(r"[^\x20-\x7e]", "?", text).encode()
