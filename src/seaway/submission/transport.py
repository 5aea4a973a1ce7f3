"""What kfp.Client lacks on the wire: time-outs, patience with a server that is busy, and a record of what it sends.

In: a client. Out: the same, whose requests end in time; a GET that meets a busy server is asked again, a POST never,
since it may have been taken. In a dry run nothing is sent.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

from seaway.errors import SubmissionError

CONNECT_S, READ_S = 10.0, 60.0
BUSY = frozenset({429, 500, 502, 503, 504})
PAUSES_S = (0.5, 1.0, 2.0)
"""Before each further try of a GET."""


class NotSent(Exception):  # noqa: N818 - the way out of a dry run, no error
    """A dry run has got as far as the first request that would change something."""


class Transport:
    """Stands before a client's REST layer.

    Args:
        client: kfp.Client; what it sends from now on goes through here.
        dry: whether nothing is sent: the first POST raises `NotSent`.
    """

    def __init__(self, client: Any, *, dry: bool = False) -> None:
        import urllib3

        rest = client._experiment_api.api_client.rest_client  # one for all of the client's services
        # a read that timed out is not asked again: four times a minute is a long silence
        retries = urllib3.Retry(total=3, connect=2, read=0, redirect=3, status=0, other=0, backoff_factor=0.1)
        rest.pool_manager.connection_pool_kw["retries"] = retries
        self._send, self._dry = rest.request, dry
        self.read_s = READ_S
        self.changing = False
        """Whether the last request would change something."""
        self.sent: list[dict[str, Any]] = []
        """Requests with a JSON body, the newest last: method, path, body."""
        rest.request = self.request

    def request(self, method: str, url: str, **how: Any) -> Any:
        """Send one request, as the REST layer's own method of this name does.

        Raises:
            NotSent: a dry run, and the request is no GET.
            SubmissionError: something else answers than the API.
        """
        self.changing = method != "GET"
        if self.changing:
            if how.get("body") is not None:
                self.sent.append({"method": method, "path": urlsplit(url).path, "body": how["body"]})
            if self._dry:
                raise NotSent
        how["_request_timeout"] = how.get("_request_timeout") or (CONNECT_S, self.read_s)
        response = self._patiently(method, url, how)
        try:
            good = isinstance(json.loads(response.data), dict)
        except ValueError:
            good = False
        if not good:
            raise SubmissionError(
                f"{url} must be the API of Kubeflow Pipelines, found {_glimpse(response)}: if that is a login page, "
                "give a token or the session's cookies; if it is Kubeflow's dashboard, the host ends in /pipeline"
            )
        return response

    def _patiently(self, method: str, url: str, how: dict[str, Any]) -> Any:
        for pause in PAUSES_S:
            try:
                return self._send(method, url, **how)
            except Exception as e:  # kfp_server_api.ApiException, whose module costs its second only when needed
                if method != "GET" or getattr(e, "status", None) not in BUSY or "nauthenticated" in str(e):
                    raise
            time.sleep(pause)
        return self._send(method, url, **how)


def _glimpse(response: Any) -> str:
    text = response.data.decode(errors="replace") if isinstance(response.data, bytes) else str(response.data)
    kind = (response.getheader("Content-Type") or "").partition(";")[0]
    title = re.search(r"<title[^>]*>([^<]*)</title>", text, re.IGNORECASE)
    return f"{kind or 'an answer without a type'} {(title[1] if title else text)[:80].strip()!r}"
