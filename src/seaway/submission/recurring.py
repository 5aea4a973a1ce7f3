"""Recurring runs: a pipeline by cron or by interval."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack

from seaway.errors import InputError
from seaway.submission.package import SCHEDULED_TIME, opened
from seaway.submission.request import Request
from seaway.submission.runs import experiment_name
from seaway.submission.server import Access, Server, connect, offline
from seaway.submission.trigger import trigger

MACRO = "[[ScheduledTime]]"
"""What KFP replaces by the time that a run was due, as 20270131060000 (UTC)."""
MACROS = ("[[ScheduledTime", "[[CurrentTime", "[[Index", "[[RunUUID", "{{$.scheduledTime")
"""What begins a macro that differs in every run."""
EQUALS = 1
"""kfp_server_api's filter operation."""


@dataclass(frozen=True, kw_only=True)
class RecurringRun:
    """A recurring run that was created."""

    id: str
    """KFP's; empty after a dry run."""
    url: str
    """Its page in the UI; empty after a dry run."""
    name: str
    experiment: str
    words: str
    """When it starts."""
    next: tuple[dt.datetime, ...]
    """The next times, UTC; of an interval counted from now."""
    request: Mapping[str, Any] = field(repr=False)
    """What was sent, or would be: method, path, body."""


def schedule(
    pipeline: Any,
    *,
    host: str = "",
    cron: str = "",
    interval_s: int = 0,
    parameters: Mapping[str, Any] | None = None,
    experiment: str = "",
    job_name: str = "",
    description: str = "",
    namespace: str = "",
    start: str | dt.datetime = "",
    end: str | dt.datetime = "",
    max_concurrency: int = 1,
    no_catchup: bool = True,
    enabled: bool = True,
    pipeline_root: str = "",
    enable_caching: bool | None = None,
    service_account: str = "",
    dry_run: bool = False,
    **access: Unpack[Access],
) -> RecurringRun:
    """Create a recurring run of a pipeline.

    Its runs would have the same parameters each time, and the cache would answer for the whole of them. So a pipeline's
    parameter ``scheduled_time`` is set to the time that the run is due; for a pipeline without it the cache is switched
    off, with a warning.

    Args:
        pipeline: as for `seaway.submission.submit`.
        host: as for `seaway.submission.submit`.
        cron: a crontab's five fields, KFP's six with seconds first, or a nickname such as @daily; in UTC, unless the
            installation sets CRON_SCHEDULE_TIMEZONE.
        interval_s: instead of cron, seconds from one start to the next, 1 or more.
        parameters: as for `seaway.submission.submit`; texts may hold KFP's macros, as [[ScheduledTime.2006-01-02]].
        experiment: as for `seaway.submission.submit`.
        job_name: of the recurring run, new in its experiment; empty for the pipeline's name.
        description: shown in the UI.
        namespace: as for `seaway.submission.submit`.
        start: no run is due before; a datetime or RFC 3339, UTC if it has no zone.
        end: no run is due after.
        max_concurrency: runs at a time, 1 to 10.
        no_catchup: whether times that were missed, while it was paused or one run too many, are left out.
        enabled: whether it starts at once; else it is switched on in the UI.
        pipeline_root: as for `seaway.submission.submit`.
        enable_caching: as for `seaway.submission.submit`; None switches the cache off for a pipeline that would be
            answered by it, True keeps it all the same.
        service_account: as for `seaway.submission.submit`.
        dry_run: as for `seaway.submission.submit`.
        access: as for `seaway.submission.submit`.

    Raises:
        InputError: what is given does not hold, or there is a recurring run of that name; nothing was created.
        SubmissionError: the server cannot be reached, or refuses.
    """
    if isinstance(max_concurrency, bool) or max_concurrency not in range(1, 11):
        raise InputError(f"max_concurrency must be 1 to 10, found {max_concurrency!r}")
    when = trigger(cron=cron, interval_s=interval_s, start=start, end=end)
    given = dict(parameters or {})
    with opened(pipeline) as package:
        if package.takes_scheduled_time:
            given.setdefault(SCHEDULED_TIME, MACRO)
        values = package.values(given)
        name = package.spec.name
        if enable_caching is None and not any(m in v for v in values.values() if isinstance(v, str) for m in MACROS):
            warnings.warn(
                f"every run of {name} would have the same parameters and come from the cache, so the cache is switched "
                f"off for all of it; a parameter {SCHEDULED_TIME} of type str that its first task takes would keep it",
                stacklevel=2,
            )
            enable_caching = False
        request = Request(
            package=package.without_cache() if enable_caching is False else package,
            values=values,
            experiment=experiment_name(experiment, package),
            name=job_name or name,
            description=description,
            pipeline_root=pipeline_root,
            service_account=service_account,
            trigger=when,
            max_concurrency=max_concurrency,
            no_catchup=no_catchup,
            enabled=enabled,
        )
        shared = {"name": request.name, "experiment": request.experiment, "words": when.words()}
        times = when.next(dt.datetime.now(dt.UTC))
        if dry_run:
            return RecurringRun(id="", url="", next=times, request=request.dry(offline()), **shared)
        server = connect(host, namespace=namespace, **access)
        group = server.experiment(request.experiment)
        _must_be_new(server, request.name, group, request.experiment)
        made = request.send(server, group)
    page = _url(server, made.recurring_run_id)
    return RecurringRun(id=made.recurring_run_id, url=page, next=times, request=server.transport.sent[-1], **shared)


def _must_be_new(server: Server, name: str, experiment_id: str, experiment: str) -> None:
    """Two recurring runs of one name are one deployed twice, and each would do the other's work."""
    same = {"predicates": [{"operation": EQUALS, "key": "display_name", "stringValue": name}]}
    found = server.ask(
        "look for a recurring run of that name",
        server.client.list_recurring_runs,
        experiment_id=experiment_id,
        filter=json.dumps(same),
        page_size=1,
    )
    if found.recurring_runs:
        page = _url(server, found.recurring_runs[0].recurring_run_id)
        raise InputError(
            f"job_name must be new in the experiment {experiment!r}, found a recurring run {name!r}: delete it first, "
            f"at {page}, or give another name"
        )


def _url(server: Server, recurring_run_id: str) -> str:
    return server.url(f"recurringrun/details/{recurring_run_id}")
