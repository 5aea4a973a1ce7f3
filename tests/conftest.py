"""Shared by all tests: markers that say what a test needs."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings

# a shared machine may stop for a second; in CI the examples are the same each time, elsewhere they are new ones
settings.register_profile("seaway", deadline=None, derandomize=bool(os.environ.get("SEAWAY_NO_SKIP")))
settings.load_profile("seaway")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, in words, what needs a program that is not installed; where SEAWAY_NO_SKIP is set, fail instead."""
    for item in items:
        for marker in item.iter_markers():
            program = marker.name.removeprefix("needs_")
            if marker.name.startswith("needs_") and shutil.which(program) is None:
                if os.environ.get("SEAWAY_NO_SKIP"):
                    raise pytest.UsageError(f"{item.nodeid} needs the program {program}, which must be installed here")
                item.add_marker(pytest.mark.skip(reason=f"needs the program {program}, which is not installed"))
