"""Put on PYTHONPATH, this makes a process import as if only some distributions were installed.

SEAWAY_TEST_BLOCKED names a JSON list of modules that no finder may find.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


class _Without:
    """A finder that finds all but some modules."""

    def __init__(self, finder: Any, blocked: frozenset[str]) -> None:
        self._finder, self._blocked = finder, blocked

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        parts = name.split(".")
        if not self._blocked.isdisjoint({parts[0], ".".join(parts[:2])}):
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


if file := os.environ.get("SEAWAY_TEST_BLOCKED"):
    _blocked = frozenset(json.loads(Path(file).read_text()))
    sys.meta_path[:] = [_Without(finder, _blocked) for finder in sys.meta_path]  # type: ignore[misc]
