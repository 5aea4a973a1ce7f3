"""The contract with a container in any language: where its data is, what it is told, where its model goes.

In: a TrainSpec and the contract of the columns. Out: environment variables; docs/training.md tells them to users.
Standard library only. The replica is one pod with a folder that its containers share: `prepare` writes the features as
CSV and Parquet, the user's program trains and writes ONNX, `package` holds it to account and writes the model package.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.errors import InputError
from seaway.training.spec import TrainSpec

MODEL, PREDICTIONS, FORMAT, NATIVE = "model.onnx", "predictions.csv", "format", "native"
"""What the program may write into SEAWAY_MODEL_OUT: the model; its answers to the validation rows; the name of another
format; a folder of its own files."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """The folder that the containers share."""

    train_csv: Path
    validation_csv: Path
    train_parquet: Path
    validation_parquet: Path
    model_out: Path

    @classmethod
    def below(cls, root: str) -> Work:
        """Its files, by convention."""
        folder = Path(root)
        return cls(
            train_csv=folder / "train.csv",
            validation_csv=folder / "validation.csv",
            train_parquet=folder / "train.parquet",
            validation_parquet=folder / "validation.parquet",
            model_out=folder / "model",
        )

    @classmethod
    def from_env(cls) -> Work:
        """As the variables say.

        Raises:
            InputError: one of them is missing.
        """
        names = {"train_csv": "SEAWAY_TRAIN_CSV", "validation_csv": "SEAWAY_VALIDATION_CSV"}
        names |= {"train_parquet": "SEAWAY_TRAIN_PARQUET", "validation_parquet": "SEAWAY_VALIDATION_PARQUET"}
        names["model_out"] = "SEAWAY_MODEL_OUT"
        if missing := [name for name in names.values() if not os.environ.get(name)]:
            raise InputError(f"a container must be told {missing}, found none: it is started by `train`")
        return cls(**{field: Path(os.environ[name]) for field, name in names.items()})


def variables(spec: TrainSpec, root: str, *, task: str, classes: Sequence[Any] | None) -> Mapping[str, str]:
    """What every container of the replica is told beside the TrainSpec.

    Args:
        spec: of the training.
        root: the folder that the containers share.
        task: ``classification`` or ``regression``.
        classes: of a classification, in the order of their indices.
    """
    work = Work.below(root)
    return {
        "SEAWAY_TRAIN_CSV": str(work.train_csv),
        "SEAWAY_VALIDATION_CSV": str(work.validation_csv),
        "SEAWAY_TRAIN_PARQUET": str(work.train_parquet),
        "SEAWAY_VALIDATION_PARQUET": str(work.validation_parquet),
        "SEAWAY_MODEL_OUT": str(work.model_out),
        "SEAWAY_PARAMS": json.dumps(dict(spec.params), sort_keys=True),
        "SEAWAY_SEED": str(spec.seed),
        "SEAWAY_TASK": task,
        "SEAWAY_CLASSES": json.dumps(list(classes or ())),
    }
