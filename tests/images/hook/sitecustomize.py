"""Put on PYTHONPATH, this makes a process import as if only some distributions were installed.

SEAWAY_TEST_BLOCKED names a JSON object with modules that no finder may find, and distributions that are not installed.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any


class _Without:
    """A finder that finds all but some modules and distributions."""

    def __init__(self, finder: Any, blocked: frozenset[str], distributions: frozenset[str]) -> None:
        self._finder, self._blocked, self._distributions = finder, blocked, distributions

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        parts = name.split(".")
        if not self._blocked.isdisjoint({parts[0], ".".join(parts[:2])}):
            return None
        return self._finder.find_spec(name, path, target)

    def find_distributions(self, *args: Any, **kwargs: Any) -> Any:
        for found in getattr(self._finder, "find_distributions", lambda *args, **kwargs: ())(*args, **kwargs):
            if re.sub(r"[-_.]+", "-", found.metadata["Name"] or "").lower() not in self._distributions:
                yield found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


if file := os.environ.get("SEAWAY_TEST_BLOCKED"):
    _read = json.loads(Path(file).read_text())
    _told = frozenset(_read["modules"]), frozenset(_read["distributions"])
    sys.meta_path[:] = [_Without(finder, *_told) for finder in sys.meta_path]  # type: ignore[misc]
