"""Take a table in: check it, describe it, split it.

In: the URI of a table and what to predict, perhaps a contract. Out: train, validation and test as Parquet, the
contract, the profile and a report. Nothing is held in memory whole; an output takes its name only when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from seaway.data import report as pages
from seaway.data.check import conform, violations
from seaway.data.infer import inspect
from seaway.data.profile import profile
from seaway.data.split import Split
from seaway.data.split import split as split_rows
from seaway.data.table import opened
from seaway.errors import ContractError, DataError, InputError
from seaway.model.contract import Contract, Value
from seaway.storage.uri import read_bytes, write_bytes

ROW_GROUP = 100_000


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """What `ingest` took in and wrote."""

    rows: int
    """Of the table, also those without a target."""
    rows_without_target: int
    train_rows: int
    validation_rows: int
    test_rows: int
    columns: int
    """Of the contract, without the target."""
    dataset_digest: str
    """SHA-256 of the file's bytes; for a folder, of the lines that sha256sum would print for its files."""
    classes: tuple[Value, ...] | None
    warnings: tuple[str, ...]
    scheduled_time: str = ""
    """As given: when a recurring run was due."""


def ingest(
    *,
    data: str,
    target: str,
    train: str,
    validation: str,
    test: str,
    contract_out: str,
    profile_out: str,
    report: str,
    task: str = "auto",
    contract: str = "",
    exclude: Sequence[str] = (),
    split: str = "random",
    time_column: str = "",
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    seed: int = 0,
    scheduled_time: str = "",
) -> IngestResult:
    """Read a table, infer or check its contract, profile it and split it.

    Args:
        data: URI of CSV or Parquet, a file or a folder.
        target: column to predict; may be "" if a contract is given.
        train: local path to write; Parquet with the contract's columns and the target, rows without a target left out.
        validation: as ``train``.
        test: as ``train``.
        contract_out: local path to write; the contract as JSON.
        profile_out: local path to write; the profile as JSON.
        report: local path to write; a self-contained HTML page.
        task: auto, classification or regression.
        contract: URI of a contract that the table must keep; "" infers one that it keeps.
        exclude: columns to leave out.
        split: random or time.
        time_column: for split=time; need not be in the contract.
        test_fraction: share of the rows with a target.
        validation_fraction: share of the rows with a target.
        seed: of the random split.
        scheduled_time: of a recurring run, for the report.

    Raises:
        DataError: the table cannot be read or used.
        InputError: parameters that do not fit the table.
        ContractError: rows break the given contract; only the report is written, and says which.
    """
    written = _given(contract, target, task)
    given = replace(written, columns=tuple(c for c in written.columns if c.name not in exclude)) if written else None
    dtypes = {c.name: c.dtype for c in given.columns} | {given.target.name: given.target.dtype} if given else {}
    with (
        opened(data, dtypes) as (source, found),
        tempfile.TemporaryDirectory(prefix=".seaway-", dir=Path(train).parent) as scratch,
    ):
        frame = _landed(source, found, Path(scratch))
        names = frame.collect_schema().names()
        if written and (unknown := [c for c in exclude if c not in {*names, *written.names}]):
            raise DataError(f"exclude must name columns of the table, found {unknown}: it has {names[:20]}")
        warnings: list[str] = []
        if given is None:
            seen = inspect(frame, target=target, task=task, exclude=exclude)
            signature, warnings = seen.contract, list(seen.warnings)
        else:
            signature = given
            if broken := violations(frame, given):
                write_bytes(report, pages.refused(contract=given, violations=broken, source=data).encode())
                raise ContractError(broken, advice="Mend the table, or the contract if the data is right")
        keep = [time_column] if split == "time" else []
        if keep and time_column not in names:
            raise DataError(
                f"split=time needs time_column to be a column of the table, found {time_column!r}: it has {names[:20]}"
            )
        rows = frame.select(pl.len()).collect(engine="streaming").item()
        whole = conform(frame, signature, keep=keep)
        labelled = whole.filter(pl.col(signature.target.name).is_not_null())
        described = profile(frame, signature)
        _must_teach(signature, described["target"], described["rows"])
        if given is not None and described["rows"] < rows:
            warnings.append(f"{rows - described['rows']:,} of {rows:,} rows have no target and are left out")
        parts = split_rows(
            labelled,
            method=split,
            time_column=time_column,
            test_fraction=test_fraction,
            validation_fraction=validation_fraction,
            seed=seed,
        )
        _write(parts, (*signature.names, signature.target.name), (Path(train), Path(validation), Path(test)))
        digest = _digest(found)
    write_bytes(contract_out, signature.to_json().encode())
    write_bytes(profile_out, (json.dumps(described, ensure_ascii=False, allow_nan=False, default=str) + "\n").encode())
    how = f"by time: {parts.boundaries}" if split == "time" else f"at random, seed {seed}"
    page = pages.accepted(
        contract=signature,
        profile=described,
        warnings=warnings,
        sizes=parts.sizes,
        rows=rows,
        source=data,
        how=how,
        scheduled_time=scheduled_time,
    )
    write_bytes(report, page.encode())
    return IngestResult(
        rows=rows,
        rows_without_target=rows - described["rows"],
        train_rows=parts.sizes[0],
        validation_rows=parts.sizes[1],
        test_rows=parts.sizes[2],
        columns=len(signature.columns),
        dataset_digest=digest,
        classes=signature.target.classes,
        warnings=tuple(warnings),
        scheduled_time=scheduled_time,
    )


