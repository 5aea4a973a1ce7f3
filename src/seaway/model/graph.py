"""The walk over an ONNX graph before anything loads it.

In: a file or a parsed model. Out: nothing, or a `PackageError` that names the node, the operator and what to do. The
walk sees subgraphs and functions too. onnxruntime has no list of allowed operators, reads external data through hard
links and takes a 68-byte graph that asks for gigabytes at its word; what only the run can tell (a product of two large
inputs) is bounded by the memory limit in `session`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seaway.errors import PackageError
from seaway.model import sizes

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 2**31 - 1
"""Of a model file: what one protobuf message holds."""
MAX_NODES = 200_000
"""Of a graph with its functions expanded at every call."""
MAX_IR = 13
"""The newest IR version that onnxruntime 1.31 accepts."""

DOMAINS: dict[str, tuple[int, int]] = {
    "": (7, 26),  # standard operators: oldest that converters still write, newest that onnxruntime accepts
    "ai.onnx.ml": (1, 5),  # label encoders, tree ensembles
    "com.microsoft": (1, 1),  # onnxruntime's own: one operator at a time, see EXTENSIONS
}
"""Domains a graph may use, with the least and the greatest opset."""

EXTENSIONS = frozenset({"MurmurHash3"})
"""Operators of com.microsoft that a graph may use."""

REFUSED: dict[str, str] = {
    "Loop": "it can run for ever; unroll it, or export with Scan, whose length is that of its input",
    "RandomNormal": "an answer must not depend on chance; export the model in evaluation mode",
    "RandomNormalLike": "an answer must not depend on chance; export the model in evaluation mode",
    "RandomUniform": "an answer must not depend on chance; export the model in evaluation mode",
    "RandomUniformLike": "an answer must not depend on chance; export the model in evaluation mode",
    "Bernoulli": "an answer must not depend on chance; export the model in evaluation mode",
    "Multinomial": "an answer must not depend on chance; export the model in evaluation mode",
    "StringNormalizer": "it fails wherever the locale en_US.UTF-8 is missing; normalise the text before `ingest`",
}
"""Standard operators that no package may hold, with the reason and what to do."""

_METADATA = frozenset({"ort_config"})


def check_file(path: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Refuse a model file that may not be loaded.

    Raises:
        PackageError: it is a link, too large, not ONNX, or `check` refuses it.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        raise PackageError(f"{path}: must be a file and no symbolic link: {e.strerror}") from None
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise PackageError(f"{path}: must be a file, found a folder or device")
        if info.st_nlink != 1:
            raise PackageError(f"{path}: must be a file with one name, found {info.st_nlink} hard links: copy it")
        if info.st_size > max_bytes:
            raise PackageError(f"{path}: must have at most {max_bytes:,} bytes, found {info.st_size:,}")
        with open(descriptor, "rb", closefd=False) as f:
            content = f.read()
    finally:
        os.close(descriptor)
    try:
        model = onnx.load_from_string(content)
    except DecodeError:
        raise PackageError(f"{path}: must be an ONNX model, found {len(content):,} bytes that are none") from None
    try:
        check(model)
    except PackageError as e:
        raise PackageError(f"{path}: {e}") from None


def check(model: onnx.ModelProto) -> None:
    """Refuse a model that onnxruntime should not be given.

    Raises:
        PackageError: a domain, operator, version, reference to another file or size that is not allowed.
    """
    _check_head(model)
    functions = {(_domain(f.domain), f.name): f for f in model.functions}
    calls: dict[tuple[str, str], _Body] = {}
    for key, function in functions.items():
        for domain in function.opset_import:
            _check_opset(domain)
        calls[key] = _check_body(f"function {function.name}", function, functions)
    body = _check_body("the graph", model.graph, functions)
    total = _expanded(body, calls, {})
    if total > MAX_NODES:
        raise PackageError(f"a graph must have at most {MAX_NODES:,} nodes with functions expanded, found {total:,}")


def _check_head(model: onnx.ModelProto) -> None:
    if not 3 <= model.ir_version <= MAX_IR:
        raise PackageError(f"the IR version must be 3 to {MAX_IR}, found {model.ir_version}: export with a lower one")
    if not model.HasField("graph") or not model.graph.output:
        raise PackageError("a model must hold a graph with outputs, found none")
    if model.training_info:
        raise PackageError("a model must hold no training graph: export it for inference")
    if found := _METADATA & {p.key for p in model.metadata_props}:
        raise PackageError(f"metadata must not configure onnxruntime, found {sorted(found)}: remove it")
    for domain in model.opset_import:
        _check_opset(domain)


def _check_opset(entry: onnx.OperatorSetIdProto) -> None:
    domain = _domain(entry.domain)
    if domain in DOMAINS:
        least, most = DOMAINS[domain]
        if not least <= entry.version <= most:
            raise PackageError(
                f"the opset of {domain or 'ai.onnx'} must be {least} to {most}, found {entry.version}: "
                "export with one of those"
            )
    # a domain that is imported and never used does no harm: converters leave some behind


class _Body:
    """Nodes of one graph or function, and how often it calls each function."""

    def __init__(self) -> None:
        self.nodes = 0
        self.calls: dict[tuple[str, str], int] = {}


def _check_body(where: str, root: Any, functions: dict[tuple[str, str], Any]) -> _Body:
    """Check every node of a graph or function body and of the subgraphs in it."""
    body = _Body()
    scope = sizes.Scope({i.name for i in root.input} if where == "the graph" else set())
    expanding: list[tuple[str, Any]] = []
    stack = [(where, root)]
    while stack:
        place, graph = stack.pop()
        for tensor in getattr(graph, "initializer", ()):
            _check_tensor(tensor, f"{place}, initializer {tensor.name!r}")
            scope.constant(tensor.name, tensor)
        for sparse in getattr(graph, "sparse_initializer", ()):
            _check_sparse(sparse, f"{place}, initializer {sparse.values.name!r}")
        for attribute in getattr(graph, "attribute_proto", ()):
            _check_attribute(attribute, f"{place}, attribute {attribute.name!r}")
        for index, node in enumerate(graph.node):
            at = f"{place}, node {node.name or index!r} ({node.op_type})"
            key = (_domain(node.domain), node.op_type)
            body.nodes += 1
            if body.nodes > MAX_NODES:
                raise PackageError(f"{where} must have at most {MAX_NODES:,} nodes, found more")
            if key in functions:
                body.calls[key] = body.calls.get(key, 0) + 1
            else:
                _check_operator(key, at)
            scope.node(node)
            if node.op_type in sizes.OPERANDS:
                expanding.append((at, node))
            for attribute in node.attribute:
                stack.extend((f"{at}, {attribute.name}", g) for g in _check_attribute(attribute, at))
    for at, node in expanding:
        scope.check(node, at)
    return body


def _check_operator(key: tuple[str, str], at: str) -> None:
    domain, operator = key
    if domain not in DOMAINS:
        raise PackageError(
            f"{at}: the domain must be among {[d or 'ai.onnx' for d in DOMAINS]}, found {domain!r}: "
            "export with standard operators"
        )
    if domain == "com.microsoft" and operator not in EXTENSIONS:
        raise PackageError(
            f"{at}: of com.microsoft only {sorted(EXTENSIONS)} may be used: export with standard operators"
        )
    if domain == "" and operator in REFUSED:
        raise PackageError(f"{at}: the operator is refused: {REFUSED[operator]}")


def _check_attribute(attribute: onnx.AttributeProto, at: str) -> Iterator[onnx.GraphProto]:
    """Check the tensors of an attribute, whatever type it claims; the subgraphs in it."""
    graphs: list[onnx.GraphProto] = []
    for field, value in attribute.ListFields():
        match field.name:
            case "t":
                _check_tensor(value, at)
            case "tensors":
                for tensor in value:
                    _check_tensor(tensor, at)
            case "sparse_tensor":
                _check_sparse(value, at)
            case "sparse_tensors":
                for sparse in value:
                    _check_sparse(sparse, at)
            case "g":
                graphs.append(value)
            case "graphs":
                graphs.extend(value)
    return iter(graphs)


def _check_tensor(tensor: onnx.TensorProto, at: str) -> None:
    if tensor.data_location or tensor.external_data:
        found = {e.key: e.value for e in tensor.external_data}.get("location", "")
        raise PackageError(f"{at}: all data must be in the file, found a reference to {found!r}: save it as one file")


def _check_sparse(sparse: onnx.SparseTensorProto, at: str) -> None:
    _check_tensor(sparse.values, at)
    _check_tensor(sparse.indices, at)
    elements = sizes.product(sparse.dims)
    if elements > sizes.MAX_ELEMENTS:
        raise PackageError(
            f"{at}: a sparse tensor must have at most {sizes.MAX_ELEMENTS:,} elements, found {elements:,}"
        )


def _expanded(body: _Body, calls: dict[tuple[str, str], _Body], known: dict[tuple[str, str], int]) -> int:
    """Nodes with every function call expanded; refuses functions that call themselves."""
    total = body.nodes
    for key, times in body.calls.items():
        if key not in known:
            known[key] = MAX_NODES * MAX_NODES  # what a function that reaches itself counts
            known[key] = _expanded(calls[key], calls, known)
        total += times * known[key]
    return total


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
