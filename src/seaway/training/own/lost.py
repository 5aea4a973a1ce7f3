"""Whether an error of a framework means that another rank went away; no framework is imported to tell.

Source of the words: gloo's transport/tcp/pair.cc, torch's ProcessGroupNCCL, the coordination service of XLA, and
TensorFlow's collectives.
"""

from __future__ import annotations

import re

_TORCH = re.compile(r"gloo|nccl|connection (?:closed|reset|refused)|broken pipe|store.*timed? ?out|watchdog", re.I)
_XLA = re.compile(r"gloo|coordination|heartbeat|barrier|unavailable|connection|deadline_exceeded|peer", re.I)
_TENSORFLOW = re.compile(r"collective|peer|worker|connect|socket|coordination|heartbeat|aborted", re.I)
_OF_TORCH = frozenset({"DistError", "DistBackendError", "DistNetworkError", "DistStoreError", "DistQueueEmptyError"})
_OF_XLA = frozenset({"XlaRuntimeError", "JaxRuntimeError"})
_OF_TENSORFLOW = frozenset({"UnavailableError", "AbortedError", "DeadlineExceededError", "CancelledError"})


def lost_peer(error: BaseException) -> str:
    """What broke, in a line; empty if the error says nothing of another rank."""
    seen: BaseException | None = error
    while seen is not None:
        if _means_a_peer(seen):
            lines = str(seen).splitlines()
            return re.sub(r"^\[\S+\] ", "", lines[0])[:200] if lines else type(seen).__name__
        seen = seen.__cause__
    return ""


def _means_a_peer(error: BaseException) -> bool:
    kinds, text = {kind.__name__ for kind in type(error).__mro__}, str(error)
    if kinds & _OF_TORCH:
        return True
    if kinds & _OF_XLA:
        return bool(_XLA.search(text))
    if kinds & _OF_TENSORFLOW and any(kind.__module__.startswith("tensorflow") for kind in type(error).__mro__):
        return bool(_TENSORFLOW.search(text))
    return type(error) is RuntimeError and bool(_TORCH.search(text))
