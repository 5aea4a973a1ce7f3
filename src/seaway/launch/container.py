"""The job of a container in any language: its data is prepared, it trains, its model is packaged, in one pod.

In: a TrainSpec, the image and command of the user. Out: the manifest of a batch/v1 Job whose containers run one after
the other and share a folder: ``prepare`` and ``train`` as init containers, then ``main``, which writes the package. So
nothing of ours runs in the user's image, and an image of any language needs neither an object store's client nor ONNX
Runtime. The contract is in `seaway.training.own.container`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from seaway.launch.api import Object
from seaway.model.contract import Contract
from seaway.resources.images import image as image_of
from seaway.resources.job import job
from seaway.resources.pod import Ends, Replica, env_list
from seaway.storage import uri as storage
from seaway.training.own.container import variables
from seaway.training.spec import EXIT_INPUT, TrainSpec

PREPARE, TRAIN = "prepare", "train"
"""Names of the init containers."""
PACKAGE = "seaway.training.own.package"
"""What the last container, ``main``, runs."""
_VOLUME = "work"
_METRIC = re.compile(r"^(?:\S+Z )?([A-Za-z_][\w|-]*)\s*=\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$")


def container_job(spec: TrainSpec, replica: Replica, *, ends: Ends, retries: int) -> Object:
    """The manifest, without its name.

    Args:
        spec: what all containers are told.
        replica: the user's image and command, and what its pod may use. The credentials of the store in its variables
            are for our own containers alone. Each container may use as much: one runs after the other, so the pod asks
            for it once.
        ends: its deadline.
        retries: how often a failed pod is replaced.

    Raises:
        InputError: the contract cannot be read.
    """
    target = Contract.from_json(storage.read_bytes(spec.contract)).target
    root = f"/tmp/seaway-{hashlib.sha256(f'{spec.run_id} {spec.to_json()}'.encode()).hexdigest()[:10]}"  # noqa: S108
    told = env_list(variables(spec, root, task=target.task, classes=target.classes))
    env = [*told, *replica.env]
    ours = replace(replica, image=image_of("sklearn"), command=["python", "-m", PACKAGE], env=env, gpus=0)
    built: Object = {**job(name="", replica=ours, ends=ends, backoff_limit=retries)}
    pod = built["spec"]["template"]["spec"]
    prepare = replace(ours, command=["python", "-m", "seaway.training.own.prepare"])
    train = replace(replica, env=[one for one in env if "valueFrom" not in one])
    pod["initContainers"] = [_container(PREPARE, prepare), _container(TRAIN, train)]
    pod["volumes"] = [{"name": _VOLUME, "emptyDir": {}}]
    for one in [*pod["initContainers"], *pod["containers"]]:
        one["volumeMounts"] = [{"name": _VOLUME, "mountPath": root}]
    codes = {"operator": "In", "values": [EXIT_INPUT]}  # of whichever container
    built["spec"]["podFailurePolicy"] = {"rules": [{"action": "FailJob", "onExitCodes": codes}]}
    return built


def _container(name: str, replica: Replica) -> dict[str, Any]:
    found: dict[str, Any] = replica.template(name)["spec"]["containers"][0]
    return found


@contextmanager
def metric_lines() -> Iterator[dict[str, float]]:
    """What replicas report within the block as lines ``name=value``; the last value of each name."""
    found: dict[str, float] = {}

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if match := _METRIC.match(str(record.msg)):
                found[match[1]] = float(match[2])

    reader, log = Reader(), logging.getLogger("seaway.replica")
    log.addHandler(reader)
    try:
        yield found
    finally:
        log.removeHandler(reader)
