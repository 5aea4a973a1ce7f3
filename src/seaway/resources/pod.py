"""Pod templates: what every job's replicas have in common, whatever the kind of job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

EnvVar = dict[str, Any]

GPU = "nvidia.com/gpu"


def env_list(env: Mapping[str, str]) -> list[EnvVar]:
    """Environment variables as a container lists them, sorted by name."""
    return [{"name": k, "value": v} for k, v in sorted(env.items())]


def secret_env(name: str, *, secret: str, key: str) -> EnvVar:
    """An environment variable whose value is a key of a Secret; the pod starts without it if there is none."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}


def pod_template(
    *,
    container: str,
    image: str,
    command: Sequence[str],
    args: Sequence[str] = (),
    env: Sequence[EnvVar] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    cpu: str = "",
    memory: str = "",
    gpus: int = 0,
    ports: Mapping[str, int] | None = None,
    restart_policy: str = "",
    service_account: str = "",
    termination_grace_period_seconds: int = 30,
) -> dict[str, Any]:
    """A pod template with one container and no service mesh's sidecar.

    Args:
        container: the container's name, which some controllers ask for.
        image: container image.
        command: the process.
        args: its arguments.
        env: as `env_list` and `secret_env` give them.
        labels: of the pod.
        annotations: of the pod.
        cpu: request, as Kubernetes writes quantities (``2``, ``500m``); empty for none.
        memory: request and limit (``4Gi``); empty for none.
        gpus: NVIDIA devices; request and limit.
        ports: number by name.
        restart_policy: of the pod; empty where the job's own decides.
        service_account: of the pod; empty for the namespace's default.
        termination_grace_period_seconds: between SIGTERM and SIGKILL.
    """
    process: dict[str, Any] = {"name": container, "image": image, "command": list(command)}
    if args:
        process["args"] = list(args)
    if env:
        process["env"] = list(env)
    if ports:
        process["ports"] = [{"name": name, "containerPort": number} for name, number in ports.items()]
    requests: dict[str, Any] = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    limits: dict[str, Any] = {"memory": memory} if memory else {}
    if gpus:
        requests[GPU] = limits[GPU] = gpus
    if requests:
        process["resources"] = {"requests": requests} | ({"limits": limits} if limits else {})
    pod: dict[str, Any] = {"restartPolicy": restart_policy} if restart_policy else {}
    pod |= {"terminationGracePeriodSeconds": termination_grace_period_seconds, "containers": [process]}
    if service_account:
        pod["serviceAccountName"] = service_account
    # a sidecar that never ends keeps the job from completing
    pod_labels = {**(labels or {}), "sidecar.istio.io/inject": "false"}
    return {"metadata": {"labels": pod_labels, "annotations": dict(annotations or {})}, "spec": pod}


def add_env(manifest: Any, env: Mapping[str, str]) -> Any:
    """The manifest with variables added to every container in it; those that a container has already stay."""
    if isinstance(manifest, list):
        return [add_env(one, env) for one in manifest]
    if not isinstance(manifest, Mapping):
        return manifest
    out = {key: add_env(value, env) for key, value in manifest.items()}
    if isinstance(out.get("containers"), list):
        out["containers"] = [_with(one, env) for one in out["containers"]]
    return out


def _with(container: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    own = list(container.get("env") or [])
    known = {one["name"] for one in own}
    return {**container, "env": [*own, *env_list({k: v for k, v in env.items() if k not in known})]}
