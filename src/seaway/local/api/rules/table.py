"""Which rules belong to which kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seaway.local.api.rules import inferencegraph, inferenceservice, job, plain, pod, trainingjob, trainjob
from seaway.local.api.rules import trainingruntime as runtime
from seaway.local.api.status import Cause, Object
from seaway.local.api.trainingkinds import TRAINING_KINDS

Find = Callable[[str, str, str], Object | None]
"""Resource, namespace and name to the object, None when there is none."""


def _same(manifest: Object) -> Object:
    return manifest


def _none(manifest: Object) -> list[Cause]:
    return []


def _free(before: Object, after: Object) -> list[Cause]:
    return []


def _no_cause(before: Object | None, after: Object) -> list[Cause]:
    return []


@dataclass(frozen=True)
class Webhook:
    """The validating webhook that a kind has on a cluster."""

    name: str
    check: Callable[[Object | None, Object], list[Cause]]
    """Of an object before a change (None: it is new) and after: what it refuses."""
    warn: Callable[[Object], list[str]] = lambda manifest: []
    refers: Callable[[Object, Find], list[Cause]] = lambda manifest, find: []
    """Of an object and a look-up of others: what it refuses of what the object says of those."""


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
    **{
        kind.resource: Rules(
            trainingjob.default,
            trainingjob.check,
            trainingjob.check_update,
            Webhook(kind.webhook, trainingjob.admit, trainingjob.warn),
        )
        for kind in TRAINING_KINDS
    },
    "trainjobs.trainer.kubeflow.org": Rules(
        trainjob.default,
        trainjob.check,
        trainjob.check_update,
        Webhook(trainjob.WEBHOOK, _no_cause, refers=trainjob.refers),
    ),
    **{
        f"{plural}.trainer.kubeflow.org": Rules(
            runtime.default,
            runtime.check,
            webhook=Webhook(f"validator.{plural[:-1]}.trainer.kubeflow.org", runtime.admit),
        )
        for plural in ("trainingruntimes", "clustertrainingruntimes")
    },
    "inferenceservices.serving.kserve.io": Rules(check=inferenceservice.check),
    "inferencegraphs.serving.kserve.io": Rules(
        check=inferencegraph.check, webhook=Webhook(inferencegraph.WEBHOOK, inferencegraph.admit)
    ),
}
"""By resource; a kind without a row has no rules of its own."""
