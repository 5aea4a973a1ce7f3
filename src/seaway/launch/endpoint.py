"""Ask a live endpoint over the Open Inference Protocol v2, with the run's trace.

Standard library only: one request more or less is no reason for a client.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from seaway.errors import InputError, LaunchError
from seaway.observe import trace


def infer(
    url: str, model: str, request: Mapping[str, Any], *, timeout_s: float = 60.0
) -> tuple[dict[str, Any], dict[str, str]]:
    """POST /v2/models/{model}/infer; gives the answer and its headers, names in lower case.

    Raises:
        InputError: the server refuses the rows (4xx), in its words.
        LaunchError: no answer, or 5xx.
    """
    return call(f"{url.rstrip('/')}/v2/models/{model}/infer", body=request, timeout_s=timeout_s)


def metadata(url: str, model: str, *, timeout_s: float = 30.0) -> dict[str, Any]:
    """GET /v2/models/{model}: names, datatypes and shapes of inputs and outputs."""
    return call(f"{url.rstrip('/')}/v2/models/{model}", timeout_s=timeout_s)[0]


def call(url: str, *, body: Mapping[str, Any] | None = None, timeout_s: float) -> tuple[dict[str, Any], dict[str, str]]:
    """One JSON request."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if parent := trace.outgoing():
        headers["traceparent"] = parent
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    if not url.startswith(("http://", "https://")):
        raise LaunchError(f"an endpoint's URL must be http or https, found {url!r}: is the service ready?")
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
            answer: dict[str, Any] = json.loads(response.read())
            return answer, {k.lower(): v for k, v in response.headers.items()}
    except urllib.error.HTTPError as e:
        text = e.read().decode("utf-8", "replace")
        try:
            text = json.loads(text).get("error", text)
        except (ValueError, AttributeError):
            text = text[:500]
        error = InputError if e.code < 500 else LaunchError
        raise error(f"{url} answered {e.code}: {text}") from None
    except urllib.error.URLError as e:
        raise LaunchError(f"{url} must answer, found {e.reason}: is the service ready (`seaway status`)?") from e
    except (OSError, ValueError) as e:
        raise LaunchError(f"{url} must answer with JSON, found {type(e).__name__}: {e}") from e
