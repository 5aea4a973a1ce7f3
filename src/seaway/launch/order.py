"""The job of a training: how it is run, whatever it computes.

In: what a worker is told (a TrainSpec) and how it is run (an Order). Out: the manifest of a Job, PyTorchJob, JAXJob,
TFJob or TrainJob, without its name; exactly this is applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError
from seaway.launch.api import Object
from seaway.launch.container import container_job
from seaway.launch.frameworks import CONTAINER, ENTRYPOINT, Framework, framework_of, kind_for, processes
from seaway.launch.settings import Settings
from seaway.observe import trace
from seaway.resources import names
from seaway.resources.images import image as image_of
from seaway.resources.jaxjob import jax_job
from seaway.resources.job import job
from seaway.resources.merge import merge
from seaway.resources.pod import Ends, Replica, env_list
from seaway.resources.pytorchjob import Elastic, pytorch_job
from seaway.resources.scaling import Scaling
from seaway.resources.tfjob import tf_job
from seaway.resources.trainjob import train_job
from seaway.training.spec import ENV, EXIT_INPUT, TrainSpec


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a training is run, whatever it computes."""

    scaling: Scaling = field(default_factory=Scaling)
    api: str = "v1"
    """v1: Job, PyTorchJob, JAXJob or TFJob; v2: TrainJob."""
    framework_version: str = ""
    """Selects an image; empty for the default one."""
    image: str = ""
    """Another image than the framework's; empty for that."""
    command: Sequence[str] = ()
    """Of a container that brings its own training."""
    retries: int = 1
    """How often the job survives the loss of a replica."""
    deadline_s: int = 0
    """Seconds after which the job fails; 0 for none."""


def manifest(spec: TrainSpec, *, run_id: str, settings: Settings, order: Order, patch: Mapping[str, Any]) -> Object:
    """The job's manifest, without its name; exactly this is applied.

    Raises:
        InputError: there is no such framework, or its target cannot express the order.
    """
    framework = framework_of(spec.framework)
    kind = kind_for(spec.framework, order.scaling, api=order.api)
    for what in ("retries", "deadline_s"):
        if (found := getattr(order, what)) < 0:
            raise InputError(f"{what} must be at least 0, found {found}")
    uris = (spec.train, spec.validation, spec.validation_rows, spec.features, spec.output, spec.entrypoint)
    env = {ENV: spec.to_json(), "SEAWAY_RUN_ID": run_id, "PYTHONUNBUFFERED": "1"}
    replica = Replica(
        image=order.image or image_of(framework.image, framework_version=order.framework_version),
        command=list(order.command) or _command(spec, framework, order.scaling),
        env=[*env_list(env), *settings.job_env(uris)],
        labels=names.run_labels(run_id, "train"),
        annotations={"seaway.dev/trace-id": trace.trace_id(run_id)},
        cpu=order.scaling.cpu,
        memory=order.scaling.memory,
        gpus=order.scaling.gpus,
        service_account=settings.job_service_account,
    )
    if spec.framework == CONTAINER:
        ends = Ends(deadline_s=order.deadline_s or None)
        built: Mapping[str, Any] = container_job(spec, replica, ends=ends, retries=order.retries)
    else:
        built = _job(kind, framework, replica, order)
    merged: Object = merge(built, patch)
    return merged


def _command(spec: TrainSpec, framework: Framework, scaling: Scaling) -> list[str]:
    by_torchrun = scaling.elastic or processes(framework, scaling) > 1
    module = ENTRYPOINT if spec.entrypoint else framework.module
    return [*(["torchrun"] if by_torchrun else ["python"]), "-m", module]


def _job(kind: str, framework: Framework, replica: Replica, order: Order) -> Mapping[str, Any]:
    scaling, ends = order.scaling, Ends(deadline_s=order.deadline_s or None)
    each = processes(framework, scaling)
    common: dict[str, Any] = {"name": "", "replica": replica, "ends": ends}
    if kind == "Job":
        return job(**common, backoff_limit=order.retries, hopeless_exit_codes=(EXIT_INPUT,))
    common["replicas"] = scaling.replicas
    if kind == "PyTorchJob":
        low, high = scaling.bounds
        elastic = Elastic(min_replicas=low, max_replicas=high, max_restarts=order.retries) if scaling.elastic else None
        return pytorch_job(**common, processes=each, elastic=elastic)
    if kind == "TrainJob":
        return train_job(**common, runtime=framework.runtime, processes=each if framework.torchrun else None)
    return jax_job(**common) if kind == "JAXJob" else tf_job(**common)
