"""Cancel a run on the laptop: delete what carries its label.

On a cluster KFP terminates the run, and ownership does the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from seaway.launch.api import Api, Object
from seaway.launch.job import JOB, ended
from seaway.resources import names


def cancel(run_id: str, *, namespace: str = "", unfinished_only: bool = False) -> list[str]:
    """Delete the jobs of a run, or only those that have not ended; gives their names.

    InferenceServices belong to no run and stay.
    """
    api = Api.connect(namespace)
    found = api.list(JOB, labels=f"{names.RUN_LABEL}={names.label_value(run_id)}")
    return _delete(api, [j for j in found if not (unfinished_only and ended(j))])


def cancel_left(over: Collection[str], *, namespace: str = "") -> list[str]:
    """Delete the unfinished jobs of runs that are over but could not delete them; gives their names.

    Args:
        over: ids of runs; jobs of all others stay.
        namespace: of the jobs; by default the context's.
    """
    labels = {names.label_value(run_id) for run_id in over}
    api = Api.connect(namespace)
    found = api.list(JOB, labels=names.RUN_LABEL)
    return _delete(api, [j for j in found if j["metadata"]["labels"][names.RUN_LABEL] in labels and not ended(j)])


def _delete(api: Api, jobs: Sequence[Object]) -> list[str]:
    deleted = [j["metadata"]["name"] for j in jobs]
    for name in deleted:
        api.delete(JOB, name)
    return deleted
