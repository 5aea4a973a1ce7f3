"""A real model package on a small made-up table, through the training code: for tests of what comes after training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seaway.model.columns import feeds
from seaway.model.contract import Contract, Task
from seaway.model.session import open_session
from seaway.training.spec import TrainSpec
from seaway.training.tables import TARGET
from tests.support.tiny_features import CARRIERS, NAMES, WIDTH, tiny_contract, tiny_features


def tiny_rows(
    rows: int,
    contract: Contract,
    *,
    seed: int = 0,
) -> pl.DataFrame:
    """Raw rows with their target; some values are missing, some carriers unknown."""
    draw = np.random.default_rng(seed)
    carrier = draw.choice([*CARRIERS, "ZZ", None], rows, p=[0.3, 0.3, 0.3, 0.05, 0.05])
    distance, temp = draw.integers(80, 3000, rows), draw.normal(12, 9, rows)
    score = distance / 1500 + (carrier == "UA") * 0.8 - temp / 20 + draw.normal(0, 0.4, rows)
    target = contract.target
    if target.classes is None:
        answer: Any = score * 30
    else:
        cuts = np.quantile(score, np.linspace(0, 1, len(target.classes) + 1)[1:-1])
        answer = [target.classes[i] for i in np.searchsorted(cuts, score)]
    names = contract.names
    return pl.DataFrame(
        {
            names[0]: pl.Series(carrier.tolist(), dtype=pl.String),
            names[1]: pl.Series([None if d % 17 == 0 else int(d) for d in distance], dtype=pl.Int64),
            names[2]: pl.Series([None if t < -4 else float(t) for t in temp], dtype=pl.Float64),
            target.name: answer,
        }
    )


def make_inputs(
    folder: Path,
    contract: Contract,
    *,
    rows: int = 600,
    params: Mapping[str, Any] | None = None,
    output: str = "package",
) -> TrainSpec:
    """Write all that a training worker reads below ``folder``; the spec that names it."""
    features = tiny_features(contract.names[:3])
    (folder / "features").mkdir(parents=True, exist_ok=True)
    (folder / "features" / "features.onnx").write_bytes(features.SerializeToString())
    (folder / "contract.json").write_text(contract.to_json())
    session = open_session(features.SerializeToString())
    for name, seed, height in (("train", 1, rows), ("validation", 2, max(rows // 3, 1))):
        raw = tiny_rows(height, contract, seed=seed)
        raw.write_parquet(folder / f"{name}_rows.parquet")
        matrix = session.run(None, feeds(raw, contract))[0]
        table = pl.DataFrame({f"f{i}": matrix[:, i] for i in range(WIDTH)})
        answer = raw[contract.target.name]
        if contract.target.classes is not None:
            index = {c: i for i, c in enumerate(contract.target.classes)}
            answer = pl.Series([index[v] for v in answer], dtype=pl.Int64)
        table.with_columns(answer.alias(TARGET)).write_parquet(folder / f"{name}.parquet")
    return TrainSpec(
        name="tiny",
        version="v1",
        framework="sklearn",
        train=str(folder / "train.parquet"),
        validation=str(folder / "validation.parquet"),
        validation_rows=str(folder / "validation_rows.parquet"),
        features=str(folder / "features"),
        contract=str(folder / "contract.json"),
        output=str(folder / output),
        params=params or {},
        seed=7,
        dataset_digest="0" * 64,
        run_id="tiny-run",
    )


def make_package(folder: Path, *, task: Task = "classification", estimator: str = "") -> Path:
    """Train on three raw columns and write a package to ``folder / "package"``; its path.

    Columns: ``carrier`` string, ``distance`` int64 and ``temp`` float64, all nullable. Target: ``late`` bool, or a
    float64 value for ``task="regression"``. The held-out raw rows with their target are in
    ``folder / "validation_rows.parquet"``.
    """
    from seaway.training.sklearn.fit import train

    quick = {"max_iter": 20, "max_leaf_nodes": 8} if not estimator else {"estimator": estimator}
    spec = make_inputs(folder, tiny_contract(task, names=NAMES), params=quick)
    train(spec)
    return Path(spec.output)
