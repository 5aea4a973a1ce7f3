"""Train a model by a Kubernetes job, whatever the framework.

In: URIs of the features and of the validation rows, a framework and its hyperparameters, a scaling policy. Out: a model
package at ``model``. Which frameworks there are, and by which kind of job each trains, says
`seaway.launch.frameworks.FRAMEWORKS`; what a target cannot express is refused before anything is made.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError
from seaway.launch.api import Api
from seaway.launch.container import metric_lines
from seaway.launch.frameworks import CONTAINER, FRAMEWORKS, framework_of, processes
from seaway.launch.identity import Identity, identify
from seaway.launch.job import named, run_job
from seaway.launch.order import Order, manifest
from seaway.launch.settings import Settings
from seaway.launch.training_report import read_evidence
from seaway.model import package
from seaway.observe import logs, trace
from seaway.resources import names
from seaway.resources.pod import add_env
from seaway.resources.scaling import Scaling
from seaway.resources.scaling import scaling as read_scaling
from seaway.storage import uri as storage
from seaway.training.spec import TrainSpec

__all__ = ["FRAMEWORKS", "Trained", "train", "version"]

_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training gave."""

    model_uri: str
    version: str
    job: str
    """Name of the Kubernetes job."""
    metrics: dict[str, float] = field(default_factory=dict)
    """On the validation rows."""
    figures: dict[str, float] = field(default_factory=dict)
    """How busy and how even the replicas were, see `seaway.training.evidence.evidence.Evidence.figures`."""
    verdict: tuple[str, ...] = ()
    """The same in plain words."""

    @property
    def flat_metrics(self) -> dict[str, float]:
        """Both kinds, for the step's metrics."""
        return {**self.figures, **self.metrics}

    @property
    def headline(self) -> str:
        """A line for people: what is most worth knowing of the replicas."""
        return next(iter(self.verdict), "")


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
    scaling: Mapping[str, Any] | str = "",
    api: str = "v1",
    entrypoint: str = "",
    measure_scaling: bool = False,
    image: str = "",
    command: Sequence[str] = (),
    report: str = "",
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
        replicas: that train together, where ``scaling`` does not say.
        cpu: of a replica, as Kubernetes writes quantities, where ``scaling`` does not say.
        memory: of a replica, where ``scaling`` does not say.
        gpus: of a replica, where ``scaling`` does not say.
        framework_version: selects an image with that version of the framework; empty for the default one.
        retries: how often the job survives the loss of a replica.
        deadline_s: seconds after which the job fails; 0 for none.
        namespace: of the job; empty for the step's own.
        patch: merged into the manifest (JSON Merge Patch).
        dry_run: only log the manifest.
        scaling: a policy, see `seaway.resources.scaling.Scaling`.
        api: v1 for Job, PyTorchJob, JAXJob and TFJob; v2 for TrainJob.
        entrypoint: the user's own training: a module, or the URI of a Python script; empty for the framework's worker.
        measure_scaling: whether to time one rank by itself before all train.
        image: another image than the framework's.
        command: of a container that brings its own training; the frameworks have theirs.
        report: path of the page to write: how busy and how even the replicas were; empty for none.

    Raises:
        InputError: a parameter does not hold.
        LaunchError: the job failed or could not be run.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must be from 0 to 4,294,967,295, found {seed}: frameworks take no other")
    row = framework_of(framework)
    if framework == CONTAINER:
        if not (image and command) or entrypoint:
            raise InputError(
                f"framework {framework!r} must be given image and command, and no entrypoint, found {image=}, "
                f"{command=}, {entrypoint=}: name the image and the program that it runs"
            )
    elif command:
        raise InputError(f"framework {framework!r} has a command of its own, found {command!r}: leave command away")
    policy = read_scaling(scaling, replicas=replicas, cpu=cpu, memory=memory, gpus=gpus)
    if measure_scaling and policy.replicas * processes(row, policy) == 1:
        _log.warning("measure_scaling compares several ranks with one alone, found one in all: nothing is measured")
    connection = Api.connect(namespace)
    identity = identify(connection)
    spec = TrainSpec(
        name=name,
        version=version(identity, framework, estimator, params, seed, entrypoint or _own_program(image, command)),
        framework=framework,
        train=train_features,
        validation=validation_features,
        validation_rows=validation_rows,
        features=features,
        contract=storage.join(features, "contract.json"),
        output=model,
        params=_params(params, estimator, policy),
        seed=seed,
        dataset_digest=dataset_digest,
        run_id=identity.run_id,
        checkpoints=f"{model.rstrip('/')}.checkpoints",
        entrypoint=entrypoint,
        measure_scaling=measure_scaling,
    )
    order = Order(
        scaling=policy,
        api=api,
        framework_version=framework_version,
        image=image,
        command=command,
        retries=retries,
        deadline_s=deadline_s,
    )
    built = manifest(spec, run_id=identity.run_id, settings=Settings.from_env(), order=order, patch=patch)
    # the trace's parent is another span when the step is retried, but the job is the same: it is no part of the name
    wanted = add_env(named(built, prefix=f"train-{name}", identity=identity), {"TRACEPARENT": trace.outgoing()})
    if dry_run:
        logs.info(_log, f"dry run, not created: {json.dumps(wanted)}")
        return Trained(model_uri=model, version=spec.version, job=wanted["metadata"]["name"])
    with metric_lines() as said:
        run_job(connection, wanted, identity=identity, deadline_s=deadline_s or None, restarts=retries)
    info = package.read_info(model)
    evidence = read_evidence(model, info, report=report)
    return Trained(
        model_uri=model,
        version=spec.version,
        job=wanted["metadata"]["name"],
        metrics={
            **(said if command or entrypoint else {}),
            **{k: v for k, v in info["metrics"]["validation"].items() if isinstance(v, int | float)},
        },
        figures=evidence.figures() if evidence else {},
        verdict=evidence.verdict if evidence else (),
    )


def _own_program(image: str, command: Sequence[str]) -> str:
    return json.dumps([image, *command]) if command else ""


def _params(params: Mapping[str, Any], estimator: str, policy: Scaling) -> dict[str, Any]:
    """The hyperparameters with what the step's own parameters say of them."""
    found = {**params, **({"estimator": estimator} if estimator else {})}
    rule = found.setdefault("batch_rule", policy.batch_rule) if policy.batch_rule else ""
    if rule != policy.batch_rule:
        raise InputError(
            f"scaling and params must have the same batch_rule, found {policy.batch_rule!r} and {rule!r}: give it once"
        )
    return found


def version(
    identity: Identity, framework: str, estimator: str, params: Mapping[str, Any], seed: int, entrypoint: str = ""
) -> str:
    """The version of a model: 10 hex digits, the same when the step is retried."""
    decided = [framework, estimator, dict(params), seed, *([entrypoint] if entrypoint else [])]
    return names.digest(identity.run_id, {"train": decided})[:10]
