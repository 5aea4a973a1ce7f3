"""Every rank takes the same number of steps, every row comes once an epoch, and its order can be told beforehand."""

from __future__ import annotations

import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway.errors import DataError, InputError
from seaway.model.contract import Target as ContractTarget
from seaway.training import tables
from seaway.training.encoding import fit_encoding
from seaway.training.layout import Layout
from seaway.training.network import rows as rows_module
from seaway.training.network.encoded import Target, encode, read
from seaway.training.network.hyperparameters import choose
from seaway.training.network.rows import BOUND_ENV, Rows, bound, empty
from seaway.training.network.state import Checkpoint
from seaway.training.network.steps import gathered, order, steps
from seaway.training.peers import Alone
from seaway.training.place import Place
from seaway.training.prefetch import ahead

WORLDS = st.tuples(st.integers(1, 3000), st.integers(1, 9)).filter(lambda found: found[0] >= found[1])


def numbered(count: int, total: int, *, mapped: bool = False) -> Rows:
    """Rows that say who they are."""
    numbers = empty((count, 2), np.float32, mapped=mapped)
    numbers[:] = np.arange(count)[:, None] + [0.0, 0.5]
    codes, target = empty((count, 1), np.int32, mapped=mapped), empty((count,), np.int64, mapped=mapped)
    codes[:, 0] = target[:] = np.arange(count)
    return Rows(numbers=numbers, codes=codes, target=target, total=total)


