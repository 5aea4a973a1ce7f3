"""Smoke test: ask the live endpoint with holdout rows and compare with the package's own answers.

In: the service's name, the package and the holdout. Out: how far the answers differ, or an error if they do.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from seaway.errors import InputError, LaunchError
from seaway.launch import endpoint
from seaway.launch.api import PATIENCE_S, Api
from seaway.launch.service import served
from seaway.model import package
from seaway.observe import logs
from seaway.promotion.smoke import compare, expected, request_v2, sample_rows
from seaway.resources import names

_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """What a smoke test saw."""

    rows: int
    version: str
    """That the endpoint says it serves."""
    latency_ms: float
    """Of one row, the median over the rows asked one by one."""


def smoke_test(
    *, service: str, url: str, model: str, test: str, rows: int, tolerance: float, timeout_s: int, namespace: str
) -> Smoke:
    """Compare the endpoint's answers on holdout rows with the package's.

    Args:
        service: name of the InferenceService.
        url: of the service; empty to ask the API for it.
        model: URI of the model package.
        test: local path of the holdout, Parquet of raw rows.
        rows: how many are asked, once in one request and again one by one.
        tolerance: largest difference of a probability, or of a value relative to its size.
        timeout_s: how long the endpoint may take to be reachable.
        namespace: of the service; empty for the step's own.

    Raises:
        LaunchError: the endpoint does not answer, serves another version, or answers otherwise than the package.
    """
    name = names.dns_label(service)
    if not url:
        found = served(Api.connect(namespace, patience_s=PATIENCE_S), name)
        if found is None or not found.url:
            raise LaunchError(f"InferenceService {name} must be there and have a URL: was the model promoted?")
        url = found.url
    with package.opened(model) as opened:
        frame = sample_rows(test, opened.contract, rows)
        own = expected(opened, frame)
        requests = [request_v2(frame, opened.contract)]
        requests += [request_v2(frame.slice(i, 1), opened.contract) for i in range(frame.height)]
        version = opened.version
    answer, headers = _first(url, name, requests[0], timeout_s)
    if headers.get("x-seaway-model-version", version) != version:
        raise LaunchError(f"{url} must serve version {version}, found {headers['x-seaway-model-version']}")
    differences = compare(answer, own, tolerance=tolerance)
    seconds = []
    for i, request in enumerate(requests[1:]):
        before = time.perf_counter()
        single, _ = endpoint.infer(url, name, request)
        seconds.append(time.perf_counter() - before)
        differences += compare(single, {k: v[i : i + 1] for k, v in own.items()}, tolerance=tolerance)
    if differences:
        raise LaunchError(
            f"{url} must answer as the package does within {tolerance:g}, found {len(differences)} differences: "
            + "; ".join(differences[:5])
        )
    latency_ms = round(sorted(seconds)[len(seconds) // 2] * 1e3, 3)
    logs.info(_log, f"{name} answers as its package does", rows=frame.height, latency_ms=latency_ms)
    return Smoke(rows=frame.height, version=version, latency_ms=latency_ms)


def _first(url: str, name: str, request: dict[str, object], timeout_s: int) -> tuple[dict[str, object], dict[str, str]]:
    """The first answer; a route that is ready may still need a moment to be reachable."""
    ends = time.monotonic() + timeout_s
    while True:
        try:
            return endpoint.infer(url, name, request)
        except InputError as e:
            raise LaunchError(f"the endpoint refused rows of the holdout: {e}") from e
        except LaunchError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.5)
