"""What a model server needs to read an object store, from its service account's Secrets, as KServe gives it.

A Secret counts if it holds AWS_SECRET_ACCESS_KEY; its annotations say where the store is. On a cluster KServe hands
these variables to its storage initializer, here they go to the server, which reads the package itself. Source:
pkg/credentials/service_account_credentials.go and pkg/credentials/s3/utils.go of KServe.
"""

from __future__ import annotations

from collections.abc import Callable

from seaway.local.api.status import Object
from seaway.storage.s3 import is_s3

Lookup = Callable[[str, str, str], Object | None]
"""Resource, namespace and name to the object, None when there is none."""

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Keys of the Secret, as KServe's own configuration names them, and the variables that they become."""
_PREFIX = "serving.kserve.io/s3-"
_ENDPOINT, _HTTPS = f"{_PREFIX}endpoint", f"{_PREFIX}usehttps"
_PLAIN = {
    f"{_PREFIX}region": "AWS_DEFAULT_REGION",
    f"{_PREFIX}verifyssl": "S3_VERIFY_SSL",
    f"{_PREFIX}cabundle": "AWS_CA_BUNDLE",
}


def s3_env(manifest: Object, lookup: Lookup) -> list[Object]:
    """Environment variables for the server of an InferenceService; none if its model is not in an object store."""
    predictor = manifest["spec"]["predictor"]
    if not is_s3((predictor.get("model") or {}).get("storageUri") or ""):
        return []
    namespace = manifest["metadata"]["namespace"]
    account = lookup("serviceaccounts", namespace, predictor.get("serviceAccountName") or "default") or {}
    env: list[Object] = []
    for reference in account.get("secrets") or []:
        secret = lookup("secrets", namespace, reference.get("name", ""))
        if secret is not None and _KEYS[1] in (secret.get("data") or {}):
            env += _of(secret)
    return env


def _of(secret: Object) -> list[Object]:
    name, said = secret["metadata"]["name"], secret["metadata"].get("annotations") or {}
    env: list[Object] = [{"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}} for key in _KEYS]
    if host := said.get(_ENDPOINT):
        scheme = "http" if said.get(_HTTPS) == "0" else "https"
        env.append({"name": "AWS_ENDPOINT_URL", "value": f"{scheme}://{host}"})
    return env + [{"name": variable, "value": said[key]} for key, variable in _PLAIN.items() if said.get(key)]
