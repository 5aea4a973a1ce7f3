"""Checkpoints of a user's own training: any files, whole or not there.

In: folders that the ranks wrote. Out: files below the spec's URI: an archive from each rank, and, when all are there,
one small file that names them with their SHA-256. Without that file a checkpoint is none, and one whose archives have
another digest is left aside, so a reader is never given half of one. The ranks meet in the store alone: it works for
every framework, and with none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from seaway.errors import InputError, UnreachableError
from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training.place import Place
from seaway.training.spec import TrainSpec

_OF_THE_RUN = ("name", "version", "run_id", "output", "checkpoints", "validation_rows", "measure_scaling")
"""Fields of a spec that do not change what is learnt."""
_COMMIT = re.compile(r"^(?P<digest>[0-9a-f]{16})-(?P<step>\d{12})\.json$")
_EVERY_S = 0.05
_STEP_LIMIT = 10**12

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshots:
    """The checkpoints of one training, as one of its ranks sees them."""

    uri: str
    """Of their folder; empty keeps none."""
    digest: str
    """Of what decides the training, but for the number of its ranks: another number goes on from them."""
    place: Place
    timeout_s: float = 300.0
    """For all ranks to hand in their archives."""

    @classmethod
    def of(cls, spec: TrainSpec, place: Place, *, timeout_s: float = 300.0) -> Snapshots:
        """Those of a spec's training."""
        decides = {k: v for k, v in dataclasses.asdict(spec).items() if k not in _OF_THE_RUN}
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
        return cls(uri=spec.checkpoints, digest=digest, place=place, timeout_s=timeout_s)

    def clear(self) -> None:
        """Drop what this rank handed in for a checkpoint that was not ended; call it before the first `writing`."""
        if not self.uri:
            return
        with self._forgiven("what an earlier attempt left"):
            for name in self._names():
                if name.startswith(self.digest) and name.endswith(f".rank-{self._own}.json"):
                    self._delete(name)

    def newest(self, into: Path) -> tuple[int, Path] | None:
        """The newest whole checkpoint: its step, and a folder below ``into`` with the files of all ranks.

        Raises:
            UnreachableError: the folder cannot be reached.
        """
        if not self.uri:
            return None
        for step in sorted(self._steps(), reverse=True):
            folder = into / str(step)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                commit = json.loads(storage.read_bytes(self._at(self._commit(step))))
                for name, sha256 in commit["archives"].items():
                    self._extract(str(name), str(sha256), folder)
            except UnreachableError:
                raise
            except (ValueError, KeyError, TypeError, AttributeError, OSError, tarfile.TarError) as e:
                reason = f"{type(e).__name__}: {e}"[:200]
                logs.info(_logger, "a damaged checkpoint is not used", step=step, reason=reason)
                shutil.rmtree(folder, ignore_errors=True)
                continue
            logs.info(_logger, "found a checkpoint", step=step, rank=self.place.rank)
            return step, folder
        return None

    @contextmanager
    def writing(self, step: int, *, all_ranks: bool, keep: int) -> Iterator[Path]:
        """A folder whose files become the checkpoint of ``step`` when the block ends well.

        A store that refuses costs the checkpoint, not the training; an error of the block is raised.

        Args:
            step: of the training, at least 0.
            all_ranks: whether every rank's files belong to it; else those of rank 0 alone.
            keep: how many are kept, the newest.

        Raises:
            InputError: the step or the number kept does not hold.
        """
        if not 0 <= step < _STEP_LIMIT or keep < 1:
            raise InputError(f"a checkpoint must have a step from 0 and keep at least 1, found {step=}, {keep=}")
        with tempfile.TemporaryDirectory(prefix="seaway-checkpoint-") as tmp:
            folder = Path(tmp) / str(step)
            folder.mkdir()
            yield folder
            if not self.uri or not (all_ranks or self.place.leads):
                return
            with self._forgiven(f"the checkpoint of step {step}"), self.place.span("checkpoint", step=step):
                self._hand_in(step, folder)
                if self.place.leads:
                    ranks = self.place.world_size if all_ranks else 1
                    archives = self._gathered(step, ranks)
                    content = json.dumps({"step": step, "archives": archives}, sort_keys=True)
                    storage.write_bytes(self._at(self._commit(step)), content.encode())
                    self._prune(keep)

    def remove(self) -> None:
        """Drop all checkpoints of this training: its package is there. What cannot be dropped stays."""
        if not self.uri:
            return
        with self._forgiven("the checkpoints that are no longer needed"):
            for name in sorted(self._names(), key=lambda n: not _COMMIT.match(n)):
                if name.startswith(self.digest):
                    self._delete(name)
            if storage.is_local(self.uri):
                with contextlib.suppress(OSError):  # not there, or not empty
                    storage.local_path(self.uri).rmdir()

    @property
    def _own(self) -> str:
        return f"{self.place.rank}-of-{self.place.world_size}"

    def _commit(self, step: int) -> str:
        return f"{self.digest}-{step:012d}.json"

    def _archive(self, step: int, rank: str) -> str:
        return f"{self.digest}-{step:012d}.rank-{rank}.tar"

    def _at(self, name: str) -> str:
        return storage.join(self.uri, name)

    def _names(self) -> list[str]:
        return [u.rsplit("/", 1)[-1] for u in storage.list_files(self.uri, suffixes=(".json", ".tar"))]

    def _steps(self) -> list[int]:
        found = (_COMMIT.match(name) for name in self._names())
        return [int(m["step"]) for m in found if m and m["digest"] == self.digest]

    def _delete(self, name: str) -> None:
        fs, path = storage.filesystem(self._at(name))
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)

    def _hand_in(self, step: int, folder: Path) -> None:
        """Write this rank's archive, then the note that it is there."""
        name = self._archive(step, self._own)
        note = name.removesuffix(".tar") + ".json"
        if self.place.leads and step in self._steps():  # one that was damaged: nobody shall read it meanwhile
            self._delete(self._commit(step))
        with storage.open_write(self._at(name)) as f:
            hashed = _Hashed(f)
            with tarfile.open(fileobj=hashed, mode="w|") as archive:  # type: ignore[call-overload]
                for path in sorted(folder.iterdir()):
                    archive.add(path, arcname=path.name)
        storage.write_bytes(self._at(note), json.dumps({"archive": name, "sha256": hashed.hexdigest()}).encode())

    def _gathered(self, step: int, ranks: int) -> Mapping[str, str]:
        """Archives and digests of all ranks, once they are there."""
        names = [self._archive(step, f"{r}-of-{self.place.world_size}") for r in range(ranks)]
        notes = {name: name.removesuffix(".tar") + ".json" for name in names}
        found: dict[str, str] = {}
        ends = time.monotonic() + self.timeout_s
        while missing := [name for name in names if name not in found]:
            there = set(self._names())
            for name in missing:
                if notes[name] in there:
                    found[name] = json.loads(storage.read_bytes(self._at(notes[name])))["sha256"]
            if len(found) < len(names):
                if time.monotonic() > ends:
                    raise TimeoutError(f"no files from rank {[n for n in names if n not in found]}")
                time.sleep(_EVERY_S)
        for note in notes.values():
            self._delete(note)
        return found

    def _extract(self, name: str, sha256: str, folder: Path) -> None:
        with storage.localized(self._at(name)) as path:
            with path.open("rb") as f:
                found = hashlib.file_digest(f, "sha256").hexdigest()
            if found != sha256:
                raise ValueError(f"{name} must have the SHA-256 {sha256[:12]}, found {found[:12]}")
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")

    def _prune(self, keep: int) -> None:
        kept = {f"{self.digest}-{step:012d}" for step in sorted(self._steps(), reverse=True)[:keep]}
        oldest = min(kept)
        for name in sorted(self._names(), key=lambda n: not _COMMIT.match(n)):
            stem = name.split(".", 1)[0]
            # others may have begun to hand in the next one
            if name.startswith(self.digest) and stem not in kept and stem < oldest:
                self._delete(name)

    @contextmanager
    def _forgiven(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as e:  # every file system has errors of its own
            _logger.warning("%s could not be written or dropped in %s: %s", what, self.uri, e)


class _Hashed:
    """A file to write that knows the SHA-256 of what it was given."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
