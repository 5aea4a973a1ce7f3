"""The line from a table to features, as the pipelines run it, for the benchmarks that need a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def features(
    data: Path, folder: Path, *, target: str, exclude: Sequence[str], split: str = "random", time_column: str = ""
) -> dict[str, Any]:
    """Ingest and featurize into ``folder``; what a TrainSpec must be told of the outcome."""
    from seaway.data.ingest import ingest
    from seaway.features.step import featurize

    def at(name: str) -> str:
        return str(folder / name)

    ingest(
        data=str(data),
        target=target,
        exclude=list(exclude),
        split=split,
        time_column=time_column,
        train=at("train"),
        validation=at("validation"),
        test=at("test"),
        contract_out=at("contract"),
        profile_out=at("profile"),
        report=at("data.html"),
    )
    featurize(
        train=at("train"),
        validation=at("validation"),
        contract=at("contract"),
        profile=at("profile"),
        features=at("features"),
        train_features=at("train_features"),
        validation_features=at("validation_features"),
        report=at("features.html"),
    )
    return {
        "train": at("train_features"),
        "validation": at("validation_features"),
        "validation_rows": at("validation"),
        "features": at("features"),
        "contract": at("contract"),
    }
