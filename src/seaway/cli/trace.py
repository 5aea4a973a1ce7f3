"""seaway trace: steps, replicas and requests of a run on one time line."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from seaway.cli.timetext import lines, told
from seaway.errors import InputError, LaunchError
from seaway.launch.traced import Found, replicas, requests, steps
from seaway.local import daemon
from seaway.local.kfp import runs
from seaway.observe import spanlog, trace
from seaway.observe.spans import STEP
from seaway.observe.spantree import RUN, Span
from seaway.observe.timeline import Timeline, build, failures

GONE = "its process ended without a word"
"""What is known of a step that is interrupted."""


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A run as it is drawn."""

    run_id: str
    state: str
    """As `seaway runs` tells it; empty on a cluster."""
    timeline: Timeline
    missing: tuple[str, ...]
    """In words, what is not shown."""

    @property
    def trace_id(self) -> str:
        """Of the run and of all in it."""
        return trace.trace_id(self.run_id)

    @property
    def query(self) -> str:
        """What finds all log lines of the run in Cloud Logging."""
        name = trace.resource(self.trace_id)
        return f'trace="{name}"' if "/" in name else f'trace:"{name}"'  # the operator : finds a part


@click.command("trace")
@click.argument("run", default="last")
@click.option("--html", type=click.Path(dir_okay=False), help="Write a page to this file.")
@click.option("--otlp", type=click.Path(dir_okay=False), help="Write OTLP JSON, for Jaeger, Tempo and the like.")
@click.option("--json", "as_json", is_flag=True, help="The spans as JSON.")
@click.option("--namespace", default="", help="Of the run's pods; by default the context's.")
def trace_command(run: str, html: str | None, otlp: str | None, as_json: bool, namespace: str) -> None:
    """Draw RUN on one time line: an id, its beginning, or last; on a cluster KFP's run id."""
    found = find(run, namespace)
    if html:
        from seaway.observe.timechart import page

        shown = page(
            found.timeline, run_id=found.run_id, trace_id=found.trace_id, state=found.state, missing=found.missing
        )
        Path(html).write_text(shown, encoding="utf-8")
        click.echo(f"{html}: {len(found.timeline.spans):,} spans of run {found.run_id}")
    if otlp:
        from seaway.observe.otlp import export

        Path(otlp).write_text(json.dumps(export(found.timeline.spans, trace_id=found.trace_id)), encoding="utf-8")
        click.echo(f"{otlp}: {len(found.timeline.spans):,} spans of run {found.run_id}")
    if as_json:
        click.echo(json.dumps(_plain(found), indent=1))
    elif not (html or otlp):
        _print(found)


def find(run: str, namespace: str) -> Traced:
    """The trace of a run of this laptop, else of the cluster that KUBECONFIG names.

    Raises:
        InputError: there is no such run, here or there.
    """
    try:
        own = runs.find(run)
    except InputError as e:
        if run == "last":
            raise
        try:
            return _on_cluster(run, namespace)
        except LaunchError as there:
            raise InputError(f"{e}; and not on a cluster: {there}") from None
    return _on_laptop(own, namespace)


def _on_laptop(run: runs.Run, namespace: str) -> Traced:
    state, records, found = run.read(), run.steps(), Found()
    now = time.time()
    began = spanlog.stamp(state["started"]) or now
    own = [_step(run, record, now) for record in records]
    running = state["state"] == "running"
    last = max((s.end for s in own), default=began)
    # a run that was interrupted has no end of its own
    ended = now if running else spanlog.stamp(state.get("ended")) or last
    found.spans = [
        Span(
            name=run.id,
            id=trace.span_id(run.id, ""),
            start=began,
            end=max(ended, began),
            kind=RUN,
            error="" if state["state"] in ("running", "succeeded") else str(state.get("error") or state["state"]),
            running=running,
        ),
        *own,
    ]
    for record in records:
        log = run.folder / "steps" / f"{record['step']}.log"
        if log.exists():
            with log.open(encoding="utf-8", errors="replace") as f:
                # the step itself is known from its record
                found.spans += [s for s in spanlog.of_step(f, step=record["step"]) if s.kind != STEP]
    laptop = daemon.status()
    if laptop is None:
        found.missing.append("the laptop is down, so what servers answered is not shown: `seaway up` and ask again")
    else:
        os.environ["KUBECONFIG"] = str(laptop.kubeconfig)
        whole, until = all(r["state"] == "succeeded" for r in records), None if running else ended
        for place in sorted({namespace or str(r["inputs"].get("namespace") or "") for r in records}):
            _ask(found, run.id, place, since=began, until=until, whole=whole, asked=_asked(records))
    return Traced(run_id=run.id, state=state["state"], timeline=build(found.spans), missing=tuple(found.missing))


