"""Cancel a run on the laptop: delete what carries its label.

On a cluster KFP terminates the run, and ownership does the rest.
"""

from __future__ import annotations

from collections.abc import Collection

from seaway.launch.api import Api
from seaway.launch.job import JOB, condition
from seaway.resources import names


def cancel(run_id: str, *, namespace: str = "", unfinished_only: bool = False) -> list[str]:
    """Delete the jobs of a run, or only those that have not ended; gives their names.

    InferenceServices belong to no run and stay.
    """
    api = Api.connect(namespace)
    found = api.list(JOB, labels=f"{names.RUN_LABEL}={names.label_value(run_id)}")
    going = [j for j in found if not (condition(j, "Complete") or condition(j, "Failed"))]
    jobs = [j["metadata"]["name"] for j in (going if unfinished_only else found)]
    for name in jobs:
        api.delete(JOB, name)
    return jobs


def cancel_left(ended: Collection[str], *, namespace: str = "") -> list[str]:
    """Delete the jobs of runs that are over but could not delete them; gives their names.

    Args:
        ended: ids of runs; jobs of all others stay.
        namespace: of the jobs; by default the context's.
    """
    labels = {names.label_value(run_id) for run_id in ended}
    api = Api.connect(namespace)
    left = [
        j["metadata"]["name"]
        for j in api.list(JOB, labels=names.RUN_LABEL)
        if j["metadata"]["labels"][names.RUN_LABEL] in labels
        and not (condition(j, "Complete") or condition(j, "Failed"))
    ]
    for name in left:
        api.delete(JOB, name)
    return left