def _given(uri: str, target: str, task: str) -> Contract | None:
    if not uri:
        return None
    try:
        contract = Contract.from_json(read_bytes(uri))
    except InputError as e:
        raise InputError(str(e) if uri in str(e) else f"{uri}: {e}") from None
    if target not in ("", contract.target.name):
        raise InputError(
            f"target must be the contract's, {contract.target.name!r}, found {target!r}: change one of them"
        )
    if task not in ("auto", contract.target.task):
        raise InputError(f"task must be the contract's, {contract.target.task}, found {task}: change one of them")
    return contract


def _landed(source: pl.LazyFrame, found: Sequence[Path], scratch: Path) -> pl.LazyFrame:
    """The table as Parquet: CSV is parsed once, then read column by column as often as needed."""
    with found[0].open("rb") as f:
        if f.read(4) == b"PAR1":
            return source
    path = scratch / "table.parquet"
    source.sink_parquet(path, compression="lz4", engine="streaming")
    return pl.scan_parquet(path)


def _must_teach(contract: Contract, target: dict[str, object], rows: int) -> None:
    name = contract.target.name
    if rows == 0:
        raise DataError(f"target {name!r} must have values, but all rows are null: choose another target")
    if contract.target.classes is not None and target["distinct"] == 1:
        raise InputError(f"target {name!r}: classification needs at least two classes in the rows, found only one")


def _write(parts: Split, names: Sequence[str], paths: tuple[Path, Path, Path]) -> None:
    """Write the three parts in one pass; they take their names when all three are complete."""
    temporary = [p.with_name(f".{p.name}.{uuid.uuid4().hex[:8]}.part") for p in paths]
    try:
        sinks = [
            part.select(names).sink_parquet(path, compression="zstd", row_group_size=ROW_GROUP, lazy=True)
            for part, path in zip((parts.train, parts.validation, parts.test), temporary, strict=True)
        ]
        pl.collect_all([s for s in sinks if s is not None], engine="streaming")
        for path, final in zip(temporary, paths, strict=True):
            path.replace(final)
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


def _digest(found: Sequence[Path]) -> str:
    digests = []
    for path in found:
        with path.open("rb") as f:
            digests.append(hashlib.file_digest(f, "sha256").hexdigest())
    if len(found) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, found, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()
