"""Sessions answer in bounded memory and refuse in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from seaway.errors import InputError, PackageError
from seaway.model.session import MEMORY_ENV, memory_limit_mib, open_session


def outer_sum(side: int) -> onnx.ModelProto:
    """A graph whose middle has side * side elements: no walk sees that."""
    column = numpy_helper.from_array(np.zeros((side, 1), np.float32), "w")
    nodes = [
        helper.make_node("Transpose", ["w"], ["v"]),
        helper.make_node("Add", ["w", "x"], ["a"]),
        helper.make_node("Add", ["a", "v"], ["b"]),
        helper.make_node("ReduceMax", ["b"], ["y"], keepdims=0),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "outer",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
            [column],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )


def test_a_graph_over_the_memory_limit_fails_and_the_process_goes_on(tmp_path: Path) -> None:
    (tmp_path / "large.onnx").write_bytes(outer_sum(20_000).SerializeToString())
    (tmp_path / "small.onnx").write_bytes(outer_sum(10).SerializeToString())
    script = """
import sys
import numpy as np
from pathlib import Path
from seaway.model.session import open_session
large, small = (open_session(Path(p).read_bytes()) for p in sys.argv[1:])
x = np.ones(1, np.float32)
try:
    large.run(None, {"x": x})
except Exception as e:
    assert "memory" in str(e), e
else:
    raise SystemExit("1.6 GB were made in 256 MiB")
assert small.run(None, {"x": x})[0] == 1
peak = next(x for x in open("/proc/self/status") if x.startswith("VmHWM"))  # ru_maxrss counts the parent's too
assert int(peak.split()[1]) < 600_000, peak
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "large.onnx"), str(tmp_path / "small.onnx")],
        env=os.environ | {MEMORY_ENV: "256"},
        check=True,
    )


def test_the_memory_limit_is_a_number_of_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MEMORY_ENV, raising=False)
    assert memory_limit_mib() >= 64
    monkeypatch.setenv(MEMORY_ENV, "300")
    assert memory_limit_mib() == 300
    monkeypatch.setenv(MEMORY_ENV, "2GB")
    with pytest.raises(InputError, match="number of MiB, found '2GB'"):
        memory_limit_mib()


def test_what_onnxruntime_refuses_is_a_package_error() -> None:
    broken = outer_sum(3)
    broken.graph.node[0].input[0] = "nowhere"
    with pytest.raises(PackageError, match=r"must be able to load the graph: .*nowhere"):
        open_session(broken.SerializeToString())
    with pytest.raises(InputError, match="at least one thread"):
        open_session(outer_sum(3).SerializeToString(), threads=0)


def test_threads_do_not_change_the_answer() -> None:
    x = np.ones(1, np.float32)
    answers = [open_session(outer_sum(50).SerializeToString(), threads=n).run(None, {"x": x})[0] for n in (1, 2)]
    assert answers[0] == answers[1] == 1


def test_nothing_about_a_session_is_kept_or_sent(tmp_path: Path) -> None:
    """onnxruntime's telemetry keeps a database in the user's cache as soon as there is a session."""
    (tmp_path / "model.onnx").write_bytes(outer_sum(2).SerializeToString())
    code = "from seaway.model.session import open_session; open_session(open('model.onnx', 'rb').read())"
    env = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, check=True, timeout=120)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["model.onnx"]
