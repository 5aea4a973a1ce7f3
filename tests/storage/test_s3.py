"""Object stores, against a real server: what is written is read, and what goes wrong is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from seaway.data import table
from seaway.errors import InputError, UnreachableError
from seaway.model.contract import Target
from seaway.storage import s3 as stores
from seaway.storage import uri
from seaway.storage.s3_filesystem import BoundedS3FileSystem
from seaway.training import tables
from tests.support.object_store import Keys, ObjectStore, answering_server, stalled_server

SCHEMES = pytest.mark.parametrize("scheme", ["s3", "minio"])


def write_half(target: str) -> None:
    with uri.open_write(target) as f:
        f.write(b"half")
        raise ZeroDivisionError


def localize(target: str) -> Path:
    with uri.localized(target) as path:
        return path


ACCESS: dict[str, Callable[[str], object]] = {
    "read": uri.read_bytes,
    "write": lambda u: uri.write_bytes(u, b"1"),
    "exists": uri.exists,
    "is_folder": uri.is_folder,
    "list": uri.list_files,
    "localized": localize,
}
EVERY_ACCESS = pytest.mark.parametrize("access", ACCESS.values(), ids=ACCESS)
WAITING = {name: ACCESS[name] for name in ("read", "write", "localized")}


@SCHEMES
def test_what_is_written_is_read_again(s3: ObjectStore, scheme: str) -> None:
    target = f"{scheme}://box/{scheme}/a.txt"
    assert not uri.exists(target)
    uri.write_bytes(target, b"one")
    assert uri.read_bytes(target) == b"one"
    with uri.open_write(target) as f:
        f.write(b"two")
    with uri.localized(target) as path:
        assert path.read_bytes() == b"two"
    assert not path.exists()
    assert uri.exists(target)
    assert uri.is_folder(f"{scheme}://box/{scheme}")
    assert uri.list_files(f"{scheme}://box/{scheme}") == [target]
    assert f"{scheme}/a.txt" in s3.keys("box")


def test_a_file_that_fails_half_way_does_not_appear(s3: ObjectStore) -> None:
    with pytest.raises(ZeroDivisionError):
        write_half("s3://box/half.txt")
    assert "half.txt" not in s3.keys("box")


def test_what_another_process_wrote_in_the_meantime_is_seen(s3: ObjectStore) -> None:
    uri.write_bytes("s3://box/jobs/before.txt", b"1")
    assert uri.list_files("s3://box/jobs") == ["s3://box/jobs/before.txt"]
    assert not uri.exists("s3://box/jobs/model/model.json")
    from tests.support import object_store

    object_store._client("s3", s3.endpoint, s3.user).put_object(Bucket="box", Key="jobs/model/model.json", Body=b"{}")
    assert uri.exists("s3://box/jobs/model/model.json")
    assert uri.read_bytes("s3://box/jobs/model/model.json") == b"{}"


def test_a_folder_is_replaced_whole(s3: ObjectStore, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / f"{name}.txt").write_text(name)
        (tmp_path / name / "model.json").write_text(name)
        uri.upload_folder(tmp_path / name, "s3://box/package", last="model.json")
    uri.write_bytes("s3://box/package2/other.txt", b"not of that folder")
    with uri.localized("s3://box/package") as folder:
        found = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert found == {"deep/new.txt": "new", "model.json": "new"}
    assert "package2/other.txt" in s3.keys("box")


def test_a_whole_bucket_is_never_replaced(s3: ObjectStore, tmp_path: Path) -> None:
    before = s3.keys("box")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(InputError, match="must name a folder in a bucket"):
        uri.upload_folder(tmp_path, "s3://box", last="model.json")
    assert s3.keys("box") == before


def test_tables_are_read_by_both_readers(s3: ObjectStore) -> None:
    frame = pl.DataFrame({"a": pl.Series([1.0, 2.0], dtype=pl.Float32), tables.TARGET: [1.5, 2.5]})
    for part in ("one", "two"):
        with uri.open_write(f"s3://box/table/{part}.parquet") as f:
            frame.write_parquet(f)
    target = Target(name="y", task="regression", dtype="float64")
    with tables.opened("minio://box/table", target, what="training") as part:
        assert part.read().target.tolist() == [1.5, 2.5, 1.5, 2.5]
    assert table.scan("s3://box/table").collect().height == 4
    with table.opened("s3://box/table/one.parquet") as (lazy, files):
        assert lazy.collect().height == 2
        assert [p.name for p in files] == ["one.parquet"]


def test_an_endpoint_without_a_scheme_is_http_as_kfp_writes_it(
    s3: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWAY_S3_ENDPOINT", s3.endpoint.removeprefix("http://"))
    assert stores.endpoint() == s3.endpoint
    uri.write_bytes("s3://box/plain.txt", b"1")
    assert uri.read_bytes("minio://box/plain.txt") == b"1"


def become(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    for name, value in keys.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SEAWAY_STORAGE_SECRET", "my-store")


@EVERY_ACCESS
def test_who_may_not_is_told_which_keys_are_asked_for(
    s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, access: Callable[[str], object]
) -> None:
    become(monkeypatch, s3.stranger)
    with pytest.raises(InputError, match=r"must let us in, found: .*Secret my-store .*accesskey and secretkey") as e:
        access("s3://box/a/b.txt")
    assert not isinstance(e.value, UnreachableError)
    assert s3.endpoint in str(e.value)


def test_wrong_keys_are_told_as_the_store_puts_it(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, Keys(key="AKIAUNKNOWN", secret="x"))
    with pytest.raises(InputError, match=r"Access Key Id you provided does not exist.*Secret my-store"):
        uri.list_files("s3://box/a")
    BoundedS3FileSystem.clear_instance_cache()
    become(monkeypatch, Keys(key=s3.user.key, secret="x"))
    with pytest.raises(InputError, match=r"signature we calculated does not match.*Secret my-store"):
        uri.write_bytes("s3://box/a", b"1")


def test_missing_credentials_are_said_with_the_secret_that_lacks_them(
    s3: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(InputError, match="must be given credentials, found none: AWS_ACCESS_KEY_ID and"):
        uri.read_bytes("s3://box/a.txt")
    monkeypatch.setenv("SEAWAY_STORAGE_SECRET", "my-store")
    with pytest.raises(InputError, match="Secret my-store in the pod's namespace must hold the right accesskey and"):
        uri.read_bytes("s3://box/a.txt")


def test_what_is_not_there_is_said_in_words(s3: ObjectStore) -> None:
    with pytest.raises(InputError, match="must be a file that can be read, nothing is there"):
        uri.read_bytes("s3://box/no.txt")
    with pytest.raises(InputError, match="must exist, nothing is there"):
        localize("s3://box/no.txt")
    with pytest.raises(InputError, match="the bucket 'nobox' must exist"):
        uri.read_bytes("s3://nobox/no.txt")
    with pytest.raises(InputError, match="the bucket 'nobox' must exist"):
        uri.write_bytes("minio://nobox/no.txt", b"1")
    assert not uri.exists("s3://nobox/no.txt")


@pytest.mark.parametrize("access", WAITING.values(), ids=WAITING)
def test_a_store_that_never_answers_is_given_up(
    s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, access: Callable[[str], object]
) -> None:
    monkeypatch.setenv("SEAWAY_S3_TIMEOUT_S", "0.1")
    started = time.monotonic()
    with stalled_server() as endpoint:
        monkeypatch.setenv("SEAWAY_S3_ENDPOINT", endpoint)
        with pytest.raises(UnreachableError, match=f"store at {endpoint} must answer, found .*[Tt]ime"):
            access("s3://box/a/b.txt")
    assert time.monotonic() - started < 15


def test_a_store_that_is_not_there_is_said_with_its_address(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAWAY_S3_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"store at http://127.0.0.1:1 must answer, .*SEAWAY_S3_ENDPOINT"):
        uri.read_bytes("s3://box/a.txt")


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_with_troubles_of_its_own_may_be_asked_again(
    s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with answering_server(status, b"<html>proxy</html>") as endpoint:
        monkeypatch.setenv("SEAWAY_S3_ENDPOINT", endpoint)
        with pytest.raises(UnreachableError, match="must answer"):
            uri.read_bytes("s3://box/a.txt")


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan"])
def test_a_time_out_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SEAWAY_S3_TIMEOUT_S", text)
    with pytest.raises(InputError, match="SEAWAY_S3_TIMEOUT_S must be a number of seconds"):
        uri.read_bytes("s3://box/a.txt")
