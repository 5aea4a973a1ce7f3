"""The TensorFlow worker: ``python -m seaway.training.tensorflow`` with a TrainSpec in the environment."""

from __future__ import annotations

from seaway.training.needs import needs
from seaway.training.signals import leave_after


def main() -> int:
    """Train; the exit code."""
    with needs("tensorflow"):
        from seaway.training import worker
        from seaway.training.tensorflow.fit import fit
        from seaway.training.tensorflow.group import joined

        return worker.main(fit, joined)


if __name__ == "__main__":
    leave_after(main)
