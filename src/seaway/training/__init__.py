"""Training of models: workers of the frameworks, and what users' own scripts need: `context`, `init_distributed`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seaway.training.own.dense import dense_graph
    from seaway.training.own.distributed import init_distributed
    from seaway.training.own.script import Context, context

__all__ = ["Context", "context", "dense_graph", "init_distributed"]

_MODULES = {
    "Context": "own.script",
    "context": "own.script",
    "dense_graph": "own.dense",
    "init_distributed": "own.distributed",
}


def __getattr__(name: str) -> Any:
    """The functions for users' own scripts, imported when they are asked for."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
