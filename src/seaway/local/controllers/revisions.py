"""Revisions of what answers at one port: the newest replaces the one before once it is ready. Pure.

InferenceServices and InferenceGraphs roll alike: a changed spec is another revision with another hash and the next
number; its pods start beside those of the one before, which go when the new ones are ready.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seaway.local.api.status import Object
from seaway.local.controllers.base import is_true

HASH_ANNOTATION = "seaway.dev/revision-hash"
NUMBER_ANNOTATION = "seaway.dev/revision"
"""Both on the owner's status."""
REVISION_LABEL = "seaway.dev/revision"
_HOPELESS = ("ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError")
_NO_FAILURE = ("NodeShutdown", "ContainerStatusUnknown")
"""Reasons of ends that were the laptop's, not the container's."""


@dataclass(frozen=True)
class Ended:
    """Why a pod's container does not run."""

    reason: str
    """Of a container that cannot be started; empty for one that ended."""
    message: str
    exit_code: int = 0


def numbered(manifest: Object, what: Any) -> tuple[int, str]:
    """Number and hash of the newest revision: the next number when ``what`` a revision is made of is another."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    known = (manifest.get("status") or {}).get("annotations") or {}
    number = int(known.get(NUMBER_ANNOTATION, 0))
    return (number if known.get(HASH_ANNOTATION) == digest else number + 1), digest


def split(pods: Sequence[Object], newest: str) -> tuple[list[Object], list[Object]]:
    """Pods of the revision named ``newest``, and the others."""
    new = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(REVISION_LABEL) == newest]
    return new, [pod for pod in pods if pod not in new]


def rolled(
    new: Sequence[Object], old: Sequence[Object], wanted: int, *, exclusive: bool = False
) -> tuple[list[Object], int]:
    """Which pods stay, and how many of the newest revision are still to be made.

    Args:
        new: pods of the newest revision.
        old: pods of others.
        wanted: how many of the newest there should be.
        exclusive: the old must have ended before the new start.
    """
    if sum(1 for pod in new if is_true(pod, "Ready")) >= wanted or exclusive:
        kept = [pod for pod in old if pod["metadata"].get("deletionTimestamp")]
    else:
        kept = [pod for pod in old if is_true(pod, "Ready") or pod["metadata"].get("deletionTimestamp")]
    lasting = [pod for pod in new if not pod["metadata"].get("deletionTimestamp")]
    # The ready ones first: what goes when there are too many is what serves least.
    lasting.sort(key=lambda pod: not is_true(pod, "Ready"))
    kept += lasting[:wanted] + [pod for pod in new if pod not in lasting]
    return kept, 0 if exclusive and old else max(0, wanted - len(lasting))


def ended(pods: Sequence[Object]) -> Ended | None:
    """The first failure among the containers of pods, None if there is none."""
    for pod in pods:
        for one in (pod.get("status") or {}).get("containerStatuses") or []:
            waiting = one.get("state", {}).get("waiting") or {}
            if waiting.get("reason") in _HOPELESS:
                return Ended(waiting["reason"], waiting.get("message", ""))
            found = one.get("state", {}).get("terminated") or one.get("lastState", {}).get("terminated")
            if found and not one.get("ready") and found.get("reason") not in _NO_FAILURE:
                said = found.get("message") or f"the server ended with exit code {found['exitCode']}"
                return Ended("", said, found["exitCode"])
    return None
