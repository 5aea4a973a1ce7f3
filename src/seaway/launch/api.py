"""The Kubernetes API in plain dictionaries, over the official client's transport.

In: manifests. Out: objects as the server has them, errors in words. The client's model classes are not used: they
refuse what other controllers write and know no custom kinds.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seaway.errors import LaunchError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]
T = TypeVar("T")

PLURALS = {
    ("v1", "Pod"): "pods",
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "Event"): "events",
    ("batch/v1", "Job"): "jobs",
    ("kubeflow.org/v1", "PyTorchJob"): "pytorchjobs",
    ("kubeflow.org/v1", "JAXJob"): "jaxjobs",
    ("kubeflow.org/v1", "TFJob"): "tfjobs",
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"): "trainjobs",
    ("serving.kserve.io/v1beta1", "InferenceService"): "inferenceservices",
    ("serving.kserve.io/v1alpha1", "InferenceGraph"): "inferencegraphs",
    ("apps/v1", "Deployment"): "deployments",
    ("argoproj.io/v1alpha1", "Workflow"): "workflows",
}
"""Every kind that the launchers name, with its path segment: the RBAC rules must cover these."""

_INSTALLED_BY = {
    "PyTorchJob": "the Kubeflow training operator",
    "JAXJob": "the Kubeflow training operator",
    "TFJob": "the Kubeflow training operator",
    "TrainJob": "the Kubeflow trainer",
    "InferenceService": "KServe",
    "InferenceGraph": "KServe",
}
"""Who brings a kind that Kubernetes itself does not have."""

CONNECTIONS = 128
"""That are kept open: a stream of logs for each replica, and the watches."""
TRANSIENT = (0, 410, 429, 500, 502, 503, 504)
"""Statuses after which the same request may well succeed; 0 is no answer at all."""

_AWAY = (0, 502, 503, 504)
"""Statuses of a server that is not there for the moment."""
PATIENCE_S = 30.0
"""For so long a step that is no job's waits for the API server."""

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class ApiError(LaunchError):
    """The API server refused a request, or did not answer (``status`` 0)."""

    def __init__(self, message: str, *, status: int, reason: str = "") -> None:
        self.status = status
        self.reason = reason
        super().__init__(message)


class Stream(Generic[T]):
    """What an answer brings as it goes on. One thread reads; any other may end its waiting by `close`."""

    def __init__(self, response: Any, items: Iterator[T]) -> None:
        self._response = response
        self._items = items

    def __iter__(self) -> Iterator[T]:
        # a reader that leaves early drops the iterator, which then closes the connection
        return self._items

    def close(self) -> None:
        """Let the reader find the stream at its end; it closes the connection itself, in its own thread."""
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # it is at its end already
            self._response.shutdown()


