"""Runs on a cluster: submit one, wait for its end."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack

from seaway.errors import DeadlineError, SubmissionError
from seaway.submission.package import Package, opened
from seaway.submission.request import Request
from seaway.submission.server import Access, Server, connect, offline

ENDED = {"SUCCEEDED": "succeeded", "SKIPPED": "skipped", "FAILED": "failed", "CANCELED": "canceled"}
"""KFP's states that a run does not leave again, in our words."""
SILENCE_S = 300.0
"""How long a server may fail while a run is waited for."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that was submitted."""

    id: str
    """KFP's; empty after a dry run."""
    url: str
    """Its page in the UI; empty after a dry run."""
    name: str
    experiment: str
    request: Mapping[str, Any] = field(repr=False)
    """What was sent, or would be: method, path, body."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    id: str
    state: str
    """succeeded, failed, canceled or skipped."""
    url: str
    error: str = ""
    failed: tuple[str, ...] = ()
    """Tasks that failed, with their errors."""


def submit(
    pipeline: Any,
    *,
    host: str = "",
    parameters: Mapping[str, Any] | None = None,
    experiment: str = "",
    run_name: str = "",
    namespace: str = "",
    pipeline_root: str = "",
    enable_caching: bool | None = None,
    service_account: str = "",
    dry_run: bool = False,
    **access: Unpack[Access],
) -> Run:
    """Create a run of a pipeline.

    Args:
        pipeline: one of Seaway's by name, such as train_and_serve; the path of a compiled YAML; ``file.py`` or
            ``file.py:function``; or a function with ``@dsl.pipeline``.
        host: URL of Kubeflow Pipelines; empty for SEAWAY_KFP_HOST or KF_PIPELINES_ENDPOINT.
        parameters: of the pipeline, in its types or as texts.
        experiment: KFP's, made if it is not there; empty for the pipeline's name.
        run_name: shown in the UI; empty for the pipeline's name and the time.
        namespace: of your profile, on a multi-user Kubeflow.
        pipeline_root: where artifacts go; empty for the installation's.
        enable_caching: False switches the cache off for every task. True leaves what was compiled, as None does: it
            never switches the cache on for a step that was compiled without.
        service_account: of the run's pods; empty for the namespace's.
        dry_run: send nothing; the result's ``request`` is what would be sent.
        access: ``token``, ``token_file``, ``cookies``, ``ca_cert``, as `seaway.submission.server.Access` says.

    Raises:
        InputError: what is given does not hold; nothing was sent.
        SubmissionError: the server cannot be reached, or refuses.
    """
    with opened(pipeline) as package:
        request = Request(
            package=package.without_cache() if enable_caching is False else package,
            values=package.values(parameters or {}),
            experiment=experiment_name(experiment, package),
            name=run_name or f"{package.spec.name} {dt.datetime.now():%Y-%m-%d %H-%M-%S}",
            pipeline_root=pipeline_root,
            service_account=service_account,
        )
        if dry_run:
            sent = request.dry(offline())
            return Run(id="", url="", name=request.name, experiment=request.experiment, request=sent)
        server = connect(host, namespace=namespace, **access)
        made = request.send(server, server.experiment(request.experiment))
        return Run(
            id=made.run_id,
            url=run_url(server, made.run_id),
            name=request.name,
            experiment=request.experiment,
            request=server.transport.sent[-1],
        )


def wait(
    run_id: str,
    *,
    host: str = "",
    namespace: str = "",
    timeout_s: float = 0,
    every_s: float = 5,
    on_state: Callable[[str], None] | None = None,
    **access: Unpack[Access],
) -> Outcome:
    """Wait until a run ends, also by being canceled.

    Args:
        run_id: KFP's.
        host: as for `submit`.
        namespace: as for `submit`.
        timeout_s: seconds after which it is not waited for any more, while the run goes on; 0 for none.
        every_s: seconds between two looks.
        on_state: is told each new state, in KFP's words.
        access: as for `submit`.

    Raises:
        DeadlineError: it did not end in time.
        SubmissionError: the run is not there, or the server fails for five minutes.
    """
    server = connect(host, namespace=namespace, **access)
    began = heard = time.monotonic()
    state = ""
    while True:
        try:
            found = server.ask(f"read the run {run_id}", server.client.get_run, run_id)
            heard = time.monotonic()
        except SubmissionError as e:
            lasting = 400 <= e.status < 500 and e.status != 429
            if lasting or time.monotonic() - heard > SILENCE_S:
                raise
        else:
            if found.state != state:
                state = found.state
                if on_state is not None:
                    on_state(state or "PENDING")
            if state in ENDED:
                return _outcome(server, found)
        if timeout_s and time.monotonic() - began > timeout_s:
            page = run_url(server, run_id)
            raise DeadlineError(f"run {run_id} must end within {timeout_s:g} s, found it {state}; it goes on: {page}")
        time.sleep(every_s)


def experiment_name(given: str, package: Package) -> str:
    """The experiment to use: the one given, the environment's as kfp reads it, or the pipeline's name."""
    default = os.environ.get("KF_PIPELINES_DEFAULT_EXPERIMENT_NAME", "")
    return os.environ.get("KF_PIPELINES_OVERRIDE_EXPERIMENT_NAME") or given or default or package.spec.name


def run_url(server: Server, run_id: str) -> str:
    """The run's page in the UI."""
    return server.url(f"runs/details/{run_id}")


def _outcome(server: Server, run: Any) -> Outcome:
    tasks = (run.run_details.task_details if run.run_details else None) or []
    failed = [t for t in tasks if t.state == "FAILED"]
    named = tuple(f"{t.display_name}: {_error(t.error)}".removesuffix(": ") for t in failed if t.display_name != "root")
    return Outcome(
        id=run.run_id,
        state=ENDED[run.state],
        url=run_url(server, run.run_id),
        error=_error(run.error),
        failed=named,
    )


def _error(error: Any) -> str:
    return " ".join(str(getattr(error, "message", "") or "").split())
