"""The walk over a graph refuses what may not be loaded and says why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from seaway.errors import PackageError
from seaway.model import graph, sizes
from tests.support.tiny_features import tiny_features

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model(
    *nodes: onnx.NodeProto,
    constants: dict[str, Any] | None = None,
    opset: int = 18,
    ir_version: int = 9,
    functions: tuple[onnx.FunctionProto, ...] = (),
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """A model from x float32 [n] to y."""
    return helper.make_model(
        helper.make_graph(
            list(nodes),
            "test",
            [helper.make_tensor_value_info("x", FLOAT, ["n"])],
            [helper.make_tensor_value_info("y", FLOAT, None)],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)],
        ir_version=ir_version,
        functions=list(functions),
    )


def identity() -> onnx.ModelProto:
    return model(helper.make_node("Identity", ["x"], ["y"]))


def external(tensor: onnx.TensorProto, location: str = "../../secret") -> onnx.TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def in_branch(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """The nodes, which make ``y1``, inside both branches of an If."""
    branches = {
        name: helper.make_graph(list(nodes), name, [], [helper.make_tensor_value_info("y1", FLOAT, None)])
        for name in ("then_branch", "else_branch")
    }
    return model(helper.make_node("If", ["c"], ["y"], **branches), constants={"c": np.array(True)})


def in_function(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """The nodes, which make ``y1``, inside a function that the graph calls."""
    function = helper.make_function("local", "f", ["x1"], ["y1"], list(nodes), [helper.make_opsetid("", 18)])
    return model(helper.make_node("f", ["x"], ["y"], domain="local"), functions=(function,), domains=("local",))


def external_initializer(location: str) -> onnx.ModelProto:
    made = model(helper.make_node("Add", ["x", "w"], ["y"]), constants={"w": np.ones(2, np.float32)})
    external(made.graph.initializer[0], location)
    return made


def external_attribute() -> onnx.ModelProto:
    value = external(numpy_helper.from_array(np.ones(2, np.float32)))
    return model(helper.make_node("Constant", [], ["y"], value=value))


def mislabelled_attribute() -> onnx.ModelProto:
    made = external_attribute()
    made.graph.node[0].attribute[0].type = onnx.AttributeProto.FLOAT
    return made


def external_sparse() -> onnx.ModelProto:
    made = identity()
    sparse = made.graph.sparse_initializer.add(dims=[4])
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([1])))
    sparse.values.CopyFrom(external(numpy_helper.from_array(np.ones(1, np.float32))))
    return made


def wide_sparse() -> onnx.ModelProto:
    made = identity()
    sparse = made.graph.sparse_initializer.add(dims=[10**6, 10**6])
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([1])))
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "s"))
    return made


def calls_itself() -> onnx.ModelProto:
    return in_function(helper.make_node("f", ["x1"], ["y1"], domain="local"))


def doubling(levels: int) -> onnx.ModelProto:
    """Functions of which each calls the one below twice."""
    functions = []
    for level in range(levels):
        inner = (
            [helper.make_node("Neg", ["a"], ["b"])]
            if level == 0
            else [
                helper.make_node(f"f{level - 1}", ["a"], ["m"], domain="local"),
                helper.make_node(f"f{level - 1}", ["m"], ["b"], domain="local"),
            ]
        )
        imports = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
        functions.append(helper.make_function("local", f"f{level}", ["a"], ["b"], inner, imports))
    top = helper.make_node(f"f{levels - 1}", ["x"], ["y"], domain="local")
    return model(top, functions=tuple(functions), domains=("local",))


def configured() -> onnx.ModelProto:
    made = identity()
    helper.set_model_props(made, {"ort_config": '{"session_options": {}}'})
    return made


def trained() -> onnx.ModelProto:
    made = identity()
    made.training_info.add()
    return made


HUGE = np.array([2**20, 2**20], np.int64)
huge_constant = helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(HUGE))

ATTACKS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "external data outside the folder": (
        lambda: external_initializer("../../etc/passwd"),
        "initializer 'w'.*in the file",
    ),
    "external data inside the folder": (lambda: external_initializer("weights.bin"), "in the file"),
    "a memory address as data": (lambda: external_initializer("*/_ORT_MEM_ADDR_/*"), "in the file"),
    "external data of an attribute": (external_attribute, "in the file"),
    "external data of an attribute that says it is a float": (mislabelled_attribute, "in the file"),
    "external data of a sparse tensor": (external_sparse, "in the file"),
    "external data in a subgraph": (lambda: in_branch(*external_attribute().graph.node), "then_branch|else_branch"),
    "a sparse tensor of a trillion elements": (wide_sparse, "sparse tensor"),
    "an unknown domain": (lambda: model(helper.make_node("Run", ["x"], ["y"], domain="my.ops")), "found 'my.ops'"),
    "an operator of com.microsoft": (
        lambda: model(helper.make_node("Tokenizer", ["x"], ["y"], domain="com.microsoft")),
        "MurmurHash3",
    ),
    "a custom operator in a subgraph": (
        lambda: in_branch(helper.make_node("Run", ["x"], ["y1"], domain="my.ops", name="deep")),
        "deep.*my.ops",
    ),
    "a custom operator in a function": (
        lambda: in_function(helper.make_node("Run", ["x1"], ["y1"], domain="my.ops")),
        "function f.*my.ops",
    ),
    "a loop": (lambda: model(helper.make_node("Loop", ["", "", "x"], ["y"], body=onnx.GraphProto())), "for ever"),
    "chance": (lambda: model(helper.make_node("RandomNormalLike", ["x"], ["y"])), "chance"),
    "an opset that onnxruntime refuses": (
        lambda: model(helper.make_node("Identity", ["x"], ["y"]), opset=27),
        "opset of ai.onnx must be 7 to 26, found 27",
    ),
    "an IR that onnxruntime refuses": (
        lambda: model(helper.make_node("Identity", ["x"], ["y"]), ir_version=14),
        "IR version must be 3 to 13, found 14",
    ),
    "a memory bomb": (
        lambda: model(helper.make_node("ConstantOfShape", ["s"], ["y"]), constants={"s": HUGE}),
        "ConstantOfShape.*1,099,511,627,776",
    ),
    "a memory bomb from a constant node": (
        lambda: model(huge_constant, helper.make_node("Expand", ["x", "s"], ["y"])),
        "1,099,511,627,776",
    ),
    "a memory bomb in a subgraph": (
        lambda: in_branch(huge_constant, helper.make_node("ConstantOfShape", ["s"], ["y1"])),
        "ConstantOfShape",
    ),
    "a memory bomb in a function": (
        lambda: in_function(huge_constant, helper.make_node("ConstantOfShape", ["s"], ["y1"])),
        "function f",
    ),
    "a memory bomb by multiplication": (
        lambda: model(
            helper.make_node("Mul", ["a", "a"], ["s"]),
            helper.make_node("Tile", ["x", "s"], ["y"]),
            constants={"a": np.array([2**15], np.int64)},
        ),
        "Tile",
    ),
    "a size that comes from a row's values": (
        lambda: model(
            helper.make_node("Cast", ["x"], ["s"], to=INT64), helper.make_node("ConstantOfShape", ["s"], ["y"])
        ),
        "values of the input 'x'",
    ),
    "a function that calls itself": (calls_itself, "functions expanded"),
    "functions that double": (lambda: doubling(30), "functions expanded"),
    "a configuration of onnxruntime": (configured, "ort_config"),
    "a training graph": (trained, "inference"),
    "no graph": (lambda: onnx.ModelProto(ir_version=9), "graph with outputs"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_with_its_reason(attack: str) -> None:
    make, reason = ATTACKS[attack]
    with pytest.raises(PackageError, match=reason):
        graph.check(make())


def test_a_usual_graph_passes() -> None:
    graph.check(tiny_features())
    graph.check(in_branch(helper.make_node("Neg", ["x"], ["y1"])))
    graph.check(in_function(helper.make_node("Neg", ["x1"], ["y1"])))
    graph.check(doubling(10))
    graph.check(model(helper.make_node("MurmurHash3", ["x"], ["y"], domain="com.microsoft")))


def test_a_shape_computed_from_other_shapes_passes() -> None:
    graph.check(
        model(
            helper.make_node("Shape", ["x"], ["n"]),
            helper.make_node("Concat", ["n", "k"], ["s"], axis=0),
            helper.make_node("ConstantOfShape", ["s"], ["y"]),
            constants={"k": np.array([100], np.int64)},
        )
    )


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_NODES", 3)
    chain = [helper.make_node("Neg", [f"t{i}" if i else "x"], [f"t{i + 1}"]) for i in range(4)]
    with pytest.raises(PackageError, match="at most 3 nodes"):
        graph.check(model(*chain, helper.make_node("Neg", ["t4"], ["y"])))


@given(st.lists(st.integers(-5, 2**40), min_size=1, max_size=4))
def test_a_constant_shape_passes_exactly_when_it_is_within_the_limit(shape: list[int]) -> None:
    made = model(helper.make_node("Expand", ["x", "s"], ["y"]), constants={"s": np.array(shape, np.int64)})
    within = sizes.product(shape) <= sizes.MAX_ELEMENTS
    try:
        graph.check(made)
    except PackageError:
        assert not within
    else:
        assert within


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(identity().SerializeToString())
    return path


def test_a_file_with_one_name_passes(file: Path) -> None:
    graph.check_file(file)


def test_a_hard_linked_file_is_refused(file: Path) -> None:
    os.link(file, file.with_name("other"))
    with pytest.raises(PackageError, match="2 hard links"):
        graph.check_file(file)


def test_a_symbolic_link_is_refused(file: Path) -> None:
    link = file.with_name("link.onnx")
    link.symlink_to(file)
    with pytest.raises(PackageError, match="no symbolic link"):
        graph.check_file(link)


def test_a_folder_or_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(PackageError):
            graph.check_file(path)


def test_a_file_over_the_limit_is_refused(file: Path) -> None:
    with pytest.raises(PackageError, match="at most 10 bytes"):
        graph.check_file(file, max_bytes=10)


def test_a_file_that_is_not_onnx_is_refused(file: Path) -> None:
    for content in (b"", b"PK\x03\x04 not a model", file.read_bytes()[:-3]):
        file.write_bytes(content)
        with pytest.raises(PackageError, match=r"model\.onnx: "):
            graph.check_file(file)
