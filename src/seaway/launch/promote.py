"""Promote a model: ask the gate, apply the InferenceService, wait until the new version answers.

In: the package's URI and its evaluation. Out: whether it serves now, why or why not, and where.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.errors import NotPromotedError
from seaway.launch.api import PATIENCE_S, Api, Object
from seaway.launch.identity import identify
from seaway.launch.service import VERSION_ANNOTATION, deploy, served
from seaway.launch.settings import Settings
from seaway.model import package
from seaway.observe import logs, trace
from seaway.promotion.gate import Decision, decide
from seaway.resources import names
from seaway.resources.inference_service import inference_service
from seaway.resources.merge import merge
from seaway.storage import s3

_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """How a promotion ended."""

    promoted: bool
    service: str
    version: str
    url: str
    """Of the service; empty if nothing serves."""
    reasons: tuple[str, ...]


def champion_uri(service: str, *, namespace: str = "") -> str:
    """Storage URI of the model that a service now serves; empty when there is no such service."""
    api = Api.connect(namespace, patience_s=PATIENCE_S) if service else None
    found = served(api, names.dns_label(service)) if api else None
    return found.storage_uri if found is not None else ""


def promote(
    *,
    model: str,
    evaluation: str,
    summary: str,
    service: str,
    metric: str,
    margin: float,
    min_gain: float,
    baseline: str,
    fail_if_not_promoted: bool,
    min_replicas: int,
    max_replicas: int,
    cpu: str,
    memory: str,
    timeout_s: int,
    namespace: str,
    patch: Mapping[str, Any],
    dry_run: bool,
) -> Promoted:
    """Promote a model, or say why not.

    Args:
        model: URI of the model package.
        evaluation: local path of what `evaluate` wrote.
        summary: local path of the Markdown to write.
        service: name of the InferenceService; empty for the model's name.
        metric: what the gate compares; empty for the task's primary metric.
        margin: how much worse than the served version is still accepted, in the metric's units.
        min_gain: by how much the model must beat the baseline.
        baseline: ``linear`` or ``trivial``.
        fail_if_not_promoted: whether "not promoted" is an error.
        min_replicas: of the service.
        max_replicas: of the service.
        cpu: of a replica.
        memory: of a replica.
        timeout_s: for the service to get ready.
        namespace: of the service; empty for the step's own.
        patch: merged into the manifest (JSON Merge Patch).
        dry_run: only log the manifest.

    Raises:
        NotPromotedError: the gate said no, and that is an error.
        LaunchError: the service does not get ready; what served before serves on.
    """
    api = Api.connect(namespace, patience_s=PATIENCE_S)
    identity = identify(api)
    info = package.read_info(model)
    name = names.dns_label(service or info["name"])
    decision = decide(
        json.loads(Path(evaluation).read_bytes()), metric=metric, margin=margin, min_gain=min_gain, baseline=baseline
    )
    for reason in decision.reasons:
        logs.info(_log, reason, promoted=decision.promoted)
    now = served(api, name)
    if not decision.promoted:
        _write(summary, name, info, decision, now.url if now else "")
        if fail_if_not_promoted:
            raise NotPromotedError(decision.reasons)
        url = now.url if now else ""
        return Promoted(promoted=False, service=name, version=info["version"], url=url, reasons=decision.reasons)
    wanted = manifest(
        name=name,
        model=model,
        info=info,
        run_id=identity.run_id,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        cpu=cpu,
        memory=memory,
        patch=patch,
    )
    if dry_run:
        logs.info(_log, f"dry run, not applied: {json.dumps(wanted)}")
        url = now.url if now else ""
    else:
        url = deploy(api, wanted, timeout_s=timeout_s).url
    _write(summary, name, info, decision, url)
    return Promoted(promoted=True, service=name, version=info["version"], url=url, reasons=decision.reasons)


def manifest(
    *,
    name: str,
    model: str,
    info: Mapping[str, Any],
    run_id: str,
    min_replicas: int,
    max_replicas: int,
    cpu: str,
    memory: str,
    patch: Mapping[str, Any],
) -> Object:
    """The InferenceService; exactly this is applied. It is owned by no run: it outlives the one that made it."""
    settings = Settings.from_env()
    built = inference_service(
        name=name,
        storage_uri=s3.canonical(model),  # KServe knows no minio://
        labels=dict(names.MANAGED_BY),
        annotations={
            VERSION_ANNOTATION: str(info["version"]),
            "seaway.dev/run-id": run_id,
            "seaway.dev/trace-id": trace.trace_id(run_id),
        },
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        cpu=cpu,
        memory=memory,
        deployment_mode=settings.deployment_mode,
        service_account=settings.server_service_account,
    )
    merged: Object = merge(built, patch)
    return merged


def _write(path: str, name: str, info: Mapping[str, Any], decision: Decision, url: str) -> None:
    head = "Promoted" if decision.promoted else "Not promoted"
    lines = [f"# {head}: {info['name']} version {info['version']}", ""]
    lines += [f"- {reason}" for reason in decision.reasons]
    if url:
        lines += ["", f"InferenceService `{name}` answers at {url}."]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
