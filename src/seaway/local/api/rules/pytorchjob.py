"""What the PyTorchJob alone has: elastic jobs, and processes per node. Source: pkg/webhooks/pytorch of the operator."""

from __future__ import annotations

import re

from seaway.local.api.status import Cause, Object, forbidden, invalid_value, required


def check(spec: Object) -> list[Cause]:
    """Processes per node that torchrun can start."""
    processes = spec.get("nprocPerNode")
    if processes in (None, "auto", "cpu", "gpu") or re.fullmatch(r"[1-9]\d{0,5}", processes):
        return []
    return [invalid_value("spec.nprocPerNode", processes, "must be auto, cpu, gpu or a whole number")]


def admit(spec: Object) -> list[Cause]:
    """What the webhook refuses of an elasticPolicy."""
    elastic, causes = spec.get("elasticPolicy"), []
    if elastic is not None and "Worker" not in (spec.get("pytorchReplicaSpecs") or {}):
        causes.append(required("spec.pytorchReplicaSpecs[Worker]", "must be configured if elastic policy is used"))
    if elastic is not None and "nProcPerNode" in elastic and "nprocPerNode" in spec:
        causes.append(forbidden("spec.elasticPolicy.nProcPerNode", "must not be used with spec.nprocPerNode"))
    return causes


def warn(spec: Object) -> list[str]:
    """What the webhook warns of."""
    if "nProcPerNode" in (spec.get("elasticPolicy") or {}):
        return ["spec.elasticPolicy.nProcPerNode is deprecated, use spec.nprocPerNode instead"]
    return []
