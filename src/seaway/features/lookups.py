"""A graph cut in two where its lookups of strings end: a column of a million rows has few distinct strings.

In: a graph whose string inputs are [n]. Out: two sessions over the very nodes of that graph: the lookups, to run on
the distinct strings, and the rest, whose inputs are what the lookups found for each row. Together they compute what the
whole graph computes, bit for bit, without one string a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.features.nodes import FLOAT, INT64

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort
    import pyarrow as pa
    from numpy.typing import NDArray

_EACH_VALUE = frozenset({"LabelEncoder", "MurmurHash3", "Cast", "Mod", "Add", "Mul"})
"""Operators whose output at i depends on their inputs at i alone."""


@dataclass(frozen=True)
class Graph:
    """A graph, opened for many rows."""

    rest: ort.InferenceSession
    lookups: ort.InferenceSession | None
    """None if no input is a string."""
    found: dict[str, tuple[str, ...]]
    """By string column: the outputs of ``lookups`` that depend on it."""
    columns: tuple[str, ...]
    """The whole graph's inputs."""
    latest: list[tuple[Mapping[str, pa.Array], Mapping[str, NDArray[Any]]]] = field(default_factory=list)
    """The dictionaries looked up last and what was found, at most one pair; replaced whole, so threads may share it."""

    @property
    def width(self) -> int:
        """Columns of the output."""
        return int(self.rest.get_outputs()[0].shape[1])

    def run(
        self,
        numbers: Mapping[str, NDArray[Any]],
        strings: Mapping[str, pa.DictionaryArray],
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """The whole graph's output, [n, width].

        Args:
            numbers: inputs by name, [n].
            strings: string inputs by name, [n], dictionary-encoded; null is missing.
            out: where to write it; must be contiguous.
        """
        inputs = dict(numbers)
        if self.lookups is not None:
            codes = {name: _codes(strings[name]) for name in self.found}
            looked_up = self._look_up({name: dictionary for name, (dictionary, _) in codes.items()})
            for column, outputs in self.found.items():
                inputs |= {output: looked_up[output][codes[column][1]] for output in outputs}
        rows = len(next(iter(inputs.values())))
        if out is None:
            out = np.empty((rows, self.width), np.float32)
        if rows == 0:
            return out
        # bound, the graph writes into our memory; else every matrix is copied once more
        binding = self.rest.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(self.rest.get_outputs()[0].name, "cpu", 0, np.float32, out.shape, out.ctypes.data)
        self.rest.run_with_iobinding(binding)
        return out

    def _look_up(self, dictionaries: Mapping[str, pa.Array]) -> Mapping[str, NDArray[Any]]:
        """What the lookups find for each string of the dictionaries, and last for a missing one."""
        seen, found = self.latest[0] if self.latest else ({}, {})
        if seen and all(dictionary.equals(seen[name]) for name, dictionary in dictionaries.items()):
            return found  # the batches of one row group share its dictionaries
        assert self.lookups is not None
        values = {}
        for name, dictionary in dictionaries.items():
            values[name] = np.empty(len(dictionary) + 1, dtype=object)
            values[name][:-1] = dictionary.fill_null("").to_numpy(zero_copy_only=False)
            values[name][-1] = ""
        names = [output for outputs in self.found.values() for output in outputs]
        found = dict(zip(names, self.lookups.run(names, values), strict=True))
        self.latest[:] = [(dictionaries, found)]
        return found


def open_graph(content: bytes) -> Graph:
    """Sessions of one thread over a graph's bytes, which `seaway.model.graph.check` should have passed."""
    import onnx

    from seaway.model.session import open_session

    model = onnx.load_from_string(content)
    columns = tuple(i.name for i in model.graph.input)
    lookups, rest, found = _cut(model)
    if not found:
        return Graph(rest=open_session(content), lookups=None, found={}, columns=columns)
    sessions = [open_session(part.SerializeToString()) for part in (rest, lookups)]
    return Graph(rest=sessions[0], lookups=sessions[1], found=found, columns=columns)


def _cut(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto, dict[str, tuple[str, ...]]]:
    """The lookups, the rest, and the outputs of the lookups by column."""
    from onnx import TensorProto, helper

    strings = [i.name for i in model.graph.input if i.type.tensor_type.elem_type == TensorProto.STRING]
    origin = dict(zip(strings, strings, strict=True))
    kinds: dict[str, int] = {}
    constants = {t.name for t in model.graph.initializer}
    above: list[onnx.NodeProto] = []
    below: list[onnx.NodeProto] = []
    for node in model.graph.node:
        origins = {origin.get(name, "") for name in node.input if name not in constants}
        column = origins.pop() if len(origins) == 1 else ""
        if column and node.op_type in _EACH_VALUE:
            above.append(node)
            origin[node.output[0]] = column
            kinds[node.output[0]] = FLOAT if any(a.name == "values_floats" for a in node.attribute) else INT64
        else:
            below.append(node)
    used = {name for node in below for name in node.input}
    found = {c: tuple(t for t in kinds if origin[t] == c and t in used) for c in strings}
    found = {c: outputs for c, outputs in found.items() if outputs}

    def part(nodes: Sequence[onnx.NodeProto], inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
        names = {name for node in nodes for name in node.input}
        kept = [t for t in model.graph.initializer if t.name in names]
        graph = helper.make_graph(list(nodes), model.graph.name, inputs, outputs, kept)
        return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)

    # each column has its own number of distinct strings
    distinct = {c: f"distinct {k}" for k, c in enumerate(found)}
    texts = [helper.make_tensor_value_info(c, TensorProto.STRING, [distinct[c]]) for c in found]
    ends = [helper.make_tensor_value_info(t, kinds[t], [distinct[c]]) for c, outputs in found.items() for t in outputs]
    starts = [helper.make_tensor_value_info(t, kinds[t], ["n"]) for outputs in found.values() for t in outputs]
    numbers = [i for i in model.graph.input if i.name not in found]
    return part(above, texts, ends), part(below, [*numbers, *starts], list(model.graph.output)), found


def _codes(array: pa.DictionaryArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """The distinct strings, and for each row which one it is; one past the last where it is missing."""
    import pyarrow as pa

    dictionary, indices = array.dictionary, array.indices
    if indices.null_count:
        indices = indices.fill_null(len(dictionary))
    codes = indices.to_numpy(zero_copy_only=False)
    if len(dictionary) <= len(codes):
        return dictionary, codes
    # the dictionary of a whole row group: take what these rows hold
    present, codes = np.unique(codes, return_inverse=True)
    if len(present) and present[-1] == len(dictionary):
        present = present[:-1]
    return dictionary.take(pa.array(present)), codes
