"""batch/v1 Job: one process to the end, with restarts counted and a deadline.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from seaway.resources.pod import Ends, Replica

CONTAINER = "main"


class Job(TypedDict):
    """A batch/v1 Job as plain dictionaries."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]


def job(
    *,
    name: str,
    replica: Replica,
    ends: Ends = Ends(),  # noqa: B008 - frozen
    backoff_limit: int = 0,
    hopeless_exit_codes: Sequence[int] = (),
) -> Job:
    """A Job of one pod at a time that is run to completion once.

    Args:
        name: DNS label of at most 63 characters; may be empty when it is computed.
        replica: what its pod runs.
        ends: its deadline, and how long it is kept.
        backoff_limit: how often a failed pod is replaced.
        hopeless_exit_codes: a pod that ends with one of these fails the job at once; others count against the limit.
    """
    spec: dict[str, Any] = {
        "parallelism": 1,
        "completions": 1,
        "backoffLimit": backoff_limit,
        **ends.policy(),
        "template": replica.template(CONTAINER, restart_policy="Never"),
    }
    if hopeless_exit_codes:
        codes = {"containerName": CONTAINER, "operator": "In", "values": sorted(hopeless_exit_codes)}
        spec["podFailurePolicy"] = {"rules": [{"action": "FailJob", "onExitCodes": codes}]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": replica.metadata(name), "spec": spec}
