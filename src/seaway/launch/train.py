"""Train a model by a Kubernetes job, whatever the framework.

In: URIs of the features and of the validation rows, a framework and its hyperparameters. Out: a model package at
``model``. A framework is one row of `FRAMEWORKS`: its image, its worker module and the kind of job.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError
from seaway.launch.api import Api, Object
from seaway.launch.identity import Identity, identify
from seaway.launch.job import named, run_job
from seaway.launch.settings import Settings
from seaway.model import package
from seaway.observe import logs, trace
from seaway.resources import names
from seaway.resources.images import image
from seaway.resources.job import job
from seaway.resources.merge import merge
from seaway.resources.pod import add_env, env_list
from seaway.resources.pytorchjob import pytorch_job
from seaway.storage import uri as storage
from seaway.training.spec import ENV, EXIT_INPUT, TrainSpec

_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Framework:
    """How one framework trains."""

    image: str
    """Name of the image below images/."""
    module: str
    """Run as ``python -m module`` in every replica."""
    kind: str
    """Of the Kubernetes job."""
    distributed: bool
    """Whether it trains on several replicas."""


FRAMEWORKS: Mapping[str, Framework] = {
    "sklearn": Framework(image="sklearn", module="seaway.training.sklearn", kind="Job", distributed=False),
    "pytorch": Framework(image="torch", module="seaway.training.pytorch", kind="PyTorchJob", distributed=True),
}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job may use."""

    replicas: int = 1
    cpu: str = ""
    """Of a replica."""
    memory: str = ""
    """Of a replica."""
    gpus: int = 0
    """Of a replica."""
    framework_version: str = ""
    """Selects an image; empty for the default one."""
    retries: int = 1
    """How often the job survives the loss of a replica."""
    deadline_s: int = 0
    """Seconds after which the job fails; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training gave."""

    model_uri: str
    version: str
    job: str
    """Name of the Kubernetes job."""
    metrics: dict[str, float] = field(default_factory=dict)
    """On the validation rows."""


def manifest(
    spec: TrainSpec, *, run_id: str, settings: Settings, resources: Resources, patch: Mapping[str, Any]
) -> Object:
    """The job's manifest, without its name; exactly this is applied.

    Raises:
        InputError: there is no such framework.
    """
    framework = _framework(spec.framework, resources)
    uris = (spec.train, spec.validation, spec.validation_rows, spec.features, spec.output)
    env = {ENV: spec.to_json(), "SEAWAY_RUN_ID": run_id, "PYTHONUNBUFFERED": "1"}
    common: dict[str, Any] = {
        "name": "",
        "image": image(framework.image, framework_version=resources.framework_version),
        "command": ["python", "-m", framework.module],
        "env": [*env_list(env), *settings.job_env(uris)],
        "labels": names.run_labels(run_id, "train"),
        "annotations": {"seaway.dev/trace-id": trace.trace_id(run_id)},
        "cpu": resources.cpu,
        "memory": resources.memory,
        "active_deadline_seconds": resources.deadline_s or None,
        "service_account": settings.job_service_account,
    }
    built: Mapping[str, Any]
    if framework.kind == "PyTorchJob":
        built = pytorch_job(**common, replicas=resources.replicas, gpus=resources.gpus)
    else:
        built = job(**common, backoff_limit=resources.retries, hopeless_exit_codes=(EXIT_INPUT,))
    merged: Object = merge(built, patch)
    return merged


def _framework(name: str, resources: Resources) -> Framework:
    framework = FRAMEWORKS.get(name)
    if framework is None:
        raise InputError(f"framework must be one of {sorted(FRAMEWORKS)}, found {name!r}")
    for what, least in (("replicas", 1), ("gpus", 0), ("retries", 0), ("deadline_s", 0)):
        if (found := getattr(resources, what)) < least:
            raise InputError(f"{what} must be at least {least}, found {found}")
    if not framework.distributed and (resources.replicas > 1 or resources.gpus):
        able = sorted(k for k, v in FRAMEWORKS.items() if v.distributed)
        raise InputError(
            f"framework {name!r} trains on one replica without GPUs, found replicas={resources.replicas} and "
            f"gpus={resources.gpus}: use one of {able}"
        )
    return framework


