"""Which rules belong to which kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seaway.local.api.rules import inferenceservice, job, plain, pod
from seaway.local.api.status import Cause, Object


def _same(manifest: Object) -> Object:
    return manifest


def _none(manifest: Object) -> list[Cause]:
    return []


def _free(before: Object, after: Object) -> list[Cause]:
    return []


@dataclass(frozen=True)
class Rules:
    """Pure functions over whole objects."""

    default: Callable[[Object], Object] = _same
    check: Callable[[Object], list[Cause]] = _none
    check_update: Callable[[Object, Object], list[Cause]] = _free


RULES: dict[str, Rules] = {
    "namespaces": Rules(plain.default_namespace),
    "pods": Rules(pod.default, pod.check, pod.check_update),
    "configmaps": Rules(check=plain.check_data, check_update=plain.check_data_update),
    "secrets": Rules(plain.default_secret, plain.check_data, plain.check_data_update),
    "services": Rules(plain.default_service),
    "jobs.batch": Rules(job.default, job.check, job.check_update),
    "inferenceservices.serving.kserve.io": Rules(check=inferenceservice.check),
}
"""By resource; a kind without a row has no rules of its own."""
