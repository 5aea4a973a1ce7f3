"""A checked graph in onnxruntime, on the CPU.

In: the bytes of a graph that `graph.check` passed. Out: a session. All sessions of a process share one memory arena
with a limit, so that a graph that asks for more than it should fails by itself and takes no server with it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from seaway.errors import InputError, PackageError

if TYPE_CHECKING:
    import onnxruntime as ort

MEMORY_ENV = "SEAWAY_ONNX_MEMORY_MIB"
"""Names the limit of the arena in MiB; by default half of the memory that this process may use."""

_lock = threading.Lock()
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def open_session(graph: bytes, *, threads: int = 1) -> ort.InferenceSession:
    """A session over a graph.

    Args:
        graph: the model's bytes; check them first, this function does not.
        threads: that work inside one operator; 1 starts no thread at all.

    Raises:
        PackageError: onnxruntime refuses the graph.
    """
    # else onnxruntime 1.31 keeps a database of what it is used for in the user's cache, and sends it to its makers
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    if threads < 1:
        raise InputError(f"a session must have at least one thread, found {threads}")
    with _lock:
        _register_arena()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4  # what goes wrong is raised; a warning per refused request is noise
    # waiting threads leave the cores to others
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # onnxruntime's errors have no common base
        raise PackageError(f"onnxruntime {ort.__version__} must be able to load the graph: {e}") from e


def memory_limit_mib() -> int:
    """The arena's limit in MiB: what the environment says, else half of the container's or the machine's memory."""
    if text := os.environ.get(MEMORY_ENV):
        if not text.isdigit() or int(text) < 1:
            raise InputError(f"{MEMORY_ENV} must be a number of MiB, found {text!r}")
        return int(text)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or "max"
        total = min(total, int(_CGROUP.read_text()))
    return max(total // 2 >> 20, 64)


@functools.cache
def _register_arena() -> None:
    """Once a process: onnxruntime keeps the first arena."""
    import onnxruntime as ort

    info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(info, ort.OrtArenaCfg({"max_mem": memory_limit_mib() << 20}))
