"""TF_CONFIG, by which the replicas of a TFJob find each other. Pure.

Source: pkg/controller.v1/tensorflow/tensorflow.go of the training operator 1.9, with 127.0.0.1 and each replica's own
port where that writes services' names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from seaway.local.api.status import Object
from seaway.local.controllers.replicagroups import Group, Ports

ADDRESS = "127.0.0.1"
EVALUATOR = "Evaluator"
"""The type that takes no part in the cluster; it reads checkpoints."""


def environment(groups: Sequence[Group], label: str, index: int, ports: Ports, *, dynamic: bool) -> list[Object]:
    """What the operator appends to the variables of the container that trains.

    Args:
        groups: the job's replicas.
        label: the replica's type in small letters.
        index: its number among those of its type.
        ports: of all replicas.
        dynamic: enableDynamicWorker, where a worker is told of itself and the parameter servers alone.
    """
    if sum(group.count for group in groups) == 1:
        return []
    task = {"type": label, "index": index}
    cluster = {
        group.label: [f"{ADDRESS}:{ports[place]}" for place in group.places]
        for group in groups
        if group.type != EVALUATOR
    }
    config: Object = {"cluster": dict(sorted(cluster.items())), "task": task, "environment": "cloud"}
    if dynamic:
        config = {"sparseCluster": _sparse(cluster, label, index), "task": task}
    return [{"name": "TF_CONFIG", "value": json.dumps(config, separators=(",", ":"))}]


def _sparse(cluster: dict[str, list[str]], label: str, index: int) -> Object:
    if label == "ps":
        return {"worker": {}, "ps": [cluster[label][index]]}
    if label == "worker":
        return {"worker": {str(index): cluster[label][index]}, "ps": cluster.get("ps", [])}
    return {"worker": {}, "ps": []}
