"""podFailurePolicy of a Job: a failed pod whose exit code says that trying again is of no use.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy. Of its rules those of action
FailJob on exit codes are acted upon; a rule of another action only keeps the rules after it from being asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from seaway.local.api.status import Object


def fails_job(job: Object, pods: Sequence[Object]) -> str:
    """Why a failed pod fails its whole job, in the words of the real controller; empty if none does."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or []
    for pod in pods if rules else ():
        if (pod.get("status") or {}).get("phase") != "Failed":
            continue
        for index, rule in enumerate(rules):
            found = _matching(rule.get("onExitCodes") or {}, pod)
            if found and rule.get("action") == "FailJob":
                container, code = found
                where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                return (
                    f"Container {container} for pod {where} failed with exit code {code} "
                    f"matching FailJob rule at index {index}"
                )
            if found:
                break
    return ""


def _matching(rule: Object, pod: Object) -> tuple[str, int] | None:
    values = rule.get("values") or []
    said = pod.get("status") or {}
    for status in [*(said.get("containerStatuses") or []), *(said.get("initContainerStatuses") or [])]:
        code = (status.get("state", {}).get("terminated") or {}).get("exitCode")
        named = rule.get("containerName") in (None, "", status["name"])
        # a container that succeeded never matches, whatever the operator
        if named and values and code and (code in values) == (rule.get("operator") == "In"):
            return status["name"], code
    return None
