"""What a worker's libraries are called where they are missing: an image or a laptop without them says what to do."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from seaway.training.spec import EXIT_INPUT


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Within the block a library that is not there ends the process with one line and the exit code of bad input.

    Args:
        extra: of Seaway, which brings the worker's libraries.

    Raises:
        SystemExit: a library cannot be imported.
    """
    try:
        yield
    except ImportError as e:
        if (e.name or "").startswith("seaway"):
            raise
        sys.stdout.flush()
        sys.stderr.write(
            f"error: this worker must have the libraries of the extra {extra!r}, found {type(e).__name__}: {e}: use an "
            f"image that holds them, on a laptop `pip install 'seaway[{extra}]'`\n"
        )
        sys.stderr.flush()
        raise SystemExit(EXIT_INPUT) from None


def installed(*names: str) -> str:
    """Of the names that a library is distributed under, the one that is installed here; the first where none is."""
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return name
    return names[0]
