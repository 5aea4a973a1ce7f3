"""The Kubernetes API in plain dictionaries, over the official client's transport.

In: manifests. Out: objects as the server has them, errors in words. The client's model classes are not used: they
refuse what other controllers write and know no custom kinds.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seaway.errors import LaunchError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]

PLURALS = {
    ("v1", "Pod"): "pods",
    ("v1", "ConfigMap"): "configmaps",
    ("batch/v1", "Job"): "jobs",
    ("serving.kserve.io/v1beta1", "InferenceService"): "inferenceservices",
    ("argoproj.io/v1alpha1", "Workflow"): "workflows",
}
"""Every kind that the launchers name, with its path segment: the RBAC rules must cover these."""

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class ApiError(LaunchError):
    """The API server refused a request, or did not answer (``status`` 0)."""

    def __init__(self, message: str, *, status: int, reason: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(message)


class Api:
    """A connection to one API server and a namespace in it."""

    def __init__(self, client: ApiClient, *, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    @classmethod
    def connect(cls, namespace: str = "") -> Api:
        """The API of the cluster that this pod runs in, else of the kubeconfig's current context.

        Args:
            namespace: of all objects; by default the pod's own, else the context's.

        Raises:
            LaunchError: there is no cluster to speak to.
        """
        client, config = _import_client()
        configuration = client.Configuration()
        try:
            if os.environ.get("KUBERNETES_SERVICE_HOST"):
                config.load_incluster_config(client_configuration=configuration)
                found = _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
            else:
                # named here: the client reads the variable only once, when it is imported
                file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
                config.load_kube_config(config_file=file, client_configuration=configuration)
                _, context = config.list_kube_config_contexts(config_file=file)
                found = context["context"].get("namespace") or "default"
        except (config.ConfigException, OSError) as e:
            raise LaunchError(
                f"there must be a cluster or a laptop to speak to, found none ({e}): run `seaway up`, or set KUBECONFIG"
            ) from e
        configuration.retries = False  # a repeated POST could create twice; callers repeat where it is safe
        return cls(client.ApiClient(configuration), namespace=namespace or found)

    @property
    def host(self) -> str:
        """The server's URL."""
        return str(self._client.configuration.host)

    def get(self, kind: tuple[str, str], name: str) -> Object | None:
        """An object, or None if there is none of that name."""
        try:
            return self._object("GET", self._path(kind, name))
        except ApiError as e:
            if e.status == 404:
                return None
            raise

    def list(self, kind: tuple[str, str], *, labels: str = "") -> list[Object]:
        """The objects that a label selector matches."""
        found = self._object("GET", self._path(kind), query={"labelSelector": labels} if labels else {})
        items: list[Object] = found.get("items", [])
        return items

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Create an object."""
        return self._object("POST", self._path(_kind(manifest)), body=manifest)

    def apply(self, manifest: Mapping[str, Any]) -> Object:
        """Create or change an object to what the manifest says (server-side apply)."""
        path = self._path(_kind(manifest), manifest["metadata"]["name"])
        query = {"fieldManager": "seaway", "force": "true", "fieldValidation": "Strict"}
        return self._object("PATCH", path, query=query, body=manifest, content_type="application/apply-patch+yaml")

    def delete(self, kind: tuple[str, str], name: str) -> None:
        """Delete an object and what it owns; nothing happens if it is not there."""
        try:
            self._object("DELETE", self._path(kind, name), query={"propagationPolicy": "Background"})
        except ApiError as e:
            if e.status != 404:
                raise

    def watch(self, kind: tuple[str, str], name: str, *, since: str, timeout_s: int = 30) -> Iterator[Object]:
        """Changes of one object after resourceVersion ``since``; ends after ``timeout_s`` or when the server closes."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": since,
            "timeoutSeconds": str(timeout_s),
        }
        response = self._call("GET", self._path(kind), query=query, stream=True, timeout_s=timeout_s + 15)
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status.get("message", "watch failed"), status=int(status.get("code", 500)))
                if event["type"] == "DELETED":
                    yield {**event["object"], "_deleted": True}
                elif event["type"] != "BOOKMARK":
                    yield event["object"]
        finally:
            response.release_conn()

    def pod_log(self, pod: str, *, container: str = "", follow: bool = True) -> Iterator[str]:
        """Lines of a pod's log, as they come."""
        query = {"follow": "true" if follow else "false"} | ({"container": container} if container else {})
        response = self._call("GET", self._path(("v1", "Pod"), pod) + "/log", query=query, stream=True)
        try:
            yield from _lines(response)
        finally:
            response.release_conn()

    def _path(self, kind: tuple[str, str], name: str = "") -> str:
        version, _ = kind
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        path = f"{root}/namespaces/{self.namespace}/{PLURALS[kind]}"
        return f"{path}/{name}" if name else path

    def _object(self, method: str, path: str, **options: Any) -> Object:
        found: Object = json.loads(self._call(method, path, **options).data)
        return found

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        stream: bool = False,
        timeout_s: float | None = 30,
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=dict(body) if body is not None else None,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=None if stream and timeout_s is None else timeout_s,
            )
        except ApiException as e:
            raise _in_words(e, method, path, self.namespace) from e
        except (HTTPError, OSError) as e:
            text = (
                f"the Kubernetes API at {self.host} must answer, found {type(e).__name__}: is it up (`seaway status`)?"
            )
            raise ApiError(text, status=0) from e


def _import_client() -> tuple[Any, Any]:
    was_on = gc.isenabled()
    gc.disable()  # else a sixth of the time goes into collecting what a thousand modules have just made
    try:
        from kubernetes import client, config
    finally:
        if was_on:
            gc.enable()
    return client, config


def _kind(manifest: Mapping[str, Any]) -> tuple[str, str]:
    return manifest["apiVersion"], manifest["kind"]


def _lines(response: Any) -> Iterator[str]:
    """Whole lines of a streamed answer, each as soon as it is there."""
    from urllib3.exceptions import HTTPError

    left = b""
    try:
        for chunk in response.stream(amt=None, decode_content=True):
            *whole, left = (left + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)
    except (HTTPError, OSError) as e:
        raise ApiError(f"the Kubernetes API closed a stream: {type(e).__name__}", status=0) from e
    if left:
        yield left.decode("utf-8", "replace")


def _in_words(error: Any, method: str, path: str, namespace: str) -> ApiError:
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        status = {}
    message = status.get("message") or str(error.reason or error)
    status_code, reason = int(error.status or 0), str(status.get("reason", ""))
    if status_code == 403 and "quota" not in message:
        message = (
            f"{message}. The service account must be allowed to {method} {path}: bind it to the Role in manifests/base"
        )
    elif status_code == 403:
        message = f"{message}. The namespace {namespace!r} has no room: ask for less cpu or memory, or raise the quota"
    elif status_code == 404 and method == "POST":
        message = f"{message}. The namespace and the kind must exist: {path}"
    return ApiError(f"{method} {path}: {message}", status=status_code, reason=reason)
