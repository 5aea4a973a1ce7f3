"""One installation of Kubeflow Pipelines: how it is reached, whose namespace is used, and its errors in words.

In: a URL and what lets a person in. Out: kfp.Client, ready to be asked; every failure is a `SubmissionError` or an
`InputError` that says what to do.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from seaway.errors import InputError, SubmissionError
from seaway.submission.failures import must_not_be_a_step, refused, unreachable
from seaway.submission.transport import Transport

HOSTS = ("SEAWAY_KFP_HOST", "KF_PIPELINES_ENDPOINT")
TOKEN, COOKIES = "SEAWAY_KFP_TOKEN", "SEAWAY_KFP_COOKIES"
UI = "KF_PIPELINES_UI_ENDPOINT"
IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
POD_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
INSIDE = (".svc", ".svc.cluster.local")
"""How hosts end that a pod's own token may be sent to."""


class Access(TypedDict, total=False):
    """What lets a person in; what is left out comes from the environment, and in a pod from its mounted token.

    ``token`` goes as a bearer token, else SEAWAY_KFP_TOKEN; ``token_file`` is read anew for every request, so that a
    token may be rotated; ``cookies`` is a Cookie header, else SEAWAY_KFP_COOKIES; ``ca_cert`` is the path of a PEM file
    that the server's certificate is checked with.
    """

    token: str
    token_file: str
    cookies: str
    ca_cert: str


