"""Nodes of an ONNX graph under way, and the raw columns as rows of a matrix.

Columns are worked on as rows, [k, n]: one operator then serves all k columns, and its inner loop runs over n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.model.contract import MISSING_INT64, DType

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


class Nodes:
    """Collects nodes and constants; a tensor is known by its name."""

    def __init__(self, inputs: Mapping[str, DType]) -> None:
        """Begin a graph whose inputs have these names and dtypes."""
        self.inputs = dict(inputs)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._numbers: tuple[str, ...] = ()
        self._matrix = ""
        self._mask = ""
        # a raw column may have any name: ours must not be one of them
        self._prefix = "seaway_"
        while any(name.startswith(self._prefix) for name in inputs):
            self._prefix += "_"

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of the standard domain, or of ``domain=``; returns its output."""
        return self.add_many(op, 1, *inputs, **attributes)[0]

    def add_many(self, op: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with ``count`` outputs."""
        from onnx import helper

        name = f"{self._prefix}{len(self.nodes)}"
        outputs = [f"{name}_{k}" if count > 1 else name for k in range(count)]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=f"{name}_{op}", **attributes))
        return outputs

    def constant(self, value: Any, dtype: Any) -> str:
        """A constant; equal ones are stored once."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(np.asarray(value, dtype=dtype)).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"{self._prefix}c{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def rows(self, vectors: Sequence[str]) -> str:
        """Vectors [n] as the rows of one matrix [k, n]."""
        whole = vectors[0] if len(vectors) == 1 else self.add("Concat", *vectors, axis=0)
        return self.add("Reshape", whole, self.constant([len(vectors), -1], np.int64))

    def pick(self, matrix: str, indices: Sequence[int], of: int) -> str:
        """Rows of a matrix of ``of`` rows; the matrix itself if they are all, in order."""
        if list(indices) == list(range(of)):
            return matrix
        return self.add("Gather", matrix, self.constant(indices, np.int64), axis=0)

    def want_numbers(self, columns: Sequence[str]) -> None:
        """Say which columns, of any dtype but string, `numbers` and `missing` will be asked for."""
        columns = tuple(dict.fromkeys(columns))
        floats = [c for c in columns if self.inputs[c] == "float64"]
        self._numbers = (*floats, *(c for c in columns if self.inputs[c] != "float64"))

    def numbers(self, columns: Sequence[str]) -> str:
        """Columns as double rows [k, n]; what is missing is NaN, what is infinite stays."""
        if not self._matrix:
            floats = [c for c in self._numbers if self.inputs[c] == "float64"]
            whole = [c for c in self._numbers if self.inputs[c] != "float64"]
            parts = [self.add("Concat", *floats, axis=0) if len(floats) > 1 else floats[0]] if floats else []
            if whole:
                joined = self.add("Concat", *whole, axis=0) if len(whole) > 1 else whole[0]
                # compared as int64: as double, the numbers next to the marker would be taken for it
                absent = self.add("Equal", joined, self.constant(MISSING_INT64, np.int64))
                cast = self.add("Cast", joined, to=_DOUBLE)
                parts.append(self.add("Where", absent, self.constant(np.nan, np.float64), cast))
            joined = self.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
            self._matrix = self.add("Reshape", joined, self.constant([len(self._numbers), -1], np.int64))
        return self.pick(self._matrix, [self._numbers.index(c) for c in columns], len(self._numbers))

    def missing(self, columns: Sequence[str]) -> str:
        """Where columns are missing or infinite, as bool rows [k, n]."""
        if not self._mask:
            everything = self.numbers(self._numbers)
            # x - x is NaN for NaN and for both infinities
            self._mask = self.add("IsNaN", self.add("Sub", everything, everything))
        return self.pick(self._mask, [self._numbers.index(c) for c in columns], len(self._numbers))

    def encode(self, column: str, keys: Sequence[Any], values: NDArray[Any], default: float | int) -> str:
        """Look a column of strings or int64 up: key to int64 or float32, vector [n]."""
        kind = "floats" if values.dtype.kind == "f" else "int64s"
        source = "keys_strings" if self.inputs[column] == "string" else "keys_int64s"
        attributes = {source: list(keys), f"values_{kind}": values.tolist(), f"default_{kind[:-1]}": default}
        return self.add("LabelEncoder", column, domain="ai.onnx.ml", **attributes)

    def missing_key(self, column: str) -> Any:
        """How a missing value of a string or int64 column enters."""
        return "" if self.inputs[column] == "string" else MISSING_INT64


_DOUBLE = 11  # onnx.TensorProto.DOUBLE
FLOAT = 1  # onnx.TensorProto.FLOAT
INT64 = 7  # onnx.TensorProto.INT64
