"""What this process uses of the machine: memory, threads, GPUs.

In: nothing but the process. Out: numbers, None where there is nothing to ask. No library is loaded for it that the
training has not loaded itself, but NVIDIA's management library where a GPU is in use.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
from pathlib import Path
from typing import Any

from seaway.training.cores import cores

_STATUS = Path("/proc/self/status")


def rss_mb() -> float:
    """MiB of memory that this process holds now; what it held at its largest where the system tells no more."""
    return _status("VmRSS:")


def peak_rss_mb() -> float:
    """MiB of memory that this process held at its largest.

    Not ru_maxrss where there is another way: that begins with what the process held before it became this program.
    """
    return _status("VmHWM:")


def _status(wanted: str) -> float:
    try:
        lines = _STATUS.read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(wanted)) / 1024
    except (OSError, StopIteration, ValueError):
        unit = 1024**2 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def threads() -> int:
    """With which the framework computes, as far as it says."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    return cores()


class Gpu:
    """The GPU of this rank; of several ranks on one machine each has the one of its local rank."""

    def __init__(self) -> None:
        self._seen: list[float] = []
        self._torch = _torch_cuda()
        self._device = None if self._torch is not None else _jax_gpu()
        self._nvml: Any = None
        self._handle: Any = None
        if self.there:
            self._open()

    @property
    def there(self) -> bool:
        """Whether the framework that trains computes on one."""
        return self._torch is not None or self._device is not None

    @property
    def name(self) -> str:
        """As its maker calls it; empty where there is none."""
        if self._torch is not None:
            return str(self._torch.get_device_name())
        return str(getattr(self._device, "device_kind", "")) if self._device is not None else ""

    def _open(self) -> None:
        try:
            pynvml = importlib.import_module("pynvml")  # of nvidia-ml-py, which torch's images have
            pynvml.nvmlInit()
            visible = [v for v in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if v]
            local = int(os.environ.get("LOCAL_RANK", "0"))
            wanted = visible[local] if local < len(visible) else str(local)
            by = pynvml.nvmlDeviceGetHandleByIndex if wanted.isdecimal() else pynvml.nvmlDeviceGetHandleByUUID
            self._handle = by(int(wanted) if wanted.isdecimal() else wanted.encode())
            self._nvml = pynvml
        except Exception:  # no such library, driver or permission: then its use is not known
            self._nvml = None

    def wait(self) -> None:
        """Until what was asked of it is done: its work is no part of the asking thread's time otherwise."""
        if self._torch is not None:
            self._torch.synchronize()

    def sample(self) -> None:
        """Note how busy it was in the last part of a second."""
        if self._nvml is not None:
            try:
                self._seen.append(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu / 100)
            except Exception:  # a slice of a GPU (MIG) does not tell
                self._nvml = None

    def utilization(self) -> float | None:
        """Mean of the samples, 0 to 1."""
        return sum(self._seen) / len(self._seen) if self._seen else None

    def peak_mb(self) -> float | None:
        """MiB that tensors held at its largest."""
        if self._torch is not None:
            return float(self._torch.max_memory_allocated()) / 1024**2
        stats = self._device.memory_stats() if self._device is not None else None
        return float(stats["peak_bytes_in_use"]) / 1024**2 if stats and "peak_bytes_in_use" in stats else None


def _torch_cuda() -> Any:
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


def _jax_gpu() -> Any:
    jax = sys.modules.get("jax")
    if jax is None or "seaway.training.jax.learner" not in sys.modules:  # to ask would start JAX in another's process
        return None
    try:
        found = jax.local_devices()[0]
    except RuntimeError:  # no backend
        return None
    return found if found.platform == "gpu" else None
