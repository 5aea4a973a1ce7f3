"""Who this step is: its run, its pod, the Workflow that owns the pod.

On a cluster pipelines hand the run's id over as SEAWAY_RUN_ID (from the pod's label ``pipeline/runid``) and KFP sets
KFP_POD_NAME; on the laptop `seaway run` sets SEAWAY_RUN_ID.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from seaway.errors import LaunchError
from seaway.launch.api import Api
from seaway.observe import trace

_TERMINAL = ("Succeeded", "Failed", "Error")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a launcher knows of its own step."""

    run_id: str
    pod: str = ""
    """Name of the step's pod; empty on the laptop."""
    workflow: str = ""
    """Name of the Workflow that owns the pod; empty on the laptop."""
    owner: dict[str, Any] | None = None
    """ownerReference to that Workflow."""


def identify(api: Api) -> Identity:
    """The identity of this step.

    Raises:
        LaunchError: the step belongs to no run.
    """
    run, pod = trace.run_id(), os.environ.get("KFP_POD_NAME", "")
    workflow: dict[str, Any] = {}
    if pod:
        metadata = (api.get(("v1", "Pod"), pod) or {}).get("metadata", {})
        run = run or metadata.get("labels", {}).get("pipeline/runid", "")
        workflow = next((o for o in metadata.get("ownerReferences", []) if o["kind"] == "Workflow"), {})
    if not run:
        raise LaunchError(
            "a launcher must know its run, found neither SEAWAY_RUN_ID nor a pod with the label pipeline/runid: "
            "start it by a pipeline, or set SEAWAY_RUN_ID"
        )
    # blockOwnerDeletion needs a right on workflows/finalizers that steps do not have
    owner = {k: workflow[k] for k in ("apiVersion", "kind", "name", "uid")} if workflow else None
    return Identity(run_id=run, pod=pod, workflow=workflow.get("name", ""), owner=owner)


def run_is_ending(api: Api, identity: Identity) -> bool:
    """Whether the run itself ends (then its jobs must go), or only this pod (then a retry adopts them).

    On the laptop the one who cancels a run deletes what it created, so there a step leaves all as it is.
    """
    if not identity.workflow:
        return False
    found = api.get(("argoproj.io/v1alpha1", "Workflow"), identity.workflow)
    if found is None:
        return True
    ending = found["metadata"].get("deletionTimestamp") or found.get("spec", {}).get("shutdown")
    return bool(ending) or found.get("status", {}).get("phase") in _TERMINAL
