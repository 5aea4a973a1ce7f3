"""Files by URI: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from seaway.errors import InputError
from seaway.storage import uri


def write_half(target: str) -> None:
    with uri.open_write(target) as f:
        f.write(b"half")
        raise ZeroDivisionError


def test_a_file_that_fails_half_way_does_not_appear(tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.json"
    with pytest.raises(ZeroDivisionError):
        write_half(str(target))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failed_rewrite_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    uri.write_bytes(str(target), b"old")
    with pytest.raises(ZeroDivisionError):
        write_half(f"file://{target}")
    assert uri.read_bytes(str(target)) == b"old"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name, text in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(text)
        uri.upload_folder(tmp_path / name, str(tmp_path / "target"), last="none")
    assert [p.name for p in (tmp_path / "target").iterdir()] == ["two.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "target", "two"]


def test_files_and_folders_are_also_found_in_another_file_system() -> None:
    uri.write_bytes("memory://box/a/x.csv", b"1")
    uri.write_bytes("memory://box/a/y.csv", b"2")
    assert uri.read_bytes("memory://box/a/x.csv") == b"1"
    assert uri.is_folder("memory://box/a")
    assert [u.rsplit("/", 1)[1] for u in uri.list_files("memory://box/a", suffixes=[".csv"])] == ["x.csv", "y.csv"]
    with uri.localized("memory://box/a") as folder:
        assert sorted(p.name for p in folder.iterdir()) == ["x.csv", "y.csv"]
    assert not folder.exists()


def test_what_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a file"):
        uri.read_bytes(str(tmp_path / "no"))
    with pytest.raises(InputError, match="nothing is there"), uri.localized(str(tmp_path / "no")):
        pass


def test_an_unknown_scheme_is_said_in_words() -> None:
    with pytest.raises(InputError, match="no file system for this scheme"):
        uri.read_bytes("nosuchscheme://x/y")


def test_a_machine_that_cannot_be_reached_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Unable to locate credentials")  # botocore's error is no OSError either

    memory = uri.filesystem("memory://box")[0]
    for name in ("exists", "cat_file"):
        monkeypatch.setattr(memory, name, refuse)
    words = "memory://box/t.csv: must be reachable, found RuntimeError: Unable to locate credentials"
    with pytest.raises(InputError, match=words), uri.localized("memory://box/t.csv"):
        pass
    with pytest.raises(InputError, match=words):
        uri.read_bytes("memory://box/t.csv")


def test_an_empty_path_is_not_the_current_folder() -> None:
    with pytest.raises(InputError, match="found an empty one"), uri.localized(""):
        pass
