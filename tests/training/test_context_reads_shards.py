"""What a script reads through the context: hyperparameters, and its rank's rows in as many steps as every other's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.errors import DataError, InputError
from seaway.model.contract import Target
from seaway.training import tables
from seaway.training.own import shard as shards
from seaway.training.own.script import Context
from seaway.training.own.shard import Shard
from seaway.training.place import Place
from seaway.training.tables import TARGET
from tests.support.tiny_features import WIDTH, tiny_contract
from tests.support.tiny_package import make_inputs

TARGET_OF = Target(name="y", task="regression", dtype="float64")


def shards_of(path: Path, ranks: int, seed: int = 3) -> list[Shard]:
    found = []
    for rank in range(ranks):
        part = tables.opened(str(path), TARGET_OF, what="training", place=Place(rank=rank, world_size=ranks))
        found.append(Shard(part.__enter__(), seed=seed))
    return found


def numbered(folder: Path, rows: int) -> Path:
    """A features file in which every row is its own number."""
    path = folder / f"{rows}.parquet"
    if not path.exists():
        number = pl.int_range(rows, eager=True)
        pl.DataFrame({"f0": number.cast(pl.Float32), TARGET: number.cast(pl.Float64)}).write_parquet(path)
    return path


@pytest.mark.parametrize("window", [1000, 16])
@given(rows=st.integers(3, 90), ranks=st.integers(1, 3), batch=st.integers(1, 40), epoch=st.integers(0, 5))
def test_ranks_take_equally_many_steps_over_different_rows(
    tmp_path_factory: pytest.TempPathFactory, window: int, rows: int, ranks: int, batch: int, epoch: int
) -> None:
    path = numbered(tmp_path_factory.getbasetemp(), rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "WINDOW_ROWS", window)
        each = [[t.target for t in s.shuffled(epoch, batch)] for s in shards_of(path, ranks)]
        again = [[t.target for t in s.shuffled(epoch, batch)] for s in shards_of(path, ranks)]
    steps = {len(batches) for batches in each}
    assert steps == {shards_of(path, ranks)[0].steps(batch)}
    assert all(0 < len(one) <= batch for batches in each for one in batches)
    seen = np.concatenate([np.concatenate(batches) for batches in each])
    assert len(set(seen.tolist())) == len(seen) >= rows - ranks
    for one, two in zip(each, again, strict=True):
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(two))


def test_epochs_and_seeds_have_orders_of_their_own(tmp_path: Path) -> None:
    path = numbered(tmp_path, 500)

    def order(seed: int, epoch: int) -> list[float]:
        (shard,) = shards_of(path, 1, seed)
        return np.concatenate([t.target for t in shard.shuffled(epoch, 50)]).tolist()

    orders = [order(1, 0), order(1, 1), order(2, 0)]
    assert len({tuple(o) for o in orders}) == 3
    assert all(sorted(o) == list(range(500)) for o in orders)


def test_a_batch_must_have_a_row(tmp_path: Path) -> None:
    (shard,) = shards_of(numbered(tmp_path, 10), 1)
    with pytest.raises(InputError, match="at least one row, found rows=0"):
        shard.steps(0)


def context(folder: Path, rank: int = 0, ranks: int = 1, **params: Any) -> Context:
    spec = make_inputs(folder, tiny_contract(), rows=101, params=params)
    return Context(spec, Place(rank=rank, world_size=ranks))


def test_a_rank_reads_its_rows_as_arrays_and_as_arrow(tmp_path: Path) -> None:
    ctx = context(tmp_path, rank=1, ranks=2)
    assert (ctx.rank, ctx.world_size, ctx.local_rank, ctx.classes) == (1, 2, 0, 2)
    whole = pl.read_parquet(ctx.spec.train)
    table = ctx.train.read()
    np.testing.assert_array_equal(table.target, whole[TARGET][50:].to_numpy())
    assert table.features.shape == (51, WIDTH)
    assert ctx.train.arrow().column_names == [*ctx.train.names, TARGET]
    assert ctx.train.arrow().num_rows == 51
    assert sum(len(batch) for batch in ctx.train.batches(7)) == 51
    assert ctx.train.total == 101
    assert ctx.validation is not None
    assert len(ctx.validation) == 17
    assert ctx.layout.width == WIDTH
    ctx.close()


def test_more_ranks_than_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one a rank, found 101 for 200 ranks"):
        context(tmp_path, ranks=200).train.read()


def test_hyperparameters_take_the_type_of_their_default(tmp_path: Path) -> None:
    ctx = context(tmp_path, epochs="12", rate=1, hidden="[8, 4]", name=5, deep="true")
    assert ctx.param("epochs", 3) == 12
    assert isinstance(ctx.param("rate", 0.5), float)
    assert ctx.param("hidden", [1]) == [8, 4]
    assert ctx.param("name", "x") == "5"
    assert ctx.param("deep", False) is True
    assert ctx.param("other", 1.5) == 1.5
    assert ctx.params["epochs"] == 12
    with pytest.raises(InputError, match=r"'hidden' must be of type float, as its default 0.5, found '\[8, 4\]'"):
        ctx.param("hidden", 0.5)
    with pytest.raises(InputError, match="'deep' must be of type int"):
        ctx.param("deep", 1)


def test_a_misspelt_hyperparameter_is_named_with_the_nearest(tmp_path: Path) -> None:
    ctx = context(tmp_path, learning_rat=0.1)
    with pytest.raises(InputError, match=r"found 'learning_rat': did you mean 'learning_rate'\?"):
        ctx.hyperparameters(learning_rate=0.5, epochs=1)
    assert context(tmp_path, epochs=4).hyperparameters(learning_rate=0.5, epochs=1).epochs == 4


def test_only_rank_0_speaks_to_katib(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context(tmp_path, rank=1, ranks=2).report(step=1, loss=0.5)
    assert capsys.readouterr().out == ""
    context(tmp_path).report(step=1, loss=np.float32(0.25), steps_per_s=7)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("Z loss=0.25")
    assert second.endswith("Z steps_per_s=7")


def test_import_stays_light() -> None:
    code = "import sys; from seaway import training; print(training.__all__, 'numpy' in sys.modules); training.context"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False" in done.stdout
