"""What runs before a container in any language: the features as CSV and Parquet in the folder that both share.

In: TrainSpec and the variables of `container`. Out: ``train.csv`` and ``validation.csv`` with a header, the features in
the plan's order and then ``__target__`` (the class's index, or the value); a missing value is an empty cell. The same
as Parquet beside, and an empty folder for the model.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaway.errors import DataError
from seaway.model.contract import Contract, Target
from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training import tables
from seaway.training.own.checked import checked
from seaway.training.own.container import Work
from seaway.training.spec import TrainSpec

if TYPE_CHECKING:
    import polars as pl

_logger = logging.getLogger(__name__)


def prepare(spec: TrainSpec, work: Work) -> None:
    """Write the files.

    Raises:
        DataError: the features cannot be used, or a class has no training rows.
    """
    contract = Contract.from_json(storage.read_bytes(spec.contract))
    shutil.rmtree(work.model_out, ignore_errors=True)  # of an earlier try
    work.model_out.mkdir(parents=True)
    work.model_out.chmod(0o777)  # the program may run as another user
    counts = _write(spec.train, contract.target, "training", work.train_csv, work.train_parquet)
    if contract.target.classes is not None:
        tables.check_classes(counts, contract.target)
    if not spec.validation:
        raise DataError("a container must have validation features to be measured on, found none: give them")
    _write(spec.validation, contract.target, "validation", work.validation_csv, work.validation_parquet)


def _write(uri: str, target: Target, what: str, csv: Path, parquet: Path) -> Any:
    """Both files of one table; rows of each class."""
    import pyarrow.parquet as pq

    counts = np.zeros(len(target.classes or ()), np.int64)
    csv.parent.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    rows = 0
    try:
        with csv.open("wb") as f, tables.opened(uri, target, what=what) as part:
            for batch in part.batches():
                frame = _frame(batch)
                frame.with_columns(_empty_for_nan(frame)).write_csv(f, include_header=rows == 0)
                table = frame.to_arrow()
                writer = writer or pq.ParquetWriter(parquet, table.schema)
                writer.write_table(table)
                rows += len(batch)
                if target.classes is not None:
                    counts += np.bincount(batch.target, minlength=len(counts))
    finally:
        if writer is not None:
            writer.close()
    logs.info(_logger, f"wrote the {what} features", rows=rows, csv=str(csv), parquet=str(parquet))
    return counts


def _frame(batch: tables.Table) -> pl.DataFrame:
    import polars as pl

    frame = pl.DataFrame(batch.features, schema=dict.fromkeys(batch.names, pl.Float32))
    return frame.with_columns(pl.Series(tables.TARGET, batch.target))


def _empty_for_nan(frame: pl.DataFrame) -> list[pl.Expr]:
    import polars as pl

    return [pl.col(name).fill_nan(None) for name, dtype in frame.schema.items() if dtype == pl.Float32]


if __name__ == "__main__":
    raise SystemExit(checked(lambda: prepare(TrainSpec.from_env(), Work.from_env())))
