"""Files and folders by URI: local paths, file://, s3://, gs://, and KFP's minio:// (which is S3 at an endpoint).

In: a URI. Out: bytes, a local path, or files written so that a reader never sees half of one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from seaway.errors import InputError

ENDPOINT_ENV = ("SEAWAY_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Where an S3 endpoint other than AWS's own is named, first one wins."""


def is_local(uri: str) -> bool:
    """Whether the URI names a file of this machine."""
    return "://" not in uri or uri.startswith("file://")


def local_path(uri: str) -> Path:
    """The path of a local URI."""
    return Path(uri.removeprefix("file://")).expanduser()


def join(uri: str, *parts: str) -> str:
    """The URI of something below ``uri``."""
    return "/".join([uri.rstrip("/"), *(p.strip("/") for p in parts)])


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI, and the path in it.

    Raises:
        InputError: no file system for that scheme is installed.
    """
    import fsspec

    options: dict[str, Any] = {}
    if uri.startswith("minio://"):
        uri = "s3://" + uri.removeprefix("minio://")
    if uri.startswith("s3://"):
        endpoint = next((os.environ[k] for k in ENDPOINT_ENV if os.environ.get(k)), None)
        if endpoint:
            options["endpoint_url"] = endpoint
    try:
        fs, path = fsspec.core.url_to_fs(str(local_path(uri)) if is_local(uri) else uri, **options)
    except (ImportError, ValueError) as e:
        raise InputError(f"{uri}: no file system for this scheme: {e}; for s3:// install seaway[s3]") from e
    return fs, path


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    fs, path = filesystem(uri)
    return bool(fs.exists(path))


def is_folder(uri: str) -> bool:
    """Whether a folder is there."""
    fs, path = filesystem(uri)
    return bool(fs.isdir(path))


def list_files(uri: str, *, suffixes: Sequence[str] = ()) -> list[str]:
    """URIs of the files below a folder, sorted; hidden ones and those with another suffix are left out."""
    fs, path = filesystem(uri)
    scheme = uri.split("://", 1)[0] + "://" if "://" in uri else ""
    found = []
    for name in fs.find(path):
        base = name.rsplit("/", 1)[-1]
        if base.startswith((".", "_")) or (suffixes and not base.lower().endswith(tuple(suffixes))):
            continue
        found.append(name if is_local(uri) else scheme + name)
    return sorted(found)


def read_bytes(uri: str) -> bytes:
    """The content of a file.

    Raises:
        InputError: it is not there.
    """
    fs, path = filesystem(uri)
    with _reached(uri):
        try:
            data: bytes = fs.cat_file(path)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as e:
            raise InputError(f"{uri}: must be a file that can be read: {e}") from None
    return data


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file whole: a local one appears under its name only when complete, as object stores do anyway."""
    with open_write(uri) as f:
        f.write(data)


@contextmanager
def open_write(uri: str) -> Iterator[IO[bytes]]:
    """A file to write; it takes its name only when the block ends without an error."""
    if not is_local(uri):
        fs, path = filesystem(uri)
        with fs.transaction, fs.open(path, "wb") as remote:
            yield remote
        return
    path_ = local_path(uri)
    path_.parent.mkdir(parents=True, exist_ok=True)
    part = path_.with_name(f".{path_.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        part.replace(path_)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def localized(uri: str) -> Iterator[Path]:
    """A local path of a file or folder: itself if it is local, else a copy that goes when the block ends.

    Raises:
        InputError: nothing is there, or it cannot be reached.
    """
    if not uri.strip():
        raise InputError("a path or URI must be given, found an empty one: name a file or a folder")
    if is_local(uri):
        path = local_path(uri)
        if not path.exists():
            raise InputError(f"{uri}: must exist, nothing is there: check the path")
        yield path
        return
    fs, remote = filesystem(uri)
    with tempfile.TemporaryDirectory(prefix="seaway-") as tmp:
        copy = Path(tmp) / remote.rstrip("/").rsplit("/", 1)[-1]
        with _reached(uri):
            if not fs.exists(remote):
                raise InputError(f"{uri}: must exist, nothing is there: check the URI and the credentials")
            fs.get(remote.rstrip("/") + "/" if fs.isdir(remote) else remote, str(copy), recursive=True)
        yield copy


@contextmanager
def _reached(uri: str) -> Iterator[None]:
    """What goes wrong on the way to another machine, in words; a local disk's own errors stay what they are."""
    try:
        yield
    except InputError:
        raise
    except Exception as e:
        if is_local(uri):
            raise
        # every file system has errors of its own: botocore's, aiohttp's, gcsfs's
        raise InputError(
            f"{uri}: must be reachable, found {type(e).__name__}: {e}: check the URI, the credentials and the network"
        ) from e


def upload_folder(folder: Path, uri: str, *, last: str) -> None:
    """Copy a folder to a URI; the file ``last`` goes last, so that whoever finds it finds all.

    A local destination that is there already is replaced in one rename.
    """
    if is_local(uri):
        destination = local_path(uri)
        destination.parent.mkdir(parents=True, exist_ok=True)
        part = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.part")
        shutil.copytree(folder, part)
        try:
            if destination.exists():
                old = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.old")
                destination.rename(old)
                part.rename(destination)
                shutil.rmtree(old)
            else:
                part.rename(destination)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return
    fs, remote = filesystem(uri)
    names = sorted(
        (p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.relative_to(folder).as_posix() == last
    )
    for path in names:
        fs.put_file(str(path), join(remote, path.relative_to(folder).as_posix()))
