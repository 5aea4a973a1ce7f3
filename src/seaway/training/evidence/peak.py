"""How many floating point operations a second a rank could do at most, which its model's are held against.

In: a GPU's name and the precision of the training, or this process's cores. Out: operations a second, and in words
whose they are.
"""

from __future__ import annotations

import math
import time

import numpy as np

# Dense products without sparsity, 10^12 operations a second: (16 bits; fp32). The first row all of whose words are in
# the device's name wins. Sources: NVIDIA's data sheets "H100 Tensor Core GPU", "H200 Tensor Core GPU",
# "A100 Tensor Core GPU", "L4 Tensor Core GPU", "T4 Tensor Core GPU", "V100 Tensor Core GPU"; where a sheet gives a
# figure with sparsity, half of it.
_CHIPS: tuple[tuple[tuple[str, ...], float, float], ...] = (
    (("H200", "NVL"), 835.5, 60.0),
    (("H200",), 989.5, 67.0),
    (("H100", "NVL"), 835.5, 60.0),
    (("H100", "PCIE"), 756.5, 51.0),
    (("H100",), 989.5, 67.0),
    (("A100",), 312.0, 19.5),
    (("L4",), 121.0, 30.3),
    (("T4",), 65.0, 8.1),
    (("V100S",), 130.0, 16.4),
    (("V100", "PCIE"), 112.0, 14.0),
    (("V100",), 125.0, 15.7),
)
_NO_BFLOAT16 = frozenset({"T4", "V100", "V100S"})
"""Chips whose 16 bits are fp16 alone."""
_SIDE = 512
"""Of the matrices: 3 MiB in all, large enough to compute rather than to call, small enough for a core's cache."""
_SPENT_S = 0.1
"""CPU time for the measurement."""


def of_chip(name: str, precision: str) -> tuple[float, str] | None:
    """Peak of a GPU in operations a second, and in words; None for chips that are not in the table.

    Args:
        name: as the driver gives it, for instance ``NVIDIA H100 80GB HBM3``.
        precision: of the products: ``float32``, ``bfloat16``, ``float16``; ``auto`` is bfloat16 where there is such.
    """
    words = name.upper().replace("-", " ").split()
    for wanted, low, full in _CHIPS:
        if all(w in words for w in wanted):
            half = precision in ("bfloat16", "float16") or (precision == "auto" and wanted[0] not in _NO_BFLOAT16)
            shown = f"{wanted[0]}'s {'16-bit' if half else 'fp32'} peak of {low if half else full:g} TFLOP/s"
            return (low if half else full) * 1e12, f"the {shown} (data sheet)"
    return None


def of_cores(count: int) -> tuple[float, str]:
    """Peak of ``count`` cores: that of one, by a product of float32 matrices in NumPy, times their number.

    In CPU time, not on the clock: who else works on the machine takes nothing from it. Takes about 0.1 s.
    """
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    out = np.empty_like(matrix)
    np.matmul(matrix, matrix, out=out)  # the first one makes threads
    best, spent, began = math.inf, 0.0, time.perf_counter()
    while spent < _SPENT_S and time.perf_counter() - began < 2 * _SPENT_S:
        at = time.process_time()
        np.matmul(matrix, matrix, out=out)
        took = time.process_time() - at
        spent += took
        best = min(best, took)
    rate = 2 * _SIDE**3 / best if 0 < best < math.inf else 0.0
    return rate * count, of_cores_in_words(count, rate * count)


def of_cores_in_words(count: int, rate: float) -> str:
    """Whose peak ``rate`` operations a second are."""
    return f"a measured matrix product on {count} core{'s' if count > 1 else ''} (fp32, {rate / 1e9:.3g} GFLOP/s)"