class Api:
    """A connection to one API server and a namespace in it."""

    def __init__(self, client: ApiClient, *, namespace: str, patience_s: float = 0.0) -> None:
        self._client = client
        self._patience_s = patience_s
        self.namespace = namespace

    @classmethod
    def connect(cls, namespace: str = "", *, patience_s: float = 0.0) -> Api:
        """The API of the cluster that this pod runs in, else of the kubeconfig's current context.

        Args:
            namespace: of all objects; by default the pod's own, else the context's.
            patience_s: for so long a request that may be repeated is, while the server does not answer.

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
        configuration.connection_pool_maxsize = CONNECTIONS
        configuration.retries = False  # a repeated POST could create twice; callers repeat where it is safe
        return cls(client.ApiClient(configuration), namespace=namespace or found, patience_s=patience_s)

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

    def list(self, kind: tuple[str, str], *, labels: str = "", fields: str = "") -> list[Object]:
        """The objects that a label selector and a field selector match."""
        query = {k: v for k, v in (("labelSelector", labels), ("fieldSelector", fields)) if v}
        found = self._object("GET", self._path(kind), query=query)
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

    def delete(self, kind: tuple[str, str], name: str, *, foreground: bool = False) -> None:
        """Delete an object and what it owns; nothing happens if it is not there.

        Args:
            kind: of the object.
            name: of the object.
            foreground: whether the object stays, with a deletionTimestamp, until all that it owns is gone.
        """
        policy = "Foreground" if foreground else "Background"
        try:
            self._object("DELETE", self._path(kind, name), query={"propagationPolicy": policy})
        except ApiError as e:
            if e.status != 404:
                raise

    def watch(self, kind: tuple[str, str], name: str, *, since: str, timeout_s: int = 30) -> Stream[Object]:
        """Changes of one object after resourceVersion ``since``; ends after ``timeout_s`` or when the server closes."""
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": since,
            "timeoutSeconds": str(timeout_s),
        }
        response = self._call("GET", self._path(kind), query=query, stream=True, timeout_s=timeout_s + 15)
        return Stream(response, _changes(response))

    def pod_log(
        self, pod: str, *, container: str = "", follow: bool = True, since: str = "", previous: bool = False
    ) -> Stream[str]:
        """Lines of a pod's log, as they come.

        Args:
            pod: its name.
            container: by default the pod's only one.
            follow: whether to go on until the container ends.
            since: only what was written since then (RFC 3339).
            previous: of the container before its last restart.
        """
        query = {"follow": "true" if follow else "false"} | ({"container": container} if container else {})
        query |= ({"sinceTime": since} if since else {}) | ({"previous": "true"} if previous else {})
        # a replica may be silent for hours
        timeout_s = None if follow else 30
        response = self._call(
            "GET", self._path(("v1", "Pod"), pod) + "/log", query=query, stream=True, timeout_s=timeout_s
        )
        return Stream(response, _lines(response))

    def _path(self, kind: tuple[str, str], name: str = "") -> str:
        version, _ = kind
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        path = f"{root}/namespaces/{self.namespace}/{PLURALS[kind]}"
        return f"{path}/{name}" if name else path

    def _object(self, method: str, path: str, **options: Any) -> Object:
        ends, delay_s = time.monotonic() + self._patience_s, 0.1
        while True:
            try:
                found: Object = json.loads(self._call(method, path, **options).data)
                return found
            except ApiError as e:
                # a creation that was not answered may have happened; an apply comes to the same
                if method == "POST" or e.status not in _AWAY or time.monotonic() > ends:
                    raise
            time.sleep(delay_s)
            delay_s = min(delay_s * 2, 2.0)

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
            raise _in_words(e, method, path, self.namespace, body) from e
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


def _changes(response: Any) -> Iterator[Object]:
    """The objects of a watch's events; a deleted one has the key ``_deleted``."""
    for line in _lines(response):
        event = json.loads(line)
        if event["type"] == "ERROR":
            status = event["object"]
            raise ApiError(status.get("message", "watch failed"), status=int(status.get("code", 500)))
        if event["type"] == "DELETED":
            yield {**event["object"], "_deleted": True}
        elif event["type"] != "BOOKMARK":
            yield event["object"]


def _lines(response: Any) -> Iterator[str]:
    """Whole lines of a streamed answer, each as soon as it is there; closes it at the end."""
    from urllib3.exceptions import HTTPError

    left = b""
    try:
        for chunk in response.stream(amt=None, decode_content=True):
            *whole, left = (left + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)
    except (HTTPError, OSError, ValueError) as e:  # ValueError: closed by another thread
        raise ApiError(f"the Kubernetes API closed a stream: {type(e).__name__}", status=0) from e
    finally:
        # a half read answer must never go back to the pool: the next request would read the rest of it
        response.close()
    if left:
        yield left.decode("utf-8", "replace")


def _in_words(error: Any, method: str, path: str, namespace: str, body: Any) -> ApiError:
    try:
        status = json.loads(error.body or "{}")
    except ValueError:
        status = {}
    message = status.get("message") or str(error.reason or error)
    code, reason, kind = int(error.status or 0), str(status.get("reason", "")), str((body or {}).get("kind", ""))
    if "denied the request" in message:  # an admission webhook's refusal is a 403 as well
        message = f"{message}. The manifest must hold what the webhook asks: change the parameters, or patch"
    elif code == 403 and "quota" in message:
        message = f"{message}. The namespace {namespace!r} has no room: ask for less cpu or memory, or raise the quota"
    elif code == 403:
        message = (
            f"{message}. The service account must be allowed to {method} {path}: bind it to the Role in manifests/base"
        )
    elif code == 404 and method == "POST" and kind in _INSTALLED_BY and "namespaces" not in message:
        message = f"{message}. {kind} must be a kind that the cluster knows: {_INSTALLED_BY[kind]} must be installed"
    elif code == 404 and method == "POST":
        message = f"{message}. The namespace and the kind must exist: {path}"
    return ApiError(f"{method} {path}: {message}", status=code, reason=reason)
