"""What a cluster's administrator sets once: keys of the ConfigMap `seaway-config`, environment variables of every step.

Each key is optional, and so is the ConfigMap. manifests/base has one to start from, docs/cluster.md says more.

SEAWAY_S3_ENDPOINT             URL of the object store, where that is not AWS's own: ``http://minio-service.kubeflow:9000``
SEAWAY_S3_TIMEOUT_S            seconds without an answer after which a request to it is given up; 30
SEAWAY_STORAGE_SECRET          Secret in the run's namespace with the store's ``accesskey`` and ``secretkey``;
                               KFP's own, mlpipeline-minio-artifact
SEAWAY_JOB_SERVICE_ACCOUNT     of job pods; the namespace's default
SEAWAY_SERVER_SERVICE_ACCOUNT  of model servers, whose Secrets KServe reads for storageUri; the namespace's default
SEAWAY_DEPLOYMENT_MODE         of new services: Standard, Knative, or cluster for what KServe's own configuration says;
                               Standard
SEAWAY_ENDPOINT_URL            where steps reach a service, with ``{service}`` and ``{namespace}`` in it, if not at the
                               address that KServe gives
SEAWAY_IMAGE_REGISTRY, SEAWAY_IMAGE_TAG   of job images; those that the launcher's own image was built with
SEAWAY_LOG_LEVEL, GOOGLE_CLOUD_PROJECT, AWS_DEFAULT_REGION   passed on to job pods as they are
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from seaway.errors import InputError
from seaway.resources.pod import EnvVar, env_list, secret_env
from seaway.storage import s3

CONFIG_MAP = "seaway-config"
STORAGE_SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - the name of a Secret
SECRET_KEYS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
"""Keys of the storage Secret, as KFP writes it, and the variables that S3 clients read."""
CONFIG_KEYS = (
    "SEAWAY_S3_ENDPOINT",
    "SEAWAY_S3_TIMEOUT_S",
    "SEAWAY_STORAGE_SECRET",
    "SEAWAY_JOB_SERVICE_ACCOUNT",
    "SEAWAY_SERVER_SERVICE_ACCOUNT",
    "SEAWAY_DEPLOYMENT_MODE",
    "SEAWAY_ENDPOINT_URL",
    "SEAWAY_IMAGE_REGISTRY",
    "SEAWAY_IMAGE_TAG",
    "SEAWAY_LOG_LEVEL",
    "GOOGLE_CLOUD_PROJECT",
    "AWS_DEFAULT_REGION",
)
_PASSED_ON = (
    "SEAWAY_S3_ENDPOINT",
    "SEAWAY_S3_TIMEOUT_S",
    "SEAWAY_LOG_LEVEL",
    "GOOGLE_CLOUD_PROJECT",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)

DeploymentMode = Literal["", "Standard", "Knative"]
_MODES: dict[str, DeploymentMode] = {"Standard": "Standard", "Knative": "Knative", "cluster": ""}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The cluster's settings for jobs and servers."""

    storage_secret: str = STORAGE_SECRET
    job_service_account: str = ""
    server_service_account: str = ""
    deployment_mode: DeploymentMode = "Standard"
    """KServe's; empty for its own default."""
    endpoint_url: str = ""

    @classmethod
    def from_env(cls) -> Settings:
        """The settings of this pod's environment.

        Raises:
            InputError: one of them does not hold.
        """
        mode = os.environ.get("SEAWAY_DEPLOYMENT_MODE") or "Standard"
        if mode not in _MODES:
            raise InputError(
                f"SEAWAY_DEPLOYMENT_MODE must be one of {sorted(_MODES)}, found {mode!r}: correct the ConfigMap "
                f"{CONFIG_MAP}"
            )
        url = os.environ.get("SEAWAY_ENDPOINT_URL", "")
        if url and _filled(url, "a", "b") in ("", url):
            raise InputError(
                f"SEAWAY_ENDPOINT_URL must be a URL with {{service}} and {{namespace}} in it, found {url!r}: correct "
                f"the ConfigMap {CONFIG_MAP}"
            )
        return cls(
            storage_secret=os.environ.get("SEAWAY_STORAGE_SECRET") or STORAGE_SECRET,
            job_service_account=os.environ.get("SEAWAY_JOB_SERVICE_ACCOUNT", ""),
            server_service_account=os.environ.get("SEAWAY_SERVER_SERVICE_ACCOUNT", ""),
            deployment_mode=_MODES[mode],
            endpoint_url=url,
        )

    def job_env(self, uris: tuple[str, ...]) -> list[EnvVar]:
        """Environment of a worker that reads and writes these URIs.

        A Secret that is missing, or lacks a key, does not keep the pod from starting: the worker's own error then names
        the Secret, which a pod that waits for it would not do.
        """
        env = env_list({k: os.environ[k] for k in _PASSED_ON if os.environ.get(k)})
        if any(s3.is_s3(u) for u in uris):
            env += env_list({"SEAWAY_STORAGE_SECRET": self.storage_secret})
            env += [secret_env(name, secret=self.storage_secret, key=key) for key, name in SECRET_KEYS.items()]
        return env

    def reached_at(self, service: str, namespace: str, address: str) -> str:
        """URL by which steps reach a service: the setting's, else the ``address`` that KServe gives."""
        return _filled(self.endpoint_url, service, namespace) if self.endpoint_url else address


def _filled(template: str, service: str, namespace: str) -> str:
    """The URL of one service; empty if the template has other names in braces or is no URL."""
    try:
        url = template.format(service=service, namespace=namespace)
    except (KeyError, IndexError, ValueError, AttributeError):
        return ""
    return url if url.startswith(("http://", "https://")) else ""