def _ask(
    found: Found, run_id: str, namespace: str, *, since: float, until: float | None, whole: bool, asked: Collection[str]
) -> None:
    from seaway.launch.api import Api

    api = Api.connect(namespace)
    found.ask(
        lambda: replicas(api, run_id, found, read_logs=not whole),
        lambda: requests(api, run_id, found, since=since, until=until, services=asked),
    )


def _on_cluster(run_id: str, namespace: str) -> Traced:
    from seaway.launch.api import Api

    api, found = Api.connect(namespace), Found()
    found.ask(lambda: steps(api, run_id, found), lambda: replicas(api, run_id, found, read_logs=True))
    if not found.spans:
        raise LaunchError(f"{api.host} has no pods of run {run_id} in namespace {api.namespace}: {found.missing}")
    began = min(s.start for s in found.spans)
    found.ask(lambda: requests(api, run_id, found, since=began, until=None, services=()))
    return Traced(run_id=run_id, state="", timeline=build(found.spans), missing=tuple(found.missing))


def _step(run: runs.Run, record: dict[str, Any], now: float) -> Span:
    began = spanlog.stamp(record["started"]) or now
    log = run.folder / "steps" / f"{record['step']}.log"
    if "seconds" in record:
        ended = began + record["seconds"]
    elif record["state"] == "running":
        ended = now
    else:
        ended = log.stat().st_mtime if log.exists() else began
    error = record.get("error", GONE if record["state"] == "interrupted" else "")
    return Span(
        name=record["step"],
        id=record.get("span_id") or trace.span_id(run.id, record["step"]),
        start=began,
        end=max(began, ended),
        kind=STEP,
        step=record["step"],
        error=spanlog.text(error),
        running=record["state"] == "running",
        attributes={k: record[k] for k in ("component", "headline") if record.get(k)},
    )


def _asked(records: Collection[dict[str, Any]]) -> set[str]:
    """The services that the steps deployed or spoke to."""
    found = set()
    for record in records:
        known = {**record.get("inputs", {}), **record.get("outputs", {})}
        found.add(str(known.get("service") or ""))
        if record["component"] == "deploy_graph" and record["state"] == "succeeded":
            listed = known.get("services")  # longer values are recorded as JSON
            services = json.loads(listed) if isinstance(listed, str) and listed.endswith("]") else []
            found |= {str(known.get("name") or ""), *map(str, services)}
    return found - {""}


def _print(found: Traced) -> None:
    state = f"{found.state}  " if found.state else ""
    click.echo(f"run {found.run_id}  {state}trace {found.trace_id}")
    for line in lines(found.timeline, width=shutil.get_terminal_size((120, 24)).columns):
        click.echo(line)
    for line in told(failures(found.timeline)):
        click.echo(line)
    if away := found.timeline.left_out:
        click.echo(f"not drawn: {len(away):,} spans long before or after every step")
    for text in found.missing:
        click.echo(f"not shown: {text}")
    if not found.state or "GOOGLE_CLOUD_PROJECT" in os.environ:
        click.echo(f"all its log lines, in Cloud Logging: {found.query}")


def _plain(found: Traced) -> dict[str, Any]:
    return {
        "run_id": found.run_id,
        "state": found.state,
        "trace_id": found.trace_id,
        "query": found.query,
        "spans": [dataclasses.asdict(s) for s in found.timeline.spans],
        "missing": list(found.missing),
    }
