"""The scikit-learn worker: ``python -m seaway.training.sklearn`` with a TrainSpec in the environment."""

from __future__ import annotations

from seaway.training.needs import needs

if __name__ == "__main__":
    with needs("sklearn"):
        from seaway.training import worker
        from seaway.training.sklearn.fit import fit

        raise SystemExit(worker.main(fit))
