"""Checkpoints: what a training that was cut off goes on from, whatever the framework.

In: the folder of the spec, and bytes in the format safetensors, which can run no code. Out: one file an epoch, whole or
not there. A file's name begins with the digest of what decides a training, so that another training's is never taken
for one's own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import Callable

from seaway.observe import logs
from seaway.storage import uri as storage
from seaway.training.place import Place
from seaway.training.spec import TrainSpec

KEPT = 2
"""Checkpoints that are kept: the newest, and one before it should that be damaged."""
_VERSION = 2
"""Of what a file holds."""
_NAME = re.compile(r"^(?P<digest>[0-9a-f]{16})-(?P<epoch>\d{5}|ended)\.safetensors$")
_OF_THE_RUN = ("name", "version", "run_id", "output", "checkpoints", "validation_rows", "measure_scaling")
"""Fields of a spec that do not change what is learnt."""

_logger = logging.getLogger(__name__)


def digest(spec: TrainSpec) -> str:
    """16 hex digits of what decides a training, but for the number of its ranks: another number may go on with it."""
    decides = {k: v for k, v in dataclasses.asdict(spec).items() if k not in _OF_THE_RUN}
    text = json.dumps([_VERSION, decides], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def has_ended(spec: TrainSpec) -> bool:
    """Whether this training has ended and only its package may be missing."""
    return "ended" in _own(spec)


def newest(spec: TrainSpec, *, check: Callable[[bytes], object]) -> bytes:
    """The newest whole checkpoint of this very training; empty if there is none.

    Args:
        spec: of the training.
        check: raises ValueError for a file that is damaged; the one before is taken then.

    Raises:
        UnreachableError: the folder cannot be reached.
    """
    for epoch, uri in sorted(_own(spec).items(), reverse=True):
        content = storage.read_bytes(uri)
        try:
            check(content)
        except ValueError as e:
            logs.info(_logger, "a damaged checkpoint is not used", uri=uri, reason=str(e)[:200])
            continue
        logs.info(_logger, "found a checkpoint", uri=uri, epoch=epoch)
        return content
    own = digest(spec)
    if others := [uri for uri, match in _listed(spec) if match["digest"] != own]:
        logs.info(
            _logger,
            "checkpoints of another training are not used: the data, the hyperparameters or the seed differ; this one "
            "begins anew",
            found=len(others),
            uri=others[0],
        )
    return b""


def write(spec: TrainSpec, place: Place, content: bytes, *, epoch: int, ended: bool = False) -> None:
    """Keep a checkpoint and drop older ones; a store that refuses costs the checkpoint, not the training."""
    name = f"{digest(spec)}-{'ended' if ended else f'{epoch:05d}'}.safetensors"
    try:
        with place.span("checkpoint", epoch=epoch):
            storage.write_bytes(storage.join(spec.checkpoints, name), content)
            own = sorted(_own(spec).items(), reverse=True)
            for _, uri in own[1 if ended else KEPT :]:  # "ended" comes before all digits
                _delete(uri)
    except Exception as e:  # every file system has errors of its own
        _logger.warning("the checkpoint of epoch %d could not be written: %s", epoch, e)


def remove(spec: TrainSpec) -> None:
    """Drop all checkpoints of this training: its package is there. What cannot be dropped stays."""
    try:
        for uri in _own(spec).values():
            _delete(uri)
    except Exception as e:
        _logger.warning("the checkpoints in %s could not be dropped: %s", spec.checkpoints, e)
        return
    if spec.checkpoints and storage.is_local(spec.checkpoints):
        with contextlib.suppress(OSError):  # not there, or not empty
            storage.local_path(spec.checkpoints).rmdir()


def _own(spec: TrainSpec) -> dict[str, str]:
    """URIs of this training's checkpoints, by epoch."""
    own = digest(spec)
    return {match["epoch"]: uri for uri, match in _listed(spec) if match["digest"] == own}


def _listed(spec: TrainSpec) -> list[tuple[str, re.Match[str]]]:
    """Checkpoints in the folder, of any training."""
    if not spec.checkpoints:
        return []
    uris = storage.list_files(spec.checkpoints, suffixes=(".safetensors",))
    return [(uri, match) for uri in uris if (match := _NAME.match(uri.rsplit("/", 1)[-1]))]


def _delete(uri: str) -> None:
    fs, path = storage.filesystem(uri)
    fs.rm_file(path)
