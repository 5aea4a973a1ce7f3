"""A rank fetches its own rows of a file in a store, and no others."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.errors import DataError, InputError
from seaway.model.contract import Target
from seaway.storage.s3_filesystem import BoundedS3FileSystem
from seaway.training import tables
from seaway.training.place import Place
from tests.support.object_store import ObjectStore

VALUE = Target(name="y", task="regression", dtype="float64")


def frame(rows: int, width: int = 3, *, first: int = 0) -> pl.DataFrame:
    """Rows that say who they are; noise that no compression makes small."""
    draw = np.random.default_rng(first)
    columns: dict[str, Any] = {f"x{k}": draw.normal(size=rows).astype(np.float32) for k in range(width)}
    return pl.DataFrame(columns | {tables.TARGET: np.arange(first, first + rows, dtype=np.float64)})


def parquet(content: pl.DataFrame, group: int) -> bytes:
    buffer = io.BytesIO()
    content.write_parquet(buffer, row_group_size=group)
    return buffer.getvalue()


def read(uri: str, place: Place, rows: int) -> list[tables.Table]:
    with tables.opened(uri, VALUE, what="training", place=place) as part:
        return list(part.batches(rows))


@given(
    files=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    group=st.integers(1, 40),
    ranks=st.integers(1, 4),
    most=st.integers(1, 50),
)
@settings(max_examples=40, deadline=None)
def test_parts_of_a_folder_are_a_partition_wherever_its_groups_end(
    files: list[int], group: int, ranks: int, most: int
) -> None:
    memory, total = fsspec.filesystem("memory"), sum(files)
    if memory.exists("/shards"):
        memory.rm("/shards", recursive=True)
    at, frames = 0, []
    for number, rows in enumerate(files):
        frames.append(frame(rows, first=at))
        memory.pipe_file(f"/shards/part-{number}.parquet", parquet(frames[-1], group))
        at += rows
    whole = pl.concat(frames)
    found = []
    for rank in range(min(ranks, total)):
        batches = read("memory://shards", Place(rank=rank, world_size=min(ranks, total)), most)
        assert all(len(b) == most for b in batches[:-1])
        assert all(b.features.flags.c_contiguous and b.features.dtype == np.float32 for b in batches)
        found += batches
    np.testing.assert_array_equal(np.concatenate([b.target for b in found]), np.arange(total))
    np.testing.assert_array_equal(np.concatenate([b.features for b in found]), whole.drop(tables.TARGET).to_numpy())


def test_only_the_row_groups_of_a_rank_are_fetched(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fs, path = fsspec_of("s3://box/rows")
    content = frame(8 * 2000, width=16)
    fs.pipe_file(path, parquet(content, 2000))
    size = fs.info(path)["size"]
    fetched: list[int] = []
    call = BoundedS3FileSystem._call_s3

    async def counted(self: Any, method: str, *options: Any, **arguments: Any) -> Any:
        if method == "get_object":
            first, last = arguments["Range"].removeprefix("bytes=").split("-")
            fetched.append(int(last) - int(first) + 1)
        return await call(self, method, *options, **arguments)

    monkeypatch.setattr(BoundedS3FileSystem, "_call_s3", counted)
    [table] = read("s3://box/rows", Place(rank=1, world_size=4), 100_000)
    assert table.target.tolist() == list(range(4000, 8000))
    assert size / 4 < sum(fetched) < size / 4 + 2 * 65_536 + 10_000  # the footer is asked for generously
    assert len(fetched) < 10


def fsspec_of(uri: str) -> tuple[Any, str]:
    from seaway.storage.uri import filesystem

    return filesystem(uri)


def test_what_is_no_table_in_a_store_is_told(s3: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s3://box/none: must exist, nothing is there"):
        read("s3://box/none", Place(), 10)
    fs, path = fsspec_of("s3://box/folder")
    whole = parquet(frame(500), 100)
    fs.pipe_file(f"{path}/a.parquet", whole[:2000])
    with pytest.raises(DataError, match=r"s3://box/folder/a.parquet: must be Parquet that can be read"):
        read("s3://box/folder", Place(), 10)
    fs.pipe_file(f"{path}/a.parquet", whole[:200] + bytes(1500) + whole[1700:])
    with pytest.raises(DataError, match=r"s3://box/folder/a.parquet: must be Parquet that can be read"):
        read("s3://box/folder", Place(), 1000)
    fs.pipe_file(f"{path}/a.parquet", whole)
    fs.pipe_file(f"{path}/b.parquet", parquet(frame(5, width=2), 5))
    with pytest.raises(DataError, match=r"b.parquet: must have the columns of \S+a.parquet"):
        read("s3://box/folder", Place(), 1000)
