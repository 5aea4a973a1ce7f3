"""Every error that Seaway raises on purpose.

SeawayError
├── InputError (ValueError)          what the user gave does not hold
│   ├── DataError                    a table that cannot be read or used
│   ├── ContractError                rows or requests that break the contract; carries the violations
│   ├── PlanError                    a feature plan that does not fit the contract
│   └── UnreachableError             a store that did not answer; trying again may help
├── PackageError (ValueError)        a model that cannot be packaged, verified or loaded
├── LaunchError (RuntimeError)       a Kubernetes object that could not be made to do its work
│   ├── JobFailedError               a job ended as failed; carries replica, exit code, last lines
│   └── DeadlineError (TimeoutError) it did not end in time
├── PeerLostError (RuntimeError)     another rank of the same training went away; all must start anew
├── SubmissionError (RuntimeError)   Kubeflow Pipelines could not be reached, or refused; carries its status
├── NotPromotedError                 the promotion gate said no; carries the reasons
└── LaptopError (RuntimeError)       `seaway up` cannot start or cannot be reached

A message says what must hold, what was found and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class SeawayError(Exception):
    """Base of all errors that Seaway raises on purpose."""


class InputError(SeawayError, ValueError):
    """What the user gave does not hold."""


class DataError(InputError):
    """A table that cannot be read or used."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One rule of the contract that a column broke."""

    column: str
    """Name of the raw column."""
    rule: str
    """What must hold, for instance ``one of 16 values`` or ``not null``."""
    found: str
    """The first offending value, as text."""
    rows: int = 1
    """How many rows break the rule."""
    row: int | None = None
    """Index of the first such row."""

    def __str__(self) -> str:
        where = f" at row {self.row}" if self.row is not None else ""
        more = f" ({self.rows:,} rows)" if self.rows > 1 else ""
        return f"column {self.column!r}: must be {self.rule}, found {self.found}{where}{more}"


class ContractError(InputError):
    """Rows or requests that break the contract."""

    def __init__(self, violations: Sequence[Violation], *, advice: str = "") -> None:
        self.violations = tuple(violations)
        shown = "; ".join(str(v) for v in self.violations[:10])
        left = len(self.violations) - 10
        super().__init__(shown + (f"; and {left} more" if left > 0 else "") + (f". {advice}" if advice else ""))


class PlanError(InputError):
    """A feature plan that does not fit the contract."""


class UnreachableError(InputError):
    """A store that did not answer; unlike other inputs that do not hold, trying again may help."""


class PackageError(SeawayError, ValueError):
    """A model that cannot be packaged, verified or loaded."""


class LaunchError(SeawayError, RuntimeError):
    """A Kubernetes object that could not be made to do its work."""


class JobFailedError(LaunchError):
    """A job ended as failed."""

    def __init__(self, message: str, *, replica: str = "", exit_code: int | None = None, tail: str = "") -> None:
        self.replica = replica
        self.exit_code = exit_code
        self.tail = tail
        super().__init__(message + (f"\nlast lines of {replica}:\n{tail}" if tail else ""))


class DeadlineError(LaunchError, TimeoutError):
    """Something did not end within its deadline."""


class PeerLostError(SeawayError, RuntimeError):
    """Another rank of the same training went away; all must start anew."""


class SubmissionError(SeawayError, RuntimeError):
    """Kubeflow Pipelines could not be reached, or refused."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        self.status = status
        """HTTP status that the answer means; 0 if there was none."""
        super().__init__(message)


class NotPromotedError(SeawayError):
    """The promotion gate said no."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("not promoted: " + "; ".join(self.reasons))


class LaptopError(SeawayError, RuntimeError):
    """`seaway up` cannot start or cannot be reached."""


def near(word: str, names: Iterable[str]) -> str:
    """The end of an error text: names that ``word`` may have been meant for, or nothing."""
    found = difflib.get_close_matches(word, list(names), n=3)
    return f": did you mean {' or '.join(repr(f) for f in found)}?" if found else ""
