"""What a cluster's administrator sets once, as environment variables of the launcher's pod (manifests/base gives them).

SEAWAY_STORAGE_SECRET          Secret with the object store's credentials, by default KFP's own
mlpipeline-minio-artifact SEAWAY_S3_ENDPOINT             the object store's URL, for minio:// and S3 stores that are
not AWS's SEAWAY_JOB_SERVICE_ACCOUNT     service account of job pods
SEAWAY_SERVER_SERVICE_ACCOUNT  service account of model servers, whose Secrets KServe reads for storageUri
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from seaway.resources.job import EnvVar, env_list, secret_env

_PASSED_ON = ("SEAWAY_S3_ENDPOINT", "SEAWAY_LOG_LEVEL", "GOOGLE_CLOUD_PROJECT", "AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The cluster's settings for jobs and servers."""

    storage_secret: str = "mlpipeline-minio-artifact"  # noqa: S105 - the name of a Secret
    job_service_account: str = ""
    server_service_account: str = ""

    @classmethod
    def from_env(cls) -> Settings:
        """The settings of this pod's environment."""
        return cls(
            storage_secret=os.environ.get("SEAWAY_STORAGE_SECRET", cls.storage_secret),
            job_service_account=os.environ.get("SEAWAY_JOB_SERVICE_ACCOUNT", ""),
            server_service_account=os.environ.get("SEAWAY_SERVER_SERVICE_ACCOUNT", ""),
        )

    def job_env(self, uris: tuple[str, ...]) -> list[EnvVar]:
        """Environment of a worker that reads and writes these URIs."""
        env = env_list({k: os.environ[k] for k in _PASSED_ON if os.environ.get(k)})
        if any(u.startswith(("s3://", "minio://")) for u in uris):
            env.append(secret_env("AWS_ACCESS_KEY_ID", secret=self.storage_secret, key="accesskey"))
            env.append(secret_env("AWS_SECRET_ACCESS_KEY", secret=self.storage_secret, key="secretkey"))
        return env
