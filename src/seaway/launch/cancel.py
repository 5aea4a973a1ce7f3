"""Cancel a run on the laptop: delete what carries its label.

On a cluster KFP terminates the run, and ownership does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from seaway.launch.api import Api, ApiError, Object
from seaway.launch.jobkinds import KINDS, ended
from seaway.resources import names


def cancel(run_id: str, *, namespace: str = "", unfinished_only: bool = False) -> list[str]:
    """Delete the jobs of a run, or only those that have not ended; gives their names.

    InferenceServices belong to no run and stay.
    """
    selector = f"{names.RUN_LABEL}={names.label_value(run_id)}"
    return _delete(Api.connect(namespace), selector, lambda job: True, unfinished_only=unfinished_only)


def cancel_left(over: Collection[str], *, namespace: str = "") -> list[str]:
    """Delete the unfinished jobs of runs that are over but could not delete them; gives their names.

    Args:
        over: ids of runs; jobs of all others stay.
        namespace: of the jobs; by default the context's.
    """
    labels = {names.label_value(run_id) for run_id in over}
    return _delete(
        Api.connect(namespace),
        names.RUN_LABEL,
        lambda job: job["metadata"]["labels"][names.RUN_LABEL] in labels,
        unfinished_only=True,
    )


def _delete(api: Api, selector: str, wanted: Callable[[Object], bool], *, unfinished_only: bool) -> list[str]:
    deleted = []
    for kind, row in KINDS.items():
        try:
            found = api.list(kind, labels=selector)
        except ApiError as e:
            if e.status == 404:  # the kind is not installed here, so there are none
                continue
            raise
        for job in found:
            if wanted(job) and not (unfinished_only and ended(job, row)):
                api.delete(kind, job["metadata"]["name"])
                deleted.append(job["metadata"]["name"])
    return deleted