@dataclass(frozen=True, kw_only=True)
class Server:
    """Kubeflow Pipelines at one address."""

    host: str
    client: Any
    """kfp.Client."""
    transport: Transport
    namespace: str = ""
    """Of experiments and runs; empty in single-user mode."""

    def url(self, page: str) -> str:
        """A page of the UI."""
        return f"{os.environ.get(UI, self.host).rstrip('/')}/#/{page}"

    def ask(self, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function of the client, without what it prints.

        Args:
            what: what is done, for the error.
            function: of the client.
            args: of the function.
            kwargs: of the function.

        Raises:
            SubmissionError: the server cannot be reached, refuses, or fails.
        """
        from kfp_server_api import ApiException  # type: ignore[import-untyped, unused-ignore]
        from urllib3.exceptions import HTTPError

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return function(*args, **kwargs)
        except ApiException as e:
            error = refused if e.status else unreachable
            raise error(f"could not {what} at {self.host}", e, changing=self.transport.changing) from None
        except HTTPError as e:
            raise unreachable(f"could not {what} at {self.host}", e, changing=self.transport.changing) from None

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, which is made if it is not there.

        Raises:
            InputError: it is archived.
            SubmissionError: it cannot be read or made.
        """
        arguments = {"namespace": self.namespace or None}
        try:
            found = self.ask(f"find the experiment {name!r}", self.client.create_experiment, name, **arguments)
        except SubmissionError as e:
            if e.status != 409:
                raise
            found = self.ask(  # someone made it a moment ago
                f"find the experiment {name!r}", self.client.get_experiment, experiment_name=name, **arguments
            )
        if found.storage_state == "ARCHIVED":
            raise InputError(f"experiment {name!r} must not be archived: restore it in the UI, or name another")
        return str(found.experiment_id)


def connect(host: str = "", *, namespace: str = "", **access: Any) -> Server:
    """Reach Kubeflow Pipelines.

    Args:
        host: as `address` takes it.
        namespace: the profile's, in multi-user mode; empty for the one remembered by kfp or mounted in this pod.
        access: of `Access`.

    Raises:
        InputError: no host, or a namespace too many or too few.
        SubmissionError: it cannot be reached or lets nobody in.
    """
    host = address(host)
    client, remembered = kfp_client(host, **access)
    server = Server(host=host, client=client, transport=Transport(client))
    health = server.ask("find Kubeflow Pipelines", client._healthz_api.healthz_service_get_healthz)
    if health.multi_user:
        mounted = POD.read_text().strip() if POD.is_file() else ""
        namespace = namespace or remembered or mounted
        if not namespace:
            raise InputError(f"namespace must be given, that of your profile: {host} has many users (--namespace)")
    elif namespace:
        raise InputError(
            f"namespace must be left out, found {namespace!r}: {host} has a single user. Where jobs run is the "
            "pipeline's own parameter namespace"
        )
    client._context_setting["namespace"] = namespace  # its own setter writes a file in the home
    return Server(host=host, client=client, transport=server.transport, namespace=namespace)


def offline() -> Server:
    """No server, to which nothing is sent: `ask` ends in `seaway.submission.transport.NotSent`."""
    host = "http://localhost"
    client, _ = kfp_client(host)
    return Server(host=host, client=client, transport=Transport(client, dry=True))


def kfp_client(
    host: str, *, token: str = "", token_file: str = "", cookies: str = "", ca_cert: str = ""
) -> tuple[Any, str]:
    """kfp.Client that has asked nothing yet, and the namespace it remembers.

    Raises:
        InputError: a file that is not there.
        SubmissionError: called inside of a step.
    """
    must_not_be_a_step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kfp warns everyone of servers older than 2.0
        import kfp
        from kfp.client import ServiceAccountTokenVolumeCredentials

        for name, file in (("token_file", token_file), ("ca_cert", ca_cert)):
            if file and not Path(file).is_file():
                raise InputError(f"{name} must be a file that can be read, found none at {file!r}")
        token = token or ("" if token_file else os.environ.get(TOKEN, ""))
        if not token and not token_file and POD_TOKEN.is_file() and (urlsplit(host).hostname or "").endswith(INSIDE):
            token_file = str(POD_TOKEN)
        remembered = _remembered(Path(kfp.Client._LOCAL_KFP_CONTEXT))
        client = kfp.Client(
            host,
            # any name keeps it from asking the server at once, five times and with pauses, before time-outs are set
            namespace="-",
            existing_token=token.strip() or None,
            cookies=cookies or os.environ.get(COOKIES) or None,
            ssl_ca_cert=ca_cert or None,
            credentials=ServiceAccountTokenVolumeCredentials(token_file) if token_file and not token else None,
        )
    return client, remembered


def _remembered(context: Path) -> str:
    """The namespace in the file that kfp keeps in the home."""
    if not context.is_file():
        return ""
    try:
        return str(json.loads(context.read_text()).get("namespace") or "")
    except (ValueError, AttributeError):
        raise InputError(f"{context}: must be JSON that kfp wrote, it is not: delete it") from None


def address(host: str = "") -> str:
    """The URL of the API, without its path /apis.

    Args:
        host: a URL, also one copied from the browser, or a name; empty for SEAWAY_KFP_HOST, KF_PIPELINES_ENDPOINT, and
            in a pod the installation in the namespace kubeflow.

    Raises:
        InputError: there is none, or it is no URL.
    """
    given = host.strip() or next((os.environ[n] for n in HOSTS if os.environ.get(n)), "")
    if not given and "KUBERNETES_SERVICE_HOST" in os.environ:
        given = IN_CLUSTER
    if not given:
        raise InputError(
            "host must be the URL of Kubeflow Pipelines, found none: give --host or SEAWAY_KFP_HOST, for instance "
            "https://kubeflow.example.com/pipeline, or http://localhost:8080 after `kubectl port-forward -n kubeflow "
            "service/ml-pipeline-ui 8080:80`"
        )
    if "://" not in given:
        near = re.match(r"(localhost|127\.|\[::1\]|[\w.-]+\.svc\b)", given)
        given = f"{'http' if near else 'https'}://{given}"
    try:
        parts = urlsplit(given)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise InputError(f"host must be a URL such as https://kubeflow.example.com/pipeline, found {host or given!r}")
    return (
        f"{parts.scheme}://{parts.netloc}{re.sub(r'/apis(/v2beta1)?$', '', parts.path.rstrip('/')).replace('/_/', '/')}"
    )
