"""The xgboost worker: ``python -m seaway.training.xgboost`` with a TrainSpec in the environment, one process a rank."""

from __future__ import annotations

import sys

from seaway.training.needs import needs
from seaway.training.signals import leave_after


def main() -> int:
    """Train; the exit code."""
    # xgboost imports scikit-learn, and pandas with it, wherever it finds them: seconds, for an interface that is not
    # used
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]
    with needs("xgboost"):
        from seaway.training import worker
        from seaway.training.xgboost.fit import fit
        from seaway.training.xgboost.group import joined

        return worker.main(fit, joined)


if __name__ == "__main__":
    # xgboost's communicator, when it is taken down after a rank was lost, waits for that rank or crashes
    leave_after(main)
