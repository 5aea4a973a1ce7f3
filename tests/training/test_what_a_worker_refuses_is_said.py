"""Targets out of the range that models can answer, specs that lack a key, and a disk that is full."""

from __future__ import annotations

import errno
import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import polars as pl
import pytest

from seaway.errors import DataError, InputError
from seaway.model.contract import Target
from seaway.training import tables, worker
from seaway.training.peers import Peers
from seaway.training.spec import ENV, TrainSpec
from tests.support.tiny_features import tiny_contract
from tests.support.tiny_package import make_inputs


def test_a_target_whose_square_is_no_float32_is_refused_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"a": pl.Series([1.0, 2.0], dtype=pl.Float32), tables.TARGET: [1.0, -1e300]}).write_parquet(path)
    target = Target(name="fare", task="regression", dtype="float64")
    with (
        tables.opened(str(path), target, what="training") as part,
        pytest.raises(DataError, match=r"-1e\+300 at row 1"),
    ):
        part.read()


def test_a_spec_without_a_key_names_it() -> None:
    with pytest.raises(InputError, match=r"must have the keys \['contract', 'features', .*'version'\] too"):
        TrainSpec.from_json(json.dumps({"name": "tiny"}))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_worth_a_retry(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENV, make_inputs(tmp_path, tiny_contract(), rows=60).to_json())

    def full(spec: TrainSpec) -> AbstractContextManager[Peers]:
        raise OSError(code, "no room", "/data/model")

    monkeypatch.setattr("seaway.training.signals.leave_on_sigterm", nullcontext)
    assert worker.main(lambda spec, data: pytest.fail("it begins"), full) == 1
    assert "the disk must have room" in (said := capsys.readouterr().err.splitlines()[-1])
    assert "/data/model" in said
