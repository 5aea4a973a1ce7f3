"""Which rules belong to which kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seaway.local.api.rules import inferencegraph, inferenceservice, job, plain, pod, pytorchjob
from seaway.local.api.status import Cause, Object


def _same(manifest: Object) -> Object:
    return manifest


def _none(manifest: Object) -> list[Cause]:
    return []


def _free(before: Object, after: Object) -> list[Cause]:
    return []


@dataclass(frozen=True)
class Webhook:
    """The validating webhook that a kind has on a cluster."""

    name: str
    check: Callable[[Object | None, Object], list[Cause]]
    """Of an object before a change (None: it is new) and after: what it refuses."""
    warn: Callable[[Object], list[str]] = lambda manifest: []


@dataclass(frozen=True)
class Rules:
    """Pure functions over whole objects."""

    default: Callable[[Object], Object] = _same
    check: Callable[[Object], list[Cause]] = _none
    check_update: Callable[[Object, Object], list[Cause]] = _free
    webhook: Webhook | None = None


RULES: dict[str, Rules] = {
    "namespaces": Rules(plain.default_namespace),
    "pods": Rules(pod.default, pod.check, pod.check_update),
    "configmaps": Rules(check=plain.check_data, check_update=plain.check_data_update),
    "secrets": Rules(plain.default_secret, plain.check_data, plain.check_data_update),
    "services": Rules(plain.default_service),
    "jobs.batch": Rules(job.default, job.check, job.check_update),
    "pytorchjobs.kubeflow.org": Rules(
        pytorchjob.default,
        pytorchjob.check,
        pytorchjob.check_update,
        Webhook(pytorchjob.WEBHOOK, pytorchjob.admit, pytorchjob.warn),
    ),
    "inferenceservices.serving.kserve.io": Rules(check=inferenceservice.check),
    "inferencegraphs.serving.kserve.io": Rules(
        check=inferencegraph.check, webhook=Webhook(inferencegraph.WEBHOOK, inferencegraph.admit)
    ),
}
"""By resource; a kind without a row has no rules of its own."""