@given(world=WORLDS, batch_size=st.integers(1, 500), epoch=st.integers(1, 50), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_row_comes_once_an_epoch_in_as_many_steps_on_every_rank(
    world: tuple[int, int], batch_size: int, epoch: int, seed: int
) -> None:
    total, size = world
    places = [Place(rank=r, world_size=size) for r in range(size)]
    plans = [steps(total, batch_size, place) for place in places]
    assert len({plan.count for plan in plans}) == 1
    assert plans[0].count * max(batch_size, size) >= total
    seen, in_step = [], np.zeros(plans[0].count, int)
    for place, plan in zip(places, plans, strict=True):
        first, own = place.part(total)
        chosen = order(own, place, seed=seed, epoch=epoch)
        batches = [b for together in gathered(numbered(own, total), chosen, plan) for b in together]
        assert len(batches) == plan.count
        lengths = [len(b) for b in batches]
        assert max(lengths) - min(lengths) <= 1
        in_step += lengths
        np.testing.assert_array_equal(np.concatenate([b.target for b in batches]), chosen)
        assert all((b.numbers[:, 0] == b.target).all() and (b.codes[:, 0] == b.target).all() for b in batches)
        seen += [first + row for b in batches for row in b.target.tolist()]
    assert sorted(seen) == list(range(total))
    assert in_step.tolist() == [plans[0].everyones(step) for step in range(plans[0].count)]


@given(rows=st.integers(2, 4000), seed=st.integers(0, 2**31), epoch=st.integers(1, 1000), rank=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_order_follows_from_seed_epoch_and_rank_alone(rows: int, seed: int, epoch: int, rank: int) -> None:
    place = Place(rank=rank, world_size=4)
    found = order(rows, place, seed=seed, epoch=epoch)
    np.testing.assert_array_equal(found, order(rows, place, seed=seed, epoch=epoch))
    np.testing.assert_array_equal(np.sort(found), np.arange(rows))
    if rows > 30:
        assert (found != order(rows, place, seed=seed, epoch=epoch + 1)).any()
        assert (found != order(rows, Place(rank=(rank + 1) % 4, world_size=4), seed=seed, epoch=epoch)).any()


def test_rows_on_disk_are_batched_as_those_in_memory_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plan = steps(40_000, 1000, Place())
    chosen = order(40_000, Place(), seed=1, epoch=1)
    in_memory, mapped = numbered(40_000, 40_000), numbered(40_000, 40_000, mapped=True)
    assert mapped.mapped
    assert not in_memory.mapped
    mapped.read_at_random()
    assert list(tmp_path.iterdir()) == []
    for a, b in zip(gathered(in_memory, chosen, plan), gathered(mapped, chosen, plan), strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(one.numbers, other.numbers)
            np.testing.assert_array_equal(one.codes, other.codes)
            np.testing.assert_array_equal(one.target, other.target)
            assert not isinstance(other.numbers, np.memmap)


def test_a_shard_over_the_bound_is_encoded_without_being_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import polars as pl

    count, width = 150_000, 30
    draw = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{k}": draw.normal(k, 1 + k, count).astype(np.float32) for k in range(width)})
    frame.with_columns(pl.Series(tables.TARGET, draw.normal(size=count))).write_parquet(
        tmp_path / "rows", row_group_size=16_384
    )
    del frame
    target, layout = ContractTarget(name="y", task="regression", dtype="float64"), Layout(width=width)

    def encoded() -> tuple[Rows, int]:
        tracemalloc.start()
        with tables.opened(str(tmp_path / "rows"), target, what="training") as part:
            raw = read(part, layout)
        encoding = fit_encoding(layout, raw.numbers, bins=16, gather=Alone().gather)
        found = encode(raw, encoding, Target(classes=0, mean=0.5, std=2.0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found, peak

    whole, peak = encoded()
    monkeypatch.setenv(BOUND_ENV, "1")
    mapped, mapped_peak = encoded()
    assert mapped.mapped
    assert not whole.mapped
    size = whole.numbers.nbytes + whole.codes.nbytes
    assert mapped_peak < peak - 0.9 * size
    for name in ("numbers", "codes", "target"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(mapped, name))
    assert abs(whole.numbers.mean()) < 0.01


def test_a_disk_without_room_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*of: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows_module.os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"has no room for 4 MiB \(No space left on device\): .*or set TMPDIR"):
        empty((1024, 1024), np.float32, mapped=True)


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_a_bound_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(BOUND_ENV, text)
    with pytest.raises(InputError, match=f"{BOUND_ENV} must be a number of MiB, found '{text}'"):
        bound()


class BrokenError(Exception):
    """Stands for whatever goes wrong while rows are read."""


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "prefetch"]


def test_what_goes_wrong_ahead_comes_where_the_item_would_have() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise BrokenError

    taken = []

    def take() -> None:
        with ahead(items()) as found:
            taken.extend(iter(lambda: next(found), None))

    with pytest.raises(BrokenError):
        take()
    assert taken == [0, 1, 2]
    assert threads() == []


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_the_thread_ends_with_the_block_and_is_never_far_ahead(taken: int) -> None:
    made = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    def leave() -> None:
        with ahead(endless(), depth=2) as found:
            assert [next(found) for _ in range(taken)] == list(range(taken))
            assert len(made) <= taken + 4
            raise BrokenError

    with pytest.raises(BrokenError):
        leave()
    assert threads() == []


def test_a_checkpoint_comes_back_whole_or_not_at_all() -> None:
    arrays = {"a/b": np.arange(12, dtype=np.float32).reshape(3, 4).T, "step": np.array(7.0, np.float32)}
    content = Checkpoint(state={"epoch": 3}, arrays=arrays).to_bytes()
    back = Checkpoint.from_bytes(content)
    assert back.state == {"epoch": 3}
    np.testing.assert_array_equal(back.arrays["a/b"], arrays["a/b"])
    assert back.arrays["step"].shape == ()
    for cut in (0, 4, len(content) // 2, len(content) - 1):
        with pytest.raises(ValueError, match="no checkpoint"):
            Checkpoint.from_bytes(content[:cut])


def test_what_a_framework_has_not_is_refused_with_those_that_have() -> None:
    for given_ in ({"sharding": "full"}, {"compile": "true"}, {"accumulate": 4}):
        name, value = next(iter(given_.items()))
        with pytest.raises(InputError, match=rf"{name} must be \S+ with flux, found \S+: leave it out, or train with"):
            choose("classification", given_, rows=100, framework="flux", takes=())
        assert choose("classification", given_, rows=100, takes={name})[1]
        assert value
    assert choose("classification", {"sharding": "none", "accumulate": 1}, rows=100, takes=())[1].accumulate == 1


@pytest.mark.parametrize(("rule", "rows", "rate"), [("fixed", 64, 0.1), ("linear", 256, 0.4), ("sqrt", 256, 0.2)])
def test_more_ranks_change_the_step_as_the_rule_says(rule: str, rows: int, rate: float) -> None:
    params = {"batch_size": 64, "learning_rate": 0.1, "batch_rule": rule}
    _, chosen = choose("classification", params, rows=1000)
    assert chosen.for_world(4) == (rows, pytest.approx(rate))
    assert chosen.for_world(1) == (64, pytest.approx(0.1))
