"""Table output: the columns that kubectl shows for each kind, as the real printers write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from seaway.local.api.status import Object
from seaway.local.api.times import age, now, parse
from seaway.local.api.trainingkinds import TRAINING_KINDS

Cell = str | int


@dataclass(frozen=True)
class Column:
    """One column of a kind's table."""

    name: str
    cell: Callable[[Object, datetime], Cell]
    type: str = "string"
    wide: bool = False
    """Shown with ``-o wide`` only."""


def _since(moment: str | None, until: datetime) -> str:
    return age((until - parse(moment)).total_seconds()) if moment else "<unknown>"


NAME = Column("Name", lambda item, at: item["metadata"]["name"])
AGE = Column("Age", lambda item, at: _since(item["metadata"].get("creationTimestamp"), at))


def _condition(item: Object, type_: str) -> Object:
    for one in item.get("status", {}).get("conditions") or []:
        if one["type"] == type_:
            return dict(one)
    return {}


def _pod_ready(item: Object, at: datetime) -> Cell:
    statuses = item.get("status", {}).get("containerStatuses") or []
    return f"{sum(1 for one in statuses if one.get('ready'))}/{len(item['spec'].get('containers') or [])}"


def _pod_status(item: Object, at: datetime) -> Cell:
    status = item.get("status", {})
    if item["metadata"].get("deletionTimestamp"):
        return "Terminating"
    reason = str(status.get("reason") or status.get("phase") or "Unknown")
    for number, one in enumerate(status.get("initContainerStatuses") or []):
        state = one.get("state", {})
        ended = state.get("terminated")
        if ended and ended.get("exitCode") == 0:
            continue
        if ended:
            return f"Init:{ended.get('reason') or 'Error'}"
        waiting = state.get("waiting", {}).get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{number}/{len(item['spec'].get('initContainers') or [])}"
    for one in reversed(status.get("containerStatuses") or []):
        state = one.get("state", {})
        if state.get("waiting", {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = state["terminated"].get("reason") or f"ExitCode:{state['terminated'].get('exitCode')}"
    return reason


def _pod_restarts(item: Object, at: datetime) -> Cell:
    statuses = item.get("status", {}).get("containerStatuses") or []
    count = sum(one.get("restartCount", 0) for one in statuses)
    last = [
        one["lastState"]["terminated"]["finishedAt"] for one in statuses if one.get("lastState", {}).get("terminated")
    ]
    return f"{count} ({_since(max(last), at)} ago)" if count and last else str(count)


def _job_status(item: Object, at: datetime) -> Cell:
    for type_, shown in (("Complete", "Complete"), ("Failed", "Failed")):
        if _condition(item, type_).get("status") == "True":
            return shown
    if item["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for type_, shown in (("Suspended", "Suspended"), ("FailureTarget", "FailureTarget")):
        if _condition(item, type_).get("status") == "True":
            return shown
    if _condition(item, "SuccessCriteriaMet").get("status") == "True":
        return "SuccessCriteriaMet"
    return "Running"


def _job_completions(item: Object, at: datetime) -> Cell:
    done, spec = item.get("status", {}).get("succeeded", 0), item["spec"]
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism", 1)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(item: Object, at: datetime) -> Cell:
    status = item.get("status", {})
    if not status.get("startTime"):
        return ""
    end = status.get("completionTime")
    return _since(status["startTime"], parse(end) if end else at)


def _images(item: Object, at: datetime) -> Cell:
    containers = item["spec"].get("template", item).get("spec", {}).get("containers") or []
    return ",".join(str(one.get("image", "")) for one in containers)


def _traffic(field: str) -> Callable[[Object, datetime], Cell]:
    def cell(item: Object, at: datetime) -> Cell:
        predictor = (item.get("status", {}).get("components") or {}).get("predictor", {})
        for one in predictor.get("traffic") or []:
            if field == "latest" and one.get("latestRevision"):
                return str(one.get("percent", ""))
            if field == "previous" and not one.get("latestRevision"):
                return str(one.get("percent", ""))
        return ""

    return cell


def _predictor(field: str) -> Callable[[Object, datetime], Cell]:
    return lambda item, at: str((item.get("status", {}).get("components") or {}).get("predictor", {}).get(field) or "")


def _last_condition(item: Object, at: datetime) -> Cell:
    conditions = item.get("status", {}).get("conditions") or []
    return str(conditions[-1]["type"]) if conditions else ""


def _ports(item: Object, at: datetime) -> Cell:
    ports = item["spec"].get("ports") or []
    return ",".join(f"{one['port']}/{one.get('protocol', 'TCP')}" for one in ports) or "<none>"


def _involved(item: Object, at: datetime) -> Cell:
    subject = item.get("involvedObject", {})
    return f"{subject.get('kind', '').lower()}/{subject.get('name', '')}"


COLUMNS: dict[str, tuple[Column, ...]] = {
    "namespaces": (NAME, Column("Status", lambda item, at: item.get("status", {}).get("phase", "Active")), AGE),
    "pods": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", lambda item, at: item.get("status", {}).get("podIP", "<none>"), wide=True),
        Column("Node", lambda item, at: item["spec"].get("nodeName", "<none>"), wide=True),
    ),
    "configmaps": (
        NAME,
        Column("Data", lambda item, at: len(item.get("data") or {}) + len(item.get("binaryData") or {}), "integer"),
        AGE,
    ),
    "secrets": (
        NAME,
        Column("Type", lambda item, at: item.get("type", "Opaque")),
        Column("Data", lambda item, at: len(item.get("data") or {}), "integer"),
        AGE,
    ),
    "serviceaccounts": (NAME, Column("Secrets", lambda item, at: len(item.get("secrets") or []), "integer"), AGE),
    "services": (
        NAME,
        Column("Type", lambda item, at: item["spec"].get("type", "ClusterIP")),
        Column("Cluster-IP", lambda item, at: item["spec"].get("clusterIP", "<none>")),
        Column("External-IP", lambda item, at: "<none>"),
        Column("Port(s)", _ports),
        AGE,
    ),
    "events": (
        Column("Last Seen", lambda item, at: _since(item.get("lastTimestamp"), at)),
        Column("Type", lambda item, at: item.get("type", "")),
        Column("Reason", lambda item, at: item.get("reason", "")),
        Column("Object", _involved),
        Column("Message", lambda item, at: str(item.get("message", "")).strip()),
        Column("Count", lambda item, at: item.get("count", 1), "integer", wide=True),
        Column("Name", lambda item, at: item["metadata"]["name"], wide=True),
    ),
    "jobs.batch": (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _job_completions),
        Column("Duration", _job_duration),
        AGE,
        Column("Images", _images, wide=True),
    ),
    "trainjobs.trainer.kubeflow.org": (NAME, Column("State", _last_condition), AGE),
    **{kind.resource: (NAME, Column("State", _last_condition), AGE) for kind in TRAINING_KINDS},
    "inferenceservices.serving.kserve.io": (
        NAME,
        Column("URL", lambda item, at: item.get("status", {}).get("url", "")),
        Column("Ready", lambda item, at: _condition(item, "Ready").get("status", "")),
        Column("Prev", _traffic("previous"), "integer"),
        Column("Latest", _traffic("latest"), "integer"),
        Column("PrevRolledoutRevision", _predictor("previousRolledoutRevision")),
        Column("LatestReadyRevision", _predictor("latestReadyRevision")),
        AGE,
    ),
    "inferencegraphs.serving.kserve.io": (
        NAME,
        Column("URL", lambda item, at: item.get("status", {}).get("url", "")),
        Column("Ready", lambda item, at: _condition(item, "Ready").get("status", "")),
        AGE,
    ),
}
"""Columns by resource; kubectl writes the names in capitals."""


def table(
    resource: str, items: list[Object], *, version: str, include: str = "Metadata", header: bool = True
) -> Object:
    """A meta.k8s.io/v1 Table of ``items``; ``include`` is what each row carries (Metadata, Object or None)."""
    columns, at = COLUMNS.get(resource, (NAME, AGE)), now()
    found: Object = {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [],
        "rows": [{"cells": [one.cell(item, at) for one in columns], "object": _row(item, include)} for item in items],
    }
    if header:
        found["columnDefinitions"] = [
            {"name": one.name, "type": one.type, "format": "name" if one is NAME else "", "description": one.name,
             "priority": int(one.wide)}
            for one in columns
        ]  # fmt: skip
    return found


def _row(item: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return item
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
