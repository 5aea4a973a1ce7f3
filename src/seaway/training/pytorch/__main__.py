"""The PyTorch worker: ``python -m seaway.training.pytorch`` with a TrainSpec in the environment, one process a rank."""

from __future__ import annotations

from seaway.training.needs import needs

if __name__ == "__main__":
    with needs("torch"):
        from seaway.training import worker
        from seaway.training.pytorch.fit import fit
        from seaway.training.pytorch.group import joined

        raise SystemExit(worker.main(fit, joined))
