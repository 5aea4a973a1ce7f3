"""One graph out of two: raw columns -> features -> estimator -> answer.

In: the features' graph (raw columns by name in, one float32 matrix [n, F] out), the estimator's graph (that matrix in,
``probabilities`` float32 [n, K] or ``value`` [n] or [n, 1] out) and the contract. Out: one graph with the contract's
columns as inputs and the outputs that `answer.outputs` tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway._version import __version__
from seaway.errors import PackageError
from seaway.model import answer, versions
from seaway.model.contract import Contract, DType

if TYPE_CHECKING:
    import onnx

_ONNX_TYPE: dict[DType, str] = {
    "string": "STRING",
    "int64": "INT64",
    "float64": "DOUBLE",
    "bool": "INT64",  # as an input: 0, 1 or missing
    "timestamp": "INT64",
}
_CLASS_DTYPE: dict[DType, Any] = {"string": np.object_, "int64": np.int64, "bool": np.bool_}

_COMPATIBLE = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
"""Operators of ai.onnx.ml whose versions 1 and 3 mean the same: 3 only adds attributes for float64."""


def compose(features: onnx.ModelProto, estimator: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    """The whole model as one graph; neither of the two given is changed.

    Raises:
        PackageError: the two do not fit each other or the contract, or an operator's meaning changed between opsets.
    """
    import onnx

    parts = [_copy(features), _copy(estimator)]
    opsets = _common_opsets(parts)
    matrix = _check_features(parts[0].graph, contract)
    answer_tensor = _check_estimator(parts[1].graph, parts[0].graph, contract)
    answer_name, shape = answer_tensor.name, _shape(answer_tensor)
    one, two, three = (_free_prefix(contract, p) for p in ("features/", "estimator/", "answer/"))
    names = set(contract.names)
    _rename(parts[0].graph, lambda n: n if n in names else one + n)
    entry = parts[1].graph.input[0].name
    _rename(parts[1].graph, lambda n: one + matrix if n == entry else two + n)

    graph = onnx.GraphProto(name="seaway")
    for part in parts:
        graph.node.extend(part.graph.node)
        graph.initializer.extend(part.graph.initializer)
        graph.sparse_initializer.extend(part.graph.sparse_initializer)
    _post_process(graph, two + answer_name, shape, contract, three)
    graph.input.extend(
        onnx.helper.make_tensor_value_info(c.name, getattr(onnx.TensorProto, _ONNX_TYPE[c.dtype]), ["n"])
        for c in contract.columns
    )
    _prune(graph)
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in sorted(opsets.items())],
        ir_version=max(versions.IR_VERSION, *(p.ir_version for p in parts)),
        producer_name="seaway",
        producer_version=__version__,
        functions=[f for p in parts for f in p.functions],
    )
    onnx.helper.set_model_props(model, {"seaway": __version__})
    return model


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _common_opsets(parts: list[onnx.ModelProto]) -> dict[str, int]:
    """The greatest opset of each domain, once no operator of the other part means something else in it."""
    each: list[dict[str, int]] = []
    for part in parts:
        found: dict[str, int] = {}
        for entry in part.opset_import:  # skl2onnx writes "" twice
            domain = "" if entry.domain == "ai.onnx" else entry.domain
            found[domain] = max(found.get(domain, 0), entry.version)
        each.append(found)
    common = {"": versions.OPSET, "ai.onnx.ml": versions.ML_OPSET}
    for found in each:
        for domain, version in found.items():
            common[domain] = max(common.get(domain, 0), version)
    for part, found in zip(parts, each, strict=True):
        for domain, version in found.items():
            if version < common[domain]:
                _check_same_meaning(part, domain, version, common[domain])
    used = {"" if n.domain == "ai.onnx" else n.domain for p in parts for n in _nodes(p.graph)}
    used |= {d.domain for p in parts for f in p.functions for d in f.opset_import}
    return {d: v for d, v in common.items() if d == "" or d in used}


def _check_same_meaning(part: onnx.ModelProto, domain: str, old: int, new: int) -> None:
    import onnx

    for node in _nodes(part.graph):
        if node.domain not in (domain, "ai.onnx" if domain == "" else domain) or node.op_type in _COMPATIBLE:
            continue
        try:
            before, after = (onnx.defs.get_schema(node.op_type, v, domain) for v in (old, new))
        except onnx.defs.SchemaError:
            continue  # a local function, or one of com.microsoft, which have one version
        if not _extends(before, after):
            raise PackageError(
                f"operator {node.op_type} of {domain or 'ai.onnx'} must mean the same in opsets {old} and {new}, "
                f"and does not: export the estimator with opset {versions.OPSET} (ai.onnx.ml {versions.ML_OPSET})"
            )


def _extends(before: Any, after: Any) -> bool:
    """Whether a node written for one version of an operator means the same in a later one.

    It does if inputs, attributes and their defaults are all still there: new types and optional additions do no harm.
    """
    kept = [i.name for i in after.inputs[: len(before.inputs)]] == [i.name for i in before.inputs]
    return kept and all(
        name in after.attributes
        and after.attributes[name].default_value.SerializeToString() == attribute.default_value.SerializeToString()
        for name, attribute in before.attributes.items()
    )


def _check_features(graph: onnx.GraphProto, contract: Contract) -> str:
    """Name of the feature matrix; the inputs must be columns of the contract in their types."""
    import onnx

    columns = {c.name: c for c in contract.columns}
    for value in _inputs(graph):
        column = columns.get(value.name)
        if column is None:
            raise PackageError(
                f"the features' inputs must be columns of the contract, found {value.name!r}: fit them again"
            )
        found = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        if found != _ONNX_TYPE[column.dtype]:
            raise PackageError(
                f"the features' input {value.name!r} must be {_ONNX_TYPE[column.dtype]} for a column of "
                f"{column.dtype}, found {found}: fit the features again with this contract"
            )
    if len(graph.output) != 1 or graph.output[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise PackageError("the features must have one output, a float32 matrix [n, F]")
    name: str = graph.output[0].name
    if name in contract.names:
        raise PackageError(f"the features' output must be computed from the columns, found the column {name!r} itself")
    return name


def _check_estimator(graph: onnx.GraphProto, features: onnx.GraphProto, contract: Contract) -> onnx.ValueInfoProto:
    """The estimator's answer; its one input must take the feature matrix."""
    import onnx

    inputs = _inputs(graph)
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise PackageError(f"an estimator must have one float32 input [n, F], found {[i.name for i in inputs]}")
    wanted, given = _shape(inputs[0]), _shape(features.output[0])
    if len(wanted) == 2 and len(given) == 2 and None not in (wanted[1], given[1]) and wanted[1] != given[1]:
        raise PackageError(
            f"the estimator takes {wanted[1]} features and the features' graph makes {given[1]}: "
            "train on what that graph makes"
        )
    name = "probabilities" if contract.target.task == "classification" else "value"
    for value in graph.output:
        if value.name == name:
            return value
    raise PackageError(f"an estimator must have an output {name!r}, found {[o.name for o in graph.output]}")


