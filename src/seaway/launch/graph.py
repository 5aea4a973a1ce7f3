"""Deploy an InferenceGraph: its services must serve, then the graph is applied, awaited and asked with real rows.

In: a graph by its services' names (see `seaway.resources.graph_form`) and a table of raw rows. Out: where it answers. A
graph is owned by no run: it outlives the one that made it. The services' addresses are looked up here, once, as KServe
does it; a new version of a model keeps its service's address, so the graph need not be deployed again for it.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seaway.errors import InputError, LaunchError
from seaway.graphs.lint import errors, lint
from seaway.launch.api import PATIENCE_S, Api, Object
from seaway.launch.graph_check import ROWS, Checked, check
from seaway.launch.graph_ready import INFERENCE_GRAPH, apply_graph
from seaway.launch.graph_services import addresses, described
from seaway.launch.identity import identify
from seaway.launch.restore import put_back
from seaway.launch.sample import json_rows
from seaway.launch.settings import Settings
from seaway.observe import logs, trace
from seaway.resources import names
from seaway.resources.chain import Chain
from seaway.resources.graph_form import Form, Nodes, graph_form
from seaway.resources.inference_graph import inference_graph
from seaway.resources.merge import merge

_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A graph that answers."""

    name: str
    url: str
    """That takes v1 requests, ``{"instances": [...]}``; empty after a dry run."""
    services: tuple[str, ...]
    rows: int
    """Of the sample, for which it answers as its services do; 0 without a sample."""
    asked: tuple[int, ...]
    """Of these rows, how many each step of a chain is asked about."""

    @property
    def headline(self) -> str:
        """For people."""
        said = f"{self.name} chains" if self.asked else self.name
        counts = [f"{s} {n}" for s, n in zip(self.services, self.asked, strict=False)] or self.services
        where = f" at {self.url}" if self.url else ""
        return f"{said} {', '.join(counts)} of {self.rows} rows{where}" if self.rows else f"{said}{where}"


def deploy_graph(
    *,
    name: str,
    graph: Mapping[str, Any],
    summary: str,
    sample: str = "",
    min_replicas: int = 1,
    max_replicas: int = 1,
    cpu: str = "",
    memory: str = "",
    timeout_s: int = 600,
    namespace: str = "",
    patch: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> Deployed:
    """Deploy a graph.

    Args:
        name: of the InferenceGraph.
        graph: ``{"chain": [...]}``, ``{"split": [...]}`` or ``{"nodes": {...}}``.
        summary: local path of the Markdown to write.
        sample: URI or path of raw rows that the graph is asked about; empty for none.
        min_replicas: of the graph's router.
        max_replicas: of the graph's router.
        cpu: of a router's replica.
        memory: of a router's replica.
        timeout_s: for services that are not ready, and for the graph, to get ready.
        namespace: of the graph and its services; empty for the step's own.
        patch: merged into the manifest (JSON Merge Patch).
        dry_run: only log the manifest; services that are not there count as if they were.

    Raises:
        InputError: the graph is none, or a model has no such answer.
        LaunchError: a service is missing, or the graph does not get ready or does not answer as its services do; what
            was deployed before is put back.
    """
    form = graph_form(graph)
    if sample and isinstance(form, Nodes):
        raise InputError("sample must be empty for a graph of nodes: only of a chain or a split is the answer known")
    api = Api.connect(namespace, patience_s=PATIENCE_S)
    identity = identify(api)
    name = names.dns_label(name)
    known = addresses(api, form.services, timeout_s=timeout_s, assume=dry_run)
    wanted = manifest(
        name=name,
        form=form,
        urls={service: address.cluster for service, address in known.items()},
        run_id=identity.run_id,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        cpu=cpu,
        memory=memory,
        patch=patch or {},
    )
    _lint(wanted, form)
    if dry_run:
        logs.info(_log, f"dry run, not applied: {json.dumps(wanted)}")
        _write(summary, name, form, "", None)
        return Deployed(name=name, url="", services=form.services, rows=0, asked=())
    # before the graph is touched: what is asked for must be there
    services = {} if isinstance(form, Nodes) else described(form, known)
    columns = {k: v for s in services.values() for k, v in s.inputs.items()}
    rows = json_rows(sample, columns, ROWS) if sample else []
    url, before = apply_graph(api, wanted, timeout_s=timeout_s)
    checked = None
    if rows and not isinstance(form, Nodes):
        try:
            checked = check(form, services, url, rows)
        except LaunchError:
            put_back(api, INFERENCE_GRAPH, name, before)
            raise
    _write(summary, name, form, url, checked)
    return Deployed(
        name=name,
        url=url,
        services=form.services,
        rows=checked.rows if checked else 0,
        asked=checked.asked if checked else (),
    )


def manifest(
    *,
    name: str,
    form: Form,
    urls: Mapping[str, str],
    run_id: str,
    min_replicas: int,
    max_replicas: int,
    cpu: str,
    memory: str,
    patch: Mapping[str, Any],
) -> Object:
    """The InferenceGraph; exactly this is applied. It is owned by no run."""
    built = inference_graph(
        name=name,
        nodes=form.nodes(urls),
        deployment_mode=Settings.from_env().deployment_mode,
        labels=dict(names.MANAGED_BY),
        annotations={"seaway.dev/run-id": run_id, "seaway.dev/trace-id": trace.trace_id(run_id)},
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        cpu=cpu,
        memory=memory,
    )
    merged: Object = merge(built, patch)
    return merged


def _lint(wanted: Object, form: Form) -> None:
    """Refuse a graph that cannot work; tell what will surprise in nodes that a person wrote."""
    findings = lint(wanted.get("spec") or {})
    if wrong := errors(findings):
        raise InputError(f"the graph must be one that KServe's router can run: {'; '.join(wrong)}")
    for finding in findings if isinstance(form, Nodes) else ():
        _log.warning(finding.text)


def _write(path: str, name: str, form: Form, url: str, checked: Checked | None) -> None:
    where = f"answers at {url}" if url else "was not applied: a dry run"
    lines = [f"# InferenceGraph {name}", "", f"InferenceGraph `{name}` {where}.", ""]
    if isinstance(form, Chain):
        lines += ["| service | keys of the answer | asked about |", "|---|---|---|"]
        for number, step in enumerate(form.steps):
            keys = ", ".join(f"`{key}` = {own}" for key, own in step.answers.items())
            rows = f"rows with `{step.when}`" if step.when else "every row"
            seen = f" ({checked.asked[number]} of {checked.rows} in the sample)" if checked else ""
            lines.append(f"| {step.service} | {keys} | {rows}{seen} |")
    else:
        lines += [f"- {service}" for service in form.services]
    if checked:
        row, answer = checked.example
        body = json.dumps({"instances": [row]}, ensure_ascii=False)
        lines += [
            "",
            f"It answers {checked.rows} rows of the sample as its services do one after the other; {checked.single} of "
            "them were also asked about alone.",
            "",
            "```sh",
            f"curl {url} -d {shlex.quote(body)}",
            "```",
            "",
            "```json",
            json.dumps({"predictions": [answer]}, ensure_ascii=False),
            "```",
        ]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
