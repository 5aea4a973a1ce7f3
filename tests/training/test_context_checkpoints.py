"""Checkpoints of users' scripts: whole or not there, the last ones kept, by any number of ranks, in any store."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from seaway.errors import InputError
from seaway.storage import uri as storage
from seaway.training.own.snapshots import Snapshots
from seaway.training.place import Place
from seaway.training.spec import TrainSpec
from tests.support.object_store import ObjectStore
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs


@pytest.fixture
def spec(tmp_path: Path) -> TrainSpec:
    found = make_inputs(tmp_path, tiny_contract(), rows=30)
    return dataclasses.replace(found, checkpoints=str(tmp_path / "kept"))


def of(spec: TrainSpec, rank: int = 0, ranks: int = 1, timeout_s: float = 20) -> Snapshots:
    return Snapshots.of(spec, Place(rank=rank, world_size=ranks), timeout_s=timeout_s)


def write(snapshots: Snapshots, step: int, text: str, *, all_ranks: bool = False, keep: int = 2) -> None:
    with snapshots.writing(step, all_ranks=all_ranks, keep=keep) as folder:
        (folder / ".hidden").write_text("as DCP has")
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / f"rank-{snapshots.place.rank}").write_text(text)


def read(snapshots: Snapshots, into: Path) -> tuple[int, dict[str, str]] | None:
    found = snapshots.newest(into)
    if found is None:
        return None
    step, folder = found
    assert folder.name == str(step)
    files = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert files.pop(".hidden") == "as DCP has"
    return step, files


def files(spec: TrainSpec) -> list[str]:
    return sorted(uri.rsplit("/", 1)[-1].split("-", 1)[1] for uri in storage.list_files(spec.checkpoints))


def test_the_newest_is_given_and_the_last_ones_are_kept(spec: TrainSpec, tmp_path: Path) -> None:
    assert read(of(spec), tmp_path / "in") is None
    for step in (1, 2, 10):
        write(of(spec), step, f"at {step}")
    assert read(of(spec), tmp_path / "in") == (10, {"deep/er/rank-0": "at 10"})
    assert len([name for name in files(spec) if name.endswith(".tar")]) == 2
    of(spec).remove()
    assert not Path(spec.checkpoints).exists()


def test_an_error_within_the_block_leaves_nothing(spec: TrainSpec, tmp_path: Path) -> None:
    write(of(spec), 1, "good")
    writing = of(spec).writing(2, all_ranks=False, keep=2)
    (writing.__enter__() / "half").write_text("x")
    error = ZeroDivisionError()
    assert not writing.__exit__(type(error), error, None)
    assert read(of(spec), tmp_path / "in") == (1, {"deep/er/rank-0": "good"})


@pytest.mark.parametrize("damage", ["cut", "archive gone", "commit cut", "commit gone"])
def test_a_damaged_one_is_never_given(spec: TrainSpec, tmp_path: Path, damage: str) -> None:
    write(of(spec), 1, "older")
    write(of(spec), 2, "newer")
    archive, commit = (next(Path(spec.checkpoints).glob(f"*2{end}")) for end in (".rank-0-of-1.tar", ".json"))
    path = archive if "archive" in damage or damage == "cut" else commit
    if damage.endswith("gone"):
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20])
    assert read(of(spec), tmp_path / "in") == (1, {"deep/er/rank-0": "older"})
    write(of(spec), 2, "again")
    assert read(of(spec), tmp_path / "in") == (2, {"deep/er/rank-0": "again"})


def test_the_files_of_all_ranks_become_one_that_another_number_of_ranks_reads(spec: TrainSpec, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=write, args=(of(spec, r, 3), 7, f"from {r}"), kwargs={"all_ranks": True})
        for r in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    wanted = (7, {f"deep/er/rank-{r}": f"from {r}" for r in range(3)})
    assert read(of(spec, 1, 3), tmp_path / "same") == wanted
    assert read(of(spec), tmp_path / "alone") == wanted
    assert len(files(spec)) == 4


def test_one_that_a_rank_did_not_finish_is_none(spec: TrainSpec, tmp_path: Path) -> None:
    write(of(spec, 1, 2), 5, "of an attempt that was cut off", all_ranks=True)
    of(spec, 1, 2).clear()
    write(of(spec, 0, 2, timeout_s=0.2), 5, "alone", all_ranks=True)  # costs the checkpoint, not the training
    assert read(of(spec, 0, 2), tmp_path / "in") is None


def test_what_other_ranks_write_is_dropped_where_rank_0_writes(spec: TrainSpec, tmp_path: Path) -> None:
    write(of(spec, 1, 2), 3, "mine")
    write(of(spec, 0, 2), 3, "the")
    assert read(of(spec, 1, 2), tmp_path / "in") == (3, {"deep/er/rank-0": "the"})


def test_another_training_finds_nothing_and_a_retry_finds_its_own(spec: TrainSpec, tmp_path: Path) -> None:
    write(of(spec), 3, "mine")
    assert read(of(dataclasses.replace(spec, params={"rate": 2})), tmp_path / "in") is None
    again = dataclasses.replace(spec, run_id="another", version="v9")
    assert read(of(again), tmp_path / "in") == (3, {"deep/er/rank-0": "mine"})


def test_without_a_folder_nothing_is_kept(spec: TrainSpec, tmp_path: Path) -> None:
    nowhere = dataclasses.replace(spec, checkpoints="")
    write(of(nowhere), 1, "x")
    assert read(of(nowhere), tmp_path / "in") is None


def test_a_store_that_refuses_costs_the_checkpoint_not_the_training(
    spec: TrainSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_text("a file, not a folder")
    write(of(spec), 1, "x")
    assert "the checkpoint of step 1 could not be written" in caplog.text


def test_a_step_must_be_a_number_that_can_be_sorted(spec: TrainSpec) -> None:
    with pytest.raises(InputError, match="step from 0"):
        write(of(spec), -1, "x")


def test_an_object_store_keeps_them_too(spec: TrainSpec, tmp_path: Path, s3: ObjectStore) -> None:
    remote = dataclasses.replace(spec, checkpoints="s3://box/model.checkpoints")
    for step in (1, 2, 3):
        write(of(remote), step, f"at {step}")
    assert read(of(remote), tmp_path / "in") == (3, {"deep/er/rank-0": "at 3"})
    assert len(files(remote)) == 4
    of(remote).remove()
    assert storage.list_files(remote.checkpoints) == []
