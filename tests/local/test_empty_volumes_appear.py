"""An emptyDir appears below /tmp as a link to a folder of the pod's, and goes with the pod."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway.local.processes import volumes


@pytest.fixture
def at() -> Iterator[Path]:
    path = Path(f"/tmp/seaway-test-{uuid.uuid4().hex}")
    yield path
    path.unlink(missing_ok=True)


def pod(at: Path, **volume: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    container = {"name": "main", "volumeMounts": [{"name": "work", "mountPath": str(at)}]}
    return {
        "spec": {"volumes": [{"name": "work", **(volume or {"emptyDir": {}})}], "containers": [container]}
    }, container


def test_it_appears_and_goes_with_the_pod(tmp_path: Path, at: Path) -> None:
    assert volumes.place(tmp_path / "one", *pod(at)) == ""
    (at / "file").write_text("x")
    assert volumes.place(tmp_path / "one", *pod(at)) == ""  # of the next container
    assert (at / "file").read_text() == "x"
    volumes.remove(tmp_path / "one")
    assert not at.is_symlink()


def test_that_of_a_later_pod_takes_the_place_and_stays_when_the_first_is_gone(tmp_path: Path, at: Path) -> None:
    for name in ("one", "two"):
        assert volumes.place(tmp_path / name, *pod(at)) == ""
        assert list(at.iterdir()) == []
        (at / name).write_text("x")
    volumes.remove(tmp_path / "one")
    assert (at / "two").exists()


def test_what_another_has_there_is_left_alone(tmp_path: Path, at: Path) -> None:
    at.symlink_to(tmp_path)
    assert "something of another is there" in volumes.place(tmp_path / "one", *pod(at))
    assert at.readlink() == tmp_path


@pytest.mark.parametrize(
    ("source", "path", "can"),
    [
        ("emptyDir", "/tmp/x", True),
        ("emptyDir", "/tmp/x/y", True),
        ("emptyDir", "/tmp", False),
        ("emptyDir", "/tmp/../etc", False),
        ("emptyDir", "/data", False),
        ("configMap", "/tmp/x", False),
    ],
)
def test_it_can_appear_below_the_folder_for_temporary_files_alone(source: str, path: str, can: bool) -> None:
    assert volumes.can_appear(source, path) is can
