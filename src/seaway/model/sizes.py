"""How large a tensor an ONNX node may ask for, as far as that can be read from the graph.

Operators such as ConstantOfShape make tensors of any size out of a few bytes. Their shape must be constant and within
MAX_ELEMENTS, or be computed from the shapes of other tensors with constants within that limit; never from values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from seaway.errors import PackageError

if TYPE_CHECKING:
    import onnx

MAX_ELEMENTS = 2**26
"""Of a tensor made from a constant shape: 256 MiB of float32."""

OPERANDS: dict[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Tile": (1,),
    "Range": (0, 1, 2),
    "Pad": (1,),
    "OneHot": (1,),
    "Resize": (2, 3),
    "Upsample": (1,),
    "MaxUnpool": (2,),
    "CenterCropPad": (1,),
    "HannWindow": (0,),
    "HammingWindow": (0,),
    "BlackmanWindow": (0,),
}
"""Operators whose output's size is the value of an operand, with that operand's position."""

_THROUGH: dict[str, int | None] = {
    "Identity": 1,
    "Cast": 1,
    "Squeeze": 1,
    "Unsqueeze": 1,
    "Reshape": 1,
    "Gather": 1,
    "Slice": 1,
    "ReduceProd": 1,
    "ReduceMax": 1,
    "ReduceSum": 1,
    "Neg": 1,
    "Abs": 1,
    "Concat": None,
    "Add": None,
    "Sub": None,
    "Mul": None,
    "Div": None,
    "Max": None,
    "Min": None,
    "Where": None,
    "Range": None,
}
"""Operators that hand values on to a shape, with how many of their first inputs do so; None for all."""

_SMALL = 4096
"""A constant with more elements than this is no shape."""


def product(dims: Iterable[int]) -> int:
    """Product of the sizes, at least 1; negative ones and zeros count as one."""
    out = 1
    for d in dims:
        out *= max(abs(int(d)), 1)
    return out


class Scope:
    """The names of one graph with its subgraphs, or of one function."""

    def __init__(self, inputs: set[str]) -> None:
        self._inputs = inputs
        self._constants: dict[str, onnx.TensorProto] = {}
        self._producers: dict[str, Any] = {}
        self._values: dict[str, int] = {}

    def constant(self, name: str, tensor: onnx.TensorProto) -> None:
        """Remember an initializer."""
        self._constants[name] = tensor

    def node(self, node: onnx.NodeProto) -> None:
        """Remember what makes a name."""
        for name in node.output:
            self._producers[name] = node

    def check(self, node: onnx.NodeProto, at: str) -> None:
        """Refuse a node that asks for too large a tensor.

        Raises:
            PackageError: its constant shape is over the limit, or it takes its size from the values of an input.
        """
        for position in OPERANDS[node.op_type]:
            if position < len(node.input) and node.input[position]:
                self._check_operand(node.input[position], at)

    def _check_operand(self, start: str, at: str) -> None:
        total, seen, stack = 1, {start}, [start]
        while stack:
            name = stack.pop()
            if name in self._constants:
                total *= self._value(name, self._constants[name])
            elif name in self._producers:
                total *= self._constant_node(name, self._producers[name])
                following = _data_inputs(self._producers[name])
                stack.extend(n for n in following if n and n not in seen)
                seen.update(following)
            elif name in self._inputs:
                raise PackageError(
                    f"{at}: a size must not come from the values of the input {name!r}: give it as a constant"
                )
            if total > MAX_ELEMENTS:
                raise PackageError(
                    f"{at}: must make at most {MAX_ELEMENTS:,} elements from a constant shape, found {total:,}: "
                    "compute it from its inputs' shapes, or export a smaller model"
                )

    def _value(self, name: str, tensor: onnx.TensorProto) -> int:
        """Product of a constant's values, from the bytes; 1 if it is no shape."""
        if name not in self._values:
            import numpy as np
            from onnx import TensorProto, numpy_helper

            numbers = {TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT, TensorProto.DOUBLE}
            value = 1
            if tensor.data_type in numbers and product(tensor.dims) <= _SMALL:
                array = np.nan_to_num(numpy_helper.to_array(tensor).ravel())
                value = product(int(v) for v in array.tolist())
            self._values[name] = value
        return self._values[name]

    def _constant_node(self, name: str, node: onnx.NodeProto) -> int:
        if node.op_type != "Constant":
            return 1
        for a in node.attribute:
            if a.name == "value":
                return self._value(name, a.t)
            if a.name in ("value_int", "value_ints"):
                return product([a.i, *a.ints])
        return 1


def _data_inputs(node: onnx.NodeProto) -> list[str]:
    if node.op_type not in _THROUGH:
        return []
    return list(node.input)[: _THROUGH[node.op_type]]
