"""MurmurHash3 of strings, as ONNX Runtime's own operator computes it.

Standard ONNX has no hash of a string. ``com.microsoft.MurmurHash3`` is in every build of ONNX Runtime (and so in
Triton); a check of operators has to allow what `ALLOWED_EXTRA_OPS` names. `murmurhash3` is the reference.
"""

from __future__ import annotations

DOMAIN = "com.microsoft"
ALLOWED_EXTRA_OPS = frozenset({(DOMAIN, "MurmurHash3")})
"""(domain, operator) beyond ``""`` and ``ai.onnx.ml`` that a feature graph may hold."""

_MASK = 0xFFFFFFFF


def _rotate(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (32 - bits))) & _MASK


def _mix(k: int) -> int:
    return _rotate((k * 0xCC9E2D51) & _MASK, 15) * 0x1B873593 & _MASK


def murmurhash3(text: str, seed: int = 0) -> int:
    """MurmurHash3_x86_32 of the UTF-8 bytes, unsigned (Appleby, SMHasher, public domain)."""
    data = text.encode("utf-8")
    h = seed & _MASK
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        h ^= _mix(int.from_bytes(data[i : i + 4], "little"))
        h = (_rotate(h, 13) * 5 + 0xE6546B64) & _MASK
    if tail := data[whole:]:
        h ^= _mix(int.from_bytes(tail, "little"))
    h ^= len(data)
    h = (h ^ (h >> 16)) * 0x85EBCA6B & _MASK
    h = (h ^ (h >> 13)) * 0xC2B2AE35 & _MASK
    return h ^ (h >> 16)


def bucket(text: str, buckets: int, seed: int = 0) -> int:
    """Which of ``buckets`` a string falls into, from 0."""
    return murmurhash3(text, seed) % buckets
