"""A model that cannot answer never opens a port."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seaway.errors import PackageError
from seaway.model import package
from seaway.serving.served import ServedModel
from tests.serving import models


def test_a_changed_or_damaged_package_is_refused(tmp_path: Path) -> None:
    for n, damage in enumerate((b"", b"{}", b"{")):
        uri = Path(models.write_flights(tmp_path, version=str(n)))
        (uri / ("model.json" if damage else "model.onnx")).write_bytes(damage)
        with pytest.raises(PackageError):
            ServedModel.open(str(uri))


def test_a_graph_that_does_not_take_the_contracts_columns_is_refused(tmp_path: Path) -> None:
    uri = Path(models.write_flights(tmp_path))
    info = json.loads((uri / "model.json").read_text())
    hour = next(c for c in info["contract"]["columns"] if c["name"] == "hour")
    hour["dtype"] = "float64"
    package.write(uri, str(tmp_path / "changed"), info)
    with pytest.raises(PackageError, match="'hour' must be tensor\\(double\\), found tensor\\(int64\\)"):
        ServedModel.open(str(tmp_path / "changed"))


def test_a_name_that_fits_no_url_is_refused(flights: str) -> None:
    with pytest.raises(PackageError, match="name must be letters"):
        ServedModel.open(flights, name="a/b")


def test_the_package_is_not_needed_after_loading(tmp_path: Path) -> None:
    uri = Path(models.write_flights(tmp_path))
    model = ServedModel.open(str(uri), name="other")
    (uri / "model.onnx").unlink()
    assert (model.name, model.version, model.run_id) == ("other", "1", models.RUN_ID)
    assert model.metadata()["name"] == "other"
