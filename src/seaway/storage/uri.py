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
from seaway.storage import s3


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

    if s3.is_s3(uri):
        return s3.filesystem(uri)
    try:
        fs, path = fsspec.core.url_to_fs(str(local_path(uri)) if is_local(uri) else uri)
    except (ImportError, ValueError) as e:
        raise InputError(f"{uri}: no file system for this scheme: {e}") from e
    return fs, path


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    fs, path = filesystem(uri)
    with reached(uri):
        return bool(fs.exists(path))


def is_folder(uri: str) -> bool:
    """Whether a folder is there."""
    fs, path = filesystem(uri)
    with reached(uri):
        return bool(fs.isdir(path))


def list_files(uri: str, *, suffixes: Sequence[str] = ()) -> list[str]:
    """URIs of the files below a folder, sorted; hidden ones and those with another suffix are left out."""
    fs, path = filesystem(uri)
    scheme = uri.split("://", 1)[0] + "://" if "://" in uri else ""
    with reached(uri):
        names = fs.find(path)
    found = []
    for name in names:
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
    with reached(uri):
        try:
            data: bytes = fs.cat_file(path)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as e:
            if s3.is_s3(uri):
                raise
            raise InputError(f"{uri}: must be a file that can be read: {e}") from None
    return data


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file whole: a local one appears under its name only when complete, as object stores do anyway."""
    if not is_local(uri):
        fs, path = filesystem(uri)
        with reached(uri):
            fs.pipe_file(path, data)
        return
    with open_write(uri) as f:
        f.write(data)


@contextmanager
def open_read(uri: str) -> Iterator[IO[bytes]]:
    """A file to read parts of: of a store, only what is asked for is fetched.

    Raises:
        InputError: it is not there, or cannot be reached.
    """
    fs, path = filesystem(uri)
    with reached(uri):
        file = fs.open(path, "rb") if is_local(uri) else fs.open(path, "rb", cache_type="none")
    with file:
        yield file


@contextmanager
def open_write(uri: str) -> Iterator[IO[bytes]]:
    """A file to write; it takes its name only when the block ends without an error."""
    if not is_local(uri):
        # here first: then an error of the block leaves nothing over there, and is not taken for one of the store
        with tempfile.NamedTemporaryFile(prefix="seaway-") as local:
            yield local.file
            local.flush()
            fs, path = filesystem(uri)
            with reached(uri):
                fs.put_file(local.name, path)
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
        with reached(uri):
            if not fs.exists(remote):
                raise InputError(f"{uri}: must exist, nothing is there: check the URI and the credentials")
            fs.get(remote.rstrip("/") + "/" if fs.isdir(remote) else remote, str(copy), recursive=True)
        yield copy


@contextmanager
def reached(uri: str) -> Iterator[None]:
    """What goes wrong on the way to another machine, in words; a local disk's own errors stay what they are."""
    try:
        yield
    except InputError:
        raise
    except Exception as e:
        if is_local(uri):
            raise
        if s3.is_s3(uri):
            raise s3.in_words(uri, e) from e
        # every file system has errors of its own: botocore's, aiohttp's, gcsfs's
        raise InputError(
            f"{uri}: must be reachable, found {type(e).__name__}: {e}: check the URI, the credentials and the network"
        ) from e


def upload_folder(folder: Path, uri: str, *, last: str) -> None:
    """Copy a folder to a URI; the file ``last`` goes last, so that whoever finds it finds all.

    A destination that is there already is replaced: a local one in one rename, elsewhere ``last`` goes first and files
    of before that the folder does not have go too.
    """
    if is_local(uri):
        destination = local_path(uri)
        destination.parent.mkdir(parents=True, exist_ok=True)
        part = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            shutil.copytree(folder, part)
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
    if s3.is_s3(uri) and "/" not in remote.strip("/"):
        raise InputError(f"{uri}: must name a folder in a bucket, found the bucket: a folder there is replaced whole")
    paths = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    with reached(uri):
        before = {name.removeprefix(remote.rstrip("/") + "/") for name in fs.find(remote)}
        for name in sorted(before, key=lambda n: n != last):
            if name == last or name not in paths:
                fs.rm_file(join(remote, name))
        for name in sorted(paths, key=lambda n: (n == last, n)):
            fs.put_file(str(paths[name]), join(remote, name))
