"""A small program of a training pod: logs, SIGTERM, and exit codes that tell whether a retry can help."""

from __future__ import annotations

import sys
from collections.abc import Callable

from seaway.errors import SeawayError
from seaway.observe import logs
from seaway.training import signals
from seaway.training.worker import EXIT_CODES


def checked(work: Callable[[], object]) -> int:
    """Do the work; the exit code, see `worker.EXIT_CODES`. Where it is not 0, the last line is ``error: ...``."""
    signals.leave_on_sigterm()
    logs.setup(step="train", component="train")
    try:
        work()
    except SeawayError as e:
        sys.stdout.flush()
        sys.stderr.write(f"error: {e}\n")
        return next(code for kind, code in EXIT_CODES if isinstance(e, kind))
    return 0
