"""The model package: a folder with one ONNX graph from raw columns to answer, and what is known about it.

    model.onnx   the graph        model.json   everything else, with the SHA-256 of every other file
    native/      the framework's own checkpoint        reports/      HTML

In: a folder or URI. Out: a `Package`, verified: no file is missing, added or changed, and the graph holds nothing that
could run code or leave the folder. A package without model.json is not one: that file is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seaway.errors import InputError, PackageError
from seaway.model import graph
from seaway.model.contract import Contract
from seaway.storage import uri as storage

if TYPE_CHECKING:
    import onnxruntime as ort

FORMAT = 1
GRAPH = "model.onnx"
INFO = "model.json"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A verified package in a local folder."""

    folder: Path
    info: Mapping[str, Any]
    contract: Contract

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.info["name"])

    @property
    def version(self) -> str:
        """The model's version: the same training in the same run has the same."""
        return str(self.info["version"])

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Run id, trace id, dataset digest and library versions."""
        provenance: Mapping[str, Any] = self.info.get("provenance", {})
        return provenance

    def session(self, *, threads: int = 1) -> ort.InferenceSession:
        """The graph in onnxruntime, on the CPU, with ``threads`` threads inside an operator.

        Raises:
            PackageError: the file is no longer the one that was verified.
        """
        from seaway.model.session import open_session

        content = (self.folder / GRAPH).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.info["files"][GRAPH]:
            raise PackageError(
                f"{self.folder}: {GRAPH} must be the file that was verified, it has changed: load it again"
            )
        return open_session(content, threads=threads)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / INFO)
    return {p.relative_to(folder).as_posix(): digest(p) for p in paths}


def write(folder: Path, uri: str, info: Mapping[str, Any]) -> None:
    """Complete a folder that holds model.onnx (native/, reports/) with its model.json and copy it to ``uri``.

    Raises:
        PackageError: the folder has no graph, or the graph may not be loaded.
    """
    if not (folder / GRAPH).is_file():
        raise PackageError(f"a model package must hold {GRAPH}, found {sorted(p.name for p in folder.iterdir())}")
    graph.check_file(folder / GRAPH)
    whole = {"format": FORMAT, **info, "files": _files(folder)}
    (folder / INFO).write_text(json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    storage.upload_folder(folder, uri, last=INFO)


def read_info(uri: str) -> dict[str, Any]:
    """model.json of a package, without loading the rest.

    Raises:
        PackageError: there is no model package at ``uri``.
    """
    try:
        raw = json.loads(storage.read_bytes(storage.join(uri, INFO)))
    except (InputError, OSError) as e:
        raise PackageError(f"{uri}: must be a model package, found no {INFO}: {e}") from e
    except ValueError as e:
        raise PackageError(f"{uri}: {INFO} must be JSON: {e}") from e
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        found = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
        raise PackageError(f"{uri}: {INFO} must have format {FORMAT}, found {found!r}: use the seaway that wrote it")
    if missing := [k for k in ("name", "version", "contract", "files") if k not in raw]:
        raise PackageError(f"{uri}: {INFO} lacks {missing}: the package is damaged, take it from its run again")
    return raw


def load(folder: Path) -> Package:
    """Verify a package in a local folder.

    Raises:
        PackageError: it is not a package, a file is missing, added or changed, or its graph may not be loaded.
    """
    info = read_info(str(folder))
    found, wanted = _files(folder), info["files"]
    wrong = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
    if wrong:
        raise PackageError(
            f"{folder}: the files must have the SHA-256 in {INFO}; missing, added or changed: {wrong}: "
            "take the package from its run again"
        )
    graph.check_file(folder / GRAPH)
    try:
        contract = Contract.from_dict(info["contract"])
    except InputError as e:
        raise PackageError(f"{folder}: {INFO} holds no valid contract: {e}") from e
    return Package(folder=folder, info=info, contract=contract)


@contextmanager
def opened(uri: str) -> Iterator[Package]:
    """A verified package at any URI; a remote one is copied here for as long as the block lasts.

    Raises:
        PackageError: there is no package, or it may not be loaded.
    """
    with ExitStack() as stack:
        try:
            package = load(stack.enter_context(storage.localized(uri)))
        except PackageError:
            raise
        except InputError as e:
            raise PackageError(f"{uri}: must be a model package: {e}") from e
        yield package
