"""Cancel a run on the laptop: delete what carries its label.

On a cluster KFP terminates the run, and ownership does the rest.
"""

from __future__ import annotations

from seaway.launch.api import Api
from seaway.launch.job import JOB
from seaway.resources import names


def cancel(run_id: str, *, namespace: str = "") -> list[str]:
    """Delete the jobs of a run; gives their names. InferenceServices belong to no run and stay."""
    api = Api.connect(namespace)
    found = api.list(JOB, labels=f"{names.RUN_LABEL}={names.label_value(run_id)}")
    jobs = [j["metadata"]["name"] for j in found]
    for name in jobs:
        api.delete(JOB, name)
    return jobs
