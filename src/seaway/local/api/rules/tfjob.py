"""What the TFJob alone has. Source: pkg/webhooks/tensorflow of the training operator 1.9."""

from __future__ import annotations

from seaway.local.api.status import Cause, Object, forbidden, unsupported

ALL_WORKERS = "AllWorkers"
"""The successPolicy that waits for every worker."""


def check(spec: Object) -> list[Cause]:
    """A successPolicy that exists; the operator takes any other for the default."""
    policy = spec.get("successPolicy")
    return [] if policy in (None, "", ALL_WORKERS) else [unsupported("spec.successPolicy", policy, ["", ALL_WORKERS])]


def admit(spec: Object) -> list[Cause]:
    """At most one replica type whose success is the job's."""
    leaders = [type_ for type_ in spec.get("tfReplicaSpecs") or {} if type_.lower() in ("chief", "master")]
    if len(leaders) < 2:
        return []
    return [forbidden("spec.tfReplicaSpecs", "must not have more than 1 Chief or Master role")]
