from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seaway.errors import LaptopError
from seaway.local import credentials
from seaway.local.api.status import ApiError
from seaway.local.api.store import Store
from seaway.local.home import Paths
from seaway.local.processes import shim


def not_sqlite(path: Path) -> None:
    path.write_bytes(bytes(range(1, 256)) * 20)


def another_programs(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE objects (x INTEGER)")
    database.close()


def broken_row(path: Path) -> None:
    store = Store(path)
    store.create("namespaces", {"metadata": {"name": "one"}})
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE objects SET object = x'00ff'")
    database.close()


def cut(path: Path) -> None:
    store = Store(path)
    for number in range(100):
        store.create("namespaces", {"metadata": {"name": f"n{number}", "annotations": {"a": "b" * 500}}})
    store.close()
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize("damage", [not_sqlite, another_programs, broken_row, cut])
def test_a_damaged_database_is_named_with_what_to_do(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "objects.sqlite"
    damage(path)
    with pytest.raises(LaptopError, match=r"objects\.sqlite must be a whole database of a laptop.*remove it"):
        Store(path)


@pytest.mark.parametrize("name", ["token", "laptop.crt", "laptop.key"])
@pytest.mark.parametrize("left", ["", "rubbish"])
def test_a_damaged_secret_is_made_anew(tmp_path: Path, name: str, left: str) -> None:
    paths = Paths(tmp_path)
    paths.make()
    token = credentials.ensure(paths, 7443)
    (tmp_path / name).write_text(left)
    again = credentials.ensure(paths, 7443)
    assert len(again) >= credentials.TOKEN_LENGTH
    assert (again == token) == (name != "token")
    assert again in paths.kubeconfig.read_text()
    assert credentials.ensure(paths, 7443) == again


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "pods").touch()
    with pytest.raises(LaptopError, match=r"pods must be a folder .* SEAWAY_HOME"):
        Paths(tmp_path).make()


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_an_impossible_port_is_refused_in_words(tmp_path: Path, port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seaway.local", f"--port={port}"],
        env={"SEAWAY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == f"the port must be a number from 1 to 65535, found '{port}': set --port or SEAWAY_PORT\n"


def test_a_full_disk_refuses_a_change_and_keeps_what_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.sqlite")
    store.create("namespaces", {"metadata": {"name": "one"}})
    database = store._database
    database.execute(f"PRAGMA max_page_count={database.execute('PRAGMA page_count').fetchone()[0]}")
    version = store.version
    with pytest.raises(ApiError, match=r"could not be written: .*full") as caught:
        store.create("namespaces", {"metadata": {"name": "two", "annotations": {"a": "b" * 100_000}}})
    assert caught.value.code == 500
    assert ([one["metadata"]["name"] for one in store.items("namespaces")], store.version) == (["one"], version)
    database.execute("PRAGMA max_page_count=1000000")
    store.create("namespaces", {"metadata": {"name": "two"}})
    store.close()


def test_room_for_the_exit_record_is_taken_before_the_command_runs(tmp_path: Path) -> None:
    shim.reserve(str(tmp_path))
    taken = tmp_path / "exit.new"
    before = taken.stat()
    assert before.st_size == shim.ROOM
    shim.record(str(tmp_path), exitCode=3, signal=0, reason="", message="", startedAt=1, finishedAt=2)
    after = tmp_path / "exit"
    assert json.loads(after.read_text())["exitCode"] == 3
    assert after.stat().st_ino == before.st_ino