def _post_process(
    graph: onnx.GraphProto, source: str, shape: list[int | None], contract: Contract, prefix: str
) -> None:
    """Append the nodes and outputs from the estimator's answer to what `answer.outputs` promises."""
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, array: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), prefix + name))
        return prefix + name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output], name=prefix + output, **attributes))
        return output

    target = contract.target
    promised = {o.role: o for o in answer.outputs(contract)}
    if target.task == "regression":
        if len(shape) != 1:
            source = node("Reshape", [source, constant("flat", np.array([-1], np.int64))], prefix + "flat_value")
        node("Cast", [source], promised["value"].name, to=TensorProto.DOUBLE)
        kinds = {"value": TensorProto.DOUBLE}
    else:
        classes = target.classes or ()
        if len(shape) == 2 and shape[1] not in (None, len(classes)):
            raise PackageError(f"the estimator must give {len(classes)} probabilities, one a class, found {shape[1]}")
        best = node("ArgMax", [source], prefix + "best", axis=1, keepdims=0)
        labels = constant("classes", np.array(classes, dtype=_CLASS_DTYPE[target.dtype]))
        node("Gather", [labels, best], promised["label"].name)
        node("Cast", [source], promised["probabilities"].name, to=TensorProto.FLOAT)
        if "probability" in promised:
            second = constant("positive", np.array(1, np.int64))
            node("Gather", [promised["probabilities"].name, second], promised["probability"].name, axis=1)
        label = {"string": TensorProto.STRING, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}[target.dtype]
        kinds = {"label": label, "probabilities": TensorProto.FLOAT, "probability": TensorProto.FLOAT}
    for role, output in promised.items():
        dims: list[str | int | None] = ["n"] if output.columns is None else ["n", output.columns]
        graph.output.append(helper.make_tensor_value_info(output.name, kinds[role], dims))


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    initialized = {i.name for i in graph.initializer}  # old exporters list weights among the inputs
    return [i for i in graph.input if i.name not in initialized]


def _shape(value: onnx.ValueInfoProto) -> list[int | None]:
    return [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]


def _free_prefix(contract: Contract, prefix: str) -> str:
    while any(name.startswith(prefix) for name in contract.names):
        prefix = "_" + prefix
    return prefix


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """All nodes, those in subgraphs too."""
    found, stack = [], [graph]
    while stack:
        for node in stack.pop().node:
            found.append(node)
            for attribute in node.attribute:
                stack.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)
    return found


def _rename(graph: onnx.GraphProto, new: Callable[[str], str]) -> None:
    """Rename every tensor and node of a graph and of its subgraphs; the empty name means `left out` and stays."""
    stack = [graph]
    while stack:
        part = stack.pop()
        for value in [*part.input, *part.output, *part.initializer]:
            value.name = new(value.name)
        for sparse in part.sparse_initializer:
            sparse.values.name = new(sparse.values.name)
        del part.value_info[:]  # shapes of what is inside are inferred again
        for node in part.node:
            if node.name:
                node.name = new(node.name)
            node.input[:] = [n and new(n) for n in node.input]
            node.output[:] = [n and new(n) for n in node.output]
            for attribute in node.attribute:
                stack.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)


def _prune(graph: onnx.GraphProto) -> None:
    """Drop nodes and initializers that no output needs, such as the estimator's own label."""
    needed = {o.name for o in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        kept.append(node)
        needed.update(node.input)
        for inner in _nodes_of(node):
            needed.update(inner.input)
    kept.reverse()
    initializers = [i for i in graph.initializer if i.name in needed]
    sparse = [i for i in graph.sparse_initializer if i.values.name in needed]
    for field, values in (("node", kept), ("initializer", initializers), ("sparse_initializer", sparse)):
        copies = [type(v).FromString(v.SerializeToString()) for v in values]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)


def _nodes_of(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [
        inner
        for attribute in node.attribute
        for sub in ([attribute.g] if attribute.HasField("g") else attribute.graphs)
        for inner in _nodes(sub)
    ]