def train(
    *,
    train_features: str,
    validation_features: str,
    validation_rows: str,
    features: str,
    model: str,
    name: str,
    framework: str,
    estimator: str,
    params: Mapping[str, Any],
    seed: int,
    dataset_digest: str,
    replicas: int,
    cpu: str,
    memory: str,
    gpus: int,
    framework_version: str,
    retries: int,
    deadline_s: int,
    namespace: str,
    patch: Mapping[str, Any],
    dry_run: bool,
) -> Trained:
    """Train and wait; see `TrainSpec` for the URIs.

    Args:
        train_features: URI of the training features.
        validation_features: URI of the validation features.
        validation_rows: URI of the validation rows as raw columns.
        features: URI of the folder that `featurize` wrote.
        model: URI of the package to write.
        name: the model's name.
        framework: a key of `FRAMEWORKS`.
        estimator: one of the framework's models; empty for its first.
        params: its hyperparameters.
        seed: of everything random.
        dataset_digest: from `ingest`.
        replicas: that train together.
        cpu: of a replica, as Kubernetes writes quantities.
        memory: of a replica.
        gpus: of a replica.
        framework_version: selects an image with that version of the framework; empty for the default one.
        retries: how often the job survives the loss of a replica.
        deadline_s: seconds after which the job fails; 0 for none.
        namespace: of the job; empty for the step's own.
        patch: merged into the manifest (JSON Merge Patch).
        dry_run: only log the manifest.

    Raises:
        InputError: a parameter does not hold.
        LaunchError: the job failed or could not be run.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must be from 0 to 4,294,967,295, found {seed}: frameworks take no other")
    api = Api.connect(namespace)
    identity = identify(api)
    spec = TrainSpec(
        name=name,
        version=version(identity, framework, estimator, params, seed),
        framework=framework,
        train=train_features,
        validation=validation_features,
        validation_rows=validation_rows,
        features=features,
        contract=storage.join(features, "contract.json"),
        output=model,
        params={**params, **({"estimator": estimator} if estimator else {})},
        seed=seed,
        dataset_digest=dataset_digest,
        run_id=identity.run_id,
        checkpoints=f"{model.rstrip('/')}.checkpoints",
    )
    resources = Resources(
        replicas=replicas,
        cpu=cpu,
        memory=memory,
        gpus=gpus,
        framework_version=framework_version,
        retries=retries,
        deadline_s=deadline_s,
    )
    built = manifest(spec, run_id=identity.run_id, settings=Settings.from_env(), resources=resources, patch=patch)
    # the trace's parent is another span when the step is retried, but the job is the same: it is no part of the name
    wanted = add_env(named(built, prefix=f"train-{name}", identity=identity), {"TRACEPARENT": trace.outgoing()})
    if dry_run:
        logs.info(_log, f"dry run, not created: {json.dumps(wanted)}")
        return Trained(model_uri=model, version=spec.version, job=wanted["metadata"]["name"])
    run_job(api, wanted, identity=identity, deadline_s=deadline_s or None, restarts=retries)
    info = package.read_info(model)
    return Trained(
        model_uri=model,
        version=spec.version,
        job=wanted["metadata"]["name"],
        metrics={k: v for k, v in info["metrics"]["validation"].items() if isinstance(v, int | float)},
    )


def version(identity: Identity, framework: str, estimator: str, params: Mapping[str, Any], seed: int) -> str:
    """The version of a model: 10 hex digits, the same when the step is retried."""
    return names.digest(identity.run_id, {"train": [framework, estimator, dict(params), seed]})[:10]
