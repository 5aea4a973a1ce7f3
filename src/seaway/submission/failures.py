"""What went wrong between here and Kubeflow Pipelines, in words and with what to do."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from seaway.errors import SubmissionError

WHO = (
    "say who you are: a token by --token-file or SEAWAY_KFP_TOKEN, or behind a login page the session's cookies by "
    "SEAWAY_KFP_COOKIES, for instance authservice_session=...; in a pod of Kubeflow, mount the token for "
    "pipelines.kubeflow.org (PodDefault access-ml-pipeline)"
)
AGAIN = "try again in a while"
TAKEN = "; what was sent may have been taken, so look at the UI first"
ADVICE = {
    400: "mend what it names",
    401: WHO,
    403: "you must have the right to it: check the namespace and the token, or ask who owns the namespace to add you",
    404: "check the host, for a whole Kubeflow it ends in /pipeline, and that it is version 2",
    409: "something of that name is there already: give another",
}
"""What to do about an answer's status."""


def must_not_be_a_step() -> None:
    """See that this is no step of a pipeline: kfp loads no client there.

    Raises:
        SubmissionError: it is one.
    """
    if os.environ.get("_KFP_RUNTIME") == "true":
        raise SubmissionError(
            "a step of a pipeline cannot load kfp's client: start a process without the variable _KFP_RUNTIME, for "
            "instance `env -u _KFP_RUNTIME seaway submit ...`"
        )


def refused(what: str, e: Any, *, changing: bool) -> SubmissionError:
    """The server's own refusal or failure, from kfp_server_api.ApiException; ``changing`` if it was asked to change."""
    body = e.body.decode(errors="replace") if isinstance(e.body, bytes) else str(e.body or "")
    try:
        answer = json.loads(body)
        said, code = str(answer.get("message") or answer.get("error") or e.reason), answer.get("code")
    except (ValueError, AttributeError):
        said, code = re.sub(r"<[^>]*>", " ", body).strip() or str(e.reason), None
    # gRPC's codes say more: who sends no identity is answered 500
    status = {16: 401, 7: 403}.get(code, e.status) if isinstance(code, int) else e.status
    status = 401 if "user identity header" in said or "nauthenticated" in said else status
    advice = ADVICE.get(status, AGAIN + (TAKEN if changing else "") if status >= 500 else "")
    said = " ".join(said.split())[:600]
    return SubmissionError(f"{what}: it answered {e.status}, {said}" + (f"; {advice}" if advice else ""), status=status)


def unreachable(what: str, e: Any, *, changing: bool) -> SubmissionError:
    """No answer: from an error of urllib3, or of kfp_server_api about TLS."""
    reason = getattr(e, "reason", None) or e
    kind = type(reason).__name__
    if "NameResolution" in kind:
        found, changing = "its name is unknown; check the spelling, and VPN or DNS", False
    elif "NewConnection" in kind:
        found, changing = "the connection was refused; is it up? A port-forward ends with its pod", False
    elif "SSL" in f"{kind}{reason}" or "CERTIFICATE" in str(reason):
        found, changing = f"TLS failed ({reason}); give the authority by --ca-cert, or check http or https", False
    elif "Timeout" in kind:
        found = "it did not answer in time; check the network and the proxy"
    else:
        found = f"the connection broke ({reason}); check the network, then try again"
    return SubmissionError(f"{what}: {found}" + (TAKEN if changing else ""))
