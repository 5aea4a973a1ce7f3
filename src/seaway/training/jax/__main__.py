"""The JAX worker: ``python -m seaway.training.jax`` with a TrainSpec in the environment, one process a replica."""

from __future__ import annotations

from seaway.training.needs import needs
from seaway.training.signals import leave_after


def main() -> int:
    """Train; the exit code."""
    with needs("jax"):
        from seaway.training import worker
        from seaway.training.jax.fit import fit
        from seaway.training.jax.group import joined

        return worker.main(fit, joined)


if __name__ == "__main__":
    leave_after(main)
