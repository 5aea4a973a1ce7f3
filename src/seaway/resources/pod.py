"""What every job's replicas have in common, whatever the kind of job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seaway.errors import InputError

EnvVar = dict[str, Any]

GPU = "nvidia.com/gpu"


def env_list(env: Mapping[str, str]) -> list[EnvVar]:
    """Environment variables as a container lists them, sorted by name."""
    return [{"name": k, "value": v} for k, v in sorted(env.items())]


def secret_env(name: str, *, secret: str, key: str) -> EnvVar:
    """An environment variable whose value is a key of a Secret; the pod starts without it if there is none."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}


@dataclass(frozen=True, kw_only=True)
class Replica:
    """What every replica of a job runs, and with what: the same for every kind of job.

    Raises:
        InputError: there is no command.
    """

    image: str
    """Container image."""
    command: Sequence[str]
    """The process."""
    args: Sequence[str] = ()
    """Its arguments."""
    env: Sequence[EnvVar] = ()
    """As `env_list` and `secret_env` give them; controllers add their own."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the job and of its pods."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the job and of its pods."""
    cpu: str = ""
    """Request, as Kubernetes writes quantities (``2``, ``500m``); empty for none."""
    memory: str = ""
    """Request and limit (``4Gi``); empty for none."""
    gpus: int = 0
    """NVIDIA devices; request and limit."""
    service_account: str = ""
    """Of the pods; empty for the namespace's default."""
    termination_grace_period_seconds: int = 30
    """Between SIGTERM and SIGKILL."""

    def __post_init__(self) -> None:
        if not self.command:
            raise InputError("a replica must be given a command, found none: an image's own is not known here")

    def metadata(self, name: str) -> dict[str, Any]:
        """Of the job; ``name`` may be empty while it is not computed."""
        metadata: dict[str, Any] = {"labels": dict(self.labels), "annotations": dict(self.annotations)}
        return {**metadata, "name": name} if name else metadata

    def pod_metadata(self) -> dict[str, Any]:
        """Of the pods: no service mesh's sidecar, as one that never ends keeps the job from completing."""
        labels = {**self.labels, "sidecar.istio.io/inject": "false"}
        return {"labels": labels, "annotations": dict(self.annotations)}

    def resources(self) -> dict[str, Any]:
        """Requests and limits of the container; empty where nothing is asked for."""
        requests: dict[str, Any] = {k: v for k, v in (("cpu", self.cpu), ("memory", self.memory)) if v}
        limits: dict[str, Any] = {"memory": self.memory} if self.memory else {}
        if self.gpus:
            requests[GPU] = limits[GPU] = self.gpus
        if not requests:
            return {}
        return {"requests": requests} | ({"limits": limits} if limits else {})

    def template(
        self, container: str, *, ports: Mapping[str, int] | None = None, restart_policy: str = ""
    ) -> dict[str, Any]:
        """A pod template with one container.

        Args:
            container: its name, which some controllers ask for.
            ports: number by name.
            restart_policy: of the pod; empty where the job's own decides.
        """
        process: dict[str, Any] = {"name": container, "image": self.image, "command": list(self.command)}
        if self.args:
            process["args"] = list(self.args)
        if self.env:
            process["env"] = list(self.env)
        if ports:
            process["ports"] = [{"name": name, "containerPort": number} for name, number in ports.items()]
        if resources := self.resources():
            process["resources"] = resources
        pod: dict[str, Any] = {"restartPolicy": restart_policy} if restart_policy else {}
        pod |= {"terminationGracePeriodSeconds": self.termination_grace_period_seconds, "containers": [process]}
        if self.service_account:
            pod["serviceAccountName"] = self.service_account
        return {"metadata": self.pod_metadata(), "spec": pod}


@dataclass(frozen=True, kw_only=True)
class Ends:
    """When a job ends at the latest, and how long it is kept then."""

    deadline_s: int | None = None
    """After so many seconds the job fails; None for no deadline."""
    kept_s: int | None = 86_400
    """After so many seconds a finished job is deleted; None keeps it."""

    def policy(self) -> dict[str, int]:
        """As a job's spec or its runPolicy writes it."""
        found = {"activeDeadlineSeconds": self.deadline_s, "ttlSecondsAfterFinished": self.kept_s}
        return {key: value for key, value in found.items() if value is not None}


def add_env(manifest: Any, env: Mapping[str, str]) -> Any:
    """The manifest with variables added to every container in it; those that a container has already stay.

    A TrainJob's ``trainer`` is a container as well, and lists its variables where a container does.
    """
    if isinstance(manifest, list):
        return [add_env(one, env) for one in manifest]
    if not isinstance(manifest, Mapping):
        return manifest
    out = {key: add_env(value, env) for key, value in manifest.items()}
    for key in ("initContainers", "containers"):
        if isinstance(out.get(key), list):
            out[key] = [_with(one, env) for one in out[key]]
    if isinstance(out.get("trainer"), dict):
        out["trainer"] = _with(out["trainer"], env)
    return out


def _with(container: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    own = list(container.get("env") or [])
    known = {one["name"] for one in own}
    return {**container, "env": [*own, *env_list({k: v for k, v in env.items() if k not in known})]}
