"""TrainSpec: what a training worker is told, whatever its framework.

In: JSON in the environment variable SEAWAY_TRAIN_SPEC of every replica. Standard library only: the launcher writes it,
workers of any image or language read it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError

ENV = "SEAWAY_TRAIN_SPEC"
EXIT_INPUT = 65
"""Exit code of a worker that was given what cannot be trained on (EX_DATAERR of sysexits.h): a retry ends the same."""
EXIT_PEER = 138
"""Exit code of a rank whose peer was lost or never came: all start anew, from the last checkpoint if there is one.

At least 128, which the training operator's restart policy ExitCode takes for worth a retry.
"""


@dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """The inputs, the hyperparameters and the destination of one training."""

    name: str
    """The model's name."""
    version: str
    """The model's version."""
    framework: str
    """For instance ``sklearn``."""
    train: str
    """URI of the training features: Parquet, float32 columns in the plan's order, then ``__target__``."""
    validation: str
    """URI of the validation features, same columns; empty when there are none."""
    validation_rows: str
    """URI of the same validation rows as raw columns: what the packaging gate compares on."""
    features: str
    """URI of the folder with features.onnx, plan.json and statistics.json."""
    contract: str
    """URI of the contract."""
    output: str
    """URI of the model package to write."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Hyperparameters; ``estimator`` chooses among the framework's models."""
    seed: int = 0
    """Of everything random."""
    dataset_digest: str = ""
    """SHA-256 that `ingest` gave of the data."""
    run_id: str = ""
    """The pipeline run."""
    checkpoints: str = ""
    """URI of the folder that a restarted training resumes from; empty keeps none."""
    entrypoint: str = ""
    """The user's own training: a module, or the URI of a Python script; empty for the framework's worker."""
    measure_scaling: bool = False
    """Whether to time one rank by itself before all train, so that the report tells what the others add."""

    def __post_init__(self) -> None:
        for name in ("name", "version", "framework", "train", "validation_rows", "features", "contract", "output"):
            if not getattr(self, name):
                raise InputError(f"a TrainSpec must have {name!r}, found an empty text")

    def to_json(self) -> str:
        """As JSON with sorted keys: equal specs are equal texts."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TrainSpec:
        """The spec in a JSON text; unknown keys are refused."""
        try:
            raw = json.loads(text)
        except ValueError as e:
            raise InputError(f"{ENV} must be JSON: {e}") from None
        known = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(raw, dict) or set(raw) - known:
            raise InputError(f"{ENV} must be an object with keys among {sorted(known)}, found {raw!r:.200}")
        needed = {f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING}
        if missing := sorted(needed - set(raw)):
            raise InputError(f"{ENV} must have the keys {missing} too, found {sorted(raw)}: it is written by `train`")
        return cls(**raw)

    @classmethod
    def from_env(cls) -> TrainSpec:
        """The spec of this worker.

        Raises:
            InputError: the variable is not set or not a spec.
        """
        text = os.environ.get(ENV)
        if not text:
            raise InputError(f"{ENV} must hold the TrainSpec as JSON, found nothing: workers are started by `train`")
        return cls.from_json(text)
